import {
  type ConfigDict,
  type FieldTable,
  flag,
  integer,
  listOf,
  nullable,
  oneOf,
  text,
} from "../config_fields.ts";
import { onlyFields, QuantizationConfigMixin, readFields } from "./fields.ts";
import { GPTQ_FIELDS, type GPTQOptions } from "./gptq_config.ts";

const FORMATS = ["gemm", "gemv", "gemv_fast", "llm-awq"] as const;
const BACKENDS = [
  "auto",
  "auto_trainable",
  "machete",
  "marlin",
  "exllama_v2",
  "exllama_v1",
  "gemm",
  "gemm_triton",
  "gemv",
  "gemv_fast",
  "torch_awq",
  "torch_fused_awq",
  // older names: the first is the first above, the second a format
  "autoawq",
  "llm-awq",
] as const;

const { checkpoint_format: _, ...GENERAL } = GPTQ_FIELDS;

const FIELDS: FieldTable = {
  ...GENERAL,
  bits: integer(4, 1, 32),
  group_size: integer(128, -1, 2 ** 31),
  zero_point: flag(true),
  backend: oneOf("auto", BACKENDS),
  modules_to_not_convert: nullable(listOf(text(null))),
  format: nullable(oneOf(null, FORMATS)),
  version: nullable(oneOf(null, FORMATS)),
};

/** Fields of `AwqConfig`. Those of GPTQ are kept, and mean nothing here. */
export interface AwqOptions extends Omit<GPTQOptions, "bits" | "format" | "checkpoint_format" | "backend"> {
  /** Bits a weight. */
  bits?: number;
  /** Inputs that share a scale; -1: all. */
  group_size?: number;
  zero_point?: boolean;
  backend?: (typeof BACKENDS)[number];
  /** Parts of the model that were left as they were. */
  modules_to_not_convert?: string[] | null;
  /** How weights are laid out. Default `gemm`. */
  format?: (typeof FORMATS)[number] | null;
  /** The older name of `format`. */
  version?: string | null;
}

/** How AWQ quantised a checkpoint. */
export class AwqConfig extends QuantizationConfigMixin {
  readonly quant_method = "awq";
  declare bits: number;
  declare group_size: number;
  declare zero_point: boolean;
  declare backend: string;
  declare modules_to_not_convert: string[] | null;
  declare format: string;

  /** @throws OptionError naming the option that is unknown or cannot be */
  constructor(options: AwqOptions = {}) {
    super();
    const given = {
      ...options,
      ...(options.version == null ? {} : { version: options.version.toLowerCase() }),
    };
    const { version, format, ...fields } = readFields("AwqConfig", FIELDS, given);
    Object.assign(this, fields);
    this.format = String(version ?? format ?? "gemm");
    if (this.backend === "llm-awq") this.format = "llm-awq";
    if (this.backend === "llm-awq" || this.backend === "autoawq") this.backend = "auto";
  }

  /** From config.json's `quantization_config`. Keys that it does not know are ignored, as in Transformers. */
  static from_dict(config_dict: ConfigDict): AwqConfig {
    return new AwqConfig(onlyFields(FIELDS, config_dict) as AwqOptions);
  }

  override to_dict(): Record<string, unknown> {
    return { ...this.own(), version: this.format };
  }
}
