import { warnOnce } from "../../base/env.ts";
import { OptionError } from "../../base/errors.ts";
import {
  type ConfigDict,
  either,
  type Field,
  type FieldTable,
  flag,
  integer,
  listOf,
  nullable,
  oneOf,
  record,
  text,
} from "../config_fields.ts";
import { onlyFields, QuantizationConfigMixin, readFields } from "./fields.ts";

const DATASETS = ["wikitext2", "c4", "c4-new"] as const;

const bitCount: Field = {
  default: undefined,
  expected: "2, 3, 4 or 8",
  accepts: (value) => [2, 3, 4, 8].includes(value as number),
};

const groupSize: Field = {
  default: 128,
  expected: "a whole number above 0, or -1",
  accepts: (value) => Number.isSafeInteger(value) && ((value as number) > 0 || value === -1),
};

const dampPercent: Field = {
  default: 0.1,
  expected: "a number between 0 and 1",
  accepts: (value) => typeof value === "number" && value > 0 && value < 1,
};

const anything: Field = { default: null, expected: "anything", accepts: () => true };

/** Fields by name. `AwqConfig` has them too. */
export const GPTQ_FIELDS: FieldTable = {
  bits: bitCount,
  tokenizer: anything,
  dataset: nullable(either(oneOf(null, DATASETS), listOf(text(null)))),
  group_size: groupSize,
  damp_percent: dampPercent,
  desc_act: flag(false),
  act_group_aware: flag(true),
  sym: flag(true),
  true_sequential: flag(true),
  format: text("gptq"),
  checkpoint_format: nullable(text(null)),
  meta: nullable(record(null)),
  backend: nullable(text(null)),
  model_seqlen: nullable(integer(null, 1, 2 ** 31)),
  block_name_to_quantize: nullable(text(null)),
  module_name_preceding_first_block: nullable(listOf(text(null))),
  batch_size: integer(1, 1, 2 ** 31),
  pad_token_id: nullable(integer(null, 0, 2 ** 31)),
  max_input_length: nullable(integer(null, 1, 2 ** 31)),
  cache_block_outputs: flag(true),
  modules_in_block_to_quantize: nullable(listOf(listOf(text(null)))),
};

/** Fields of `GPTQConfig`. Most say how weights are quantised, which this library does not do; they are kept. */
export interface GPTQOptions {
  /** Bits a weight. */
  bits: number;
  tokenizer?: unknown;
  dataset?: string | string[] | null;
  /** Inputs that share a scale; -1: all. */
  group_size?: number;
  damp_percent?: number;
  /** Whether inputs were quantised in another order: `g_idx` then says the group of each. */
  desc_act?: boolean;
  act_group_aware?: boolean;
  sym?: boolean;
  true_sequential?: boolean;
  /** `gptq`: zero points are stored less one; `gptq_v2`: as they are. */
  format?: string;
  /** The older name of `format`. */
  checkpoint_format?: string | null;
  meta?: Record<string, unknown> | null;
  backend?: string | null;
  model_seqlen?: number | null;
  block_name_to_quantize?: string | null;
  module_name_preceding_first_block?: string[] | null;
  batch_size?: number;
  pad_token_id?: number | null;
  max_input_length?: number | null;
  cache_block_outputs?: boolean;
  modules_in_block_to_quantize?: string[][] | null;
}

/** How GPTQ quantised a checkpoint. */
export class GPTQConfig extends QuantizationConfigMixin {
  readonly quant_method = "gptq";
  declare bits: number;
  declare group_size: number;
  declare damp_percent: number;
  declare desc_act: boolean;
  declare act_group_aware: boolean;
  declare sym: boolean;
  declare true_sequential: boolean;
  declare format: string;
  declare backend: string;
  declare dataset: string | string[] | null;
  declare tokenizer: unknown;
  declare meta: Record<string, unknown> | null;
  declare model_seqlen: number | null;
  declare block_name_to_quantize: string | null;
  declare module_name_preceding_first_block: string[] | null;
  declare batch_size: number;
  declare pad_token_id: number | null;
  declare max_input_length: number | null;
  declare cache_block_outputs: boolean;
  declare modules_in_block_to_quantize: string[][] | null;

  /** @throws OptionError naming the option that is unknown, missing or cannot be */
  constructor(options: GPTQOptions) {
    super();
    const given = options as unknown as ConfigDict;
    if (given?.bits === undefined) {
      throw new OptionError("GPTQConfig: bits is missing: 2, 3, 4 or 8", { where: "bits" });
    }
    const { checkpoint_format, ...fields } = readFields("GPTQConfig", GPTQ_FIELDS, given);
    Object.assign(this, fields);
    this.format = String(checkpoint_format ?? this.format).toLowerCase();
    this.backend = (this.backend ?? "auto").toLowerCase();
    if (this.desc_act && this.act_group_aware) {
      this.act_group_aware = false;
      if (given.act_group_aware === true) {
        warnOnce("GPTQConfig: act_group_aware has no effect with desc_act; it was switched off");
      }
    }
  }

  /** From config.json's `quantization_config`. Keys that it does not know are ignored, as in Transformers. */
  static from_dict(config_dict: ConfigDict): GPTQConfig {
    return new GPTQConfig(onlyFields(GPTQ_FIELDS, config_dict) as unknown as GPTQOptions);
  }

  override to_dict(): Record<string, unknown> {
    return { ...this.own(), checkpoint_format: this.format };
  }
}
