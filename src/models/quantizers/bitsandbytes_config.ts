import { OptionError } from "../../base/errors.ts";
import {
  type ConfigDict,
  type FieldTable,
  flag,
  listOf,
  nullable,
  number,
  oneOf,
  text,
} from "../config_fields.ts";
import { difference, onlyFields, QuantizationConfigMixin, readFields } from "./fields.ts";

/** Types that 4-bit numbers may be kept in. */
const STORAGE = ["float16", "float32", "int8", "uint8", "float64", "bfloat16"] as const;
const COMPUTE = ["float32", "float16", "bfloat16", "float64"] as const;

const FIELDS: FieldTable = {
  load_in_8bit: flag(false),
  load_in_4bit: flag(false),
  llm_int8_threshold: number(6),
  llm_int8_skip_modules: nullable(listOf(text(null))),
  llm_int8_enable_fp32_cpu_offload: flag(false),
  llm_int8_has_fp16_weight: flag(false),
  bnb_4bit_compute_dtype: nullable(oneOf(null, COMPUTE)),
  bnb_4bit_quant_type: text("fp4"),
  bnb_4bit_use_double_quant: flag(false),
  bnb_4bit_quant_storage: nullable(oneOf(null, STORAGE)),
};

/** Fields of `BitsAndBytesConfig`. */
export interface BitsAndBytesOptions {
  load_in_8bit?: boolean;
  load_in_4bit?: boolean;
  llm_int8_threshold?: number;
  llm_int8_skip_modules?: string[] | null;
  llm_int8_enable_fp32_cpu_offload?: boolean;
  llm_int8_has_fp16_weight?: boolean;
  /** Default float32. */
  bnb_4bit_compute_dtype?: (typeof COMPUTE)[number] | null;
  bnb_4bit_quant_type?: string;
  bnb_4bit_use_double_quant?: boolean;
  /** Default uint8. */
  bnb_4bit_quant_storage?: (typeof STORAGE)[number] | null;
}

/** How bitsandbytes quantised a checkpoint: 8 bits a weight, or 4 (`fp4`, `nf4`) with a scale for 64 of them. */
export class BitsAndBytesConfig extends QuantizationConfigMixin {
  readonly quant_method = "bitsandbytes";
  llm_int8_threshold: number;
  llm_int8_skip_modules: string[] | null;
  llm_int8_enable_fp32_cpu_offload: boolean;
  llm_int8_has_fp16_weight: boolean;
  bnb_4bit_compute_dtype: string;
  bnb_4bit_quant_type: string;
  bnb_4bit_use_double_quant: boolean;
  bnb_4bit_quant_storage: string;
  #in8bit = false;
  #in4bit = false;

  /** @throws OptionError naming the option that is unknown or cannot be */
  constructor(options: BitsAndBytesOptions = {}) {
    super();
    const read = readFields("BitsAndBytesConfig", FIELDS, options as ConfigDict) as unknown as Required<
      Omit<BitsAndBytesOptions, "bnb_4bit_compute_dtype" | "bnb_4bit_quant_storage">
    > &
      BitsAndBytesOptions;
    this.load_in_8bit = read.load_in_8bit;
    this.load_in_4bit = read.load_in_4bit;
    this.llm_int8_threshold = read.llm_int8_threshold;
    this.llm_int8_skip_modules = read.llm_int8_skip_modules;
    this.llm_int8_enable_fp32_cpu_offload = read.llm_int8_enable_fp32_cpu_offload;
    this.llm_int8_has_fp16_weight = read.llm_int8_has_fp16_weight;
    this.bnb_4bit_compute_dtype = read.bnb_4bit_compute_dtype ?? "float32";
    this.bnb_4bit_quant_type = read.bnb_4bit_quant_type;
    this.bnb_4bit_use_double_quant = read.bnb_4bit_use_double_quant;
    this.bnb_4bit_quant_storage = read.bnb_4bit_quant_storage ?? "uint8";
  }

  /** From config.json's `quantization_config`. Keys that it does not know are ignored, as in Transformers. */
  static from_dict(config_dict: ConfigDict): BitsAndBytesConfig {
    return new BitsAndBytesConfig(onlyFields(FIELDS, config_dict) as BitsAndBytesOptions);
  }

  get load_in_4bit(): boolean {
    return this.#in4bit;
  }

  set load_in_4bit(value: boolean) {
    this.#checkOne("load_in_4bit", value, this.#in8bit);
    this.#in4bit = value;
  }

  get load_in_8bit(): boolean {
    return this.#in8bit;
  }

  set load_in_8bit(value: boolean) {
    this.#checkOne("load_in_8bit", value, this.#in4bit);
    this.#in8bit = value;
  }

  #checkOne(name: string, value: unknown, other: boolean): void {
    if (typeof value !== "boolean") {
      throw new OptionError(
        `BitsAndBytesConfig: ${name} must be true or false, got ${JSON.stringify(value)}`,
        {
          where: name,
          got: value,
        },
      );
    }
    if (!value || !other) return;
    throw new OptionError(
      "BitsAndBytesConfig: load_in_4bit and load_in_8bit are both true, but only one can be",
      {
        where: name,
        got: value,
      },
    );
  }

  is_quantizable(): boolean {
    return this.#in8bit || this.#in4bit;
  }

  /** `llm_int8`, `fp4` or `nf4`; null where nothing is quantised. */
  quantization_method(): string | null {
    if (this.#in8bit) return "llm_int8";
    const type = this.bnb_4bit_quant_type;
    return this.#in4bit && (type === "fp4" || type === "nf4") ? type : null;
  }

  override to_dict(): Record<string, unknown> {
    const { load_in_4bit, load_in_8bit } = this;
    return {
      ...this.own(),
      _load_in_8bit: load_in_8bit,
      _load_in_4bit: load_in_4bit,
      load_in_4bit,
      load_in_8bit,
    };
  }

  /** What differs from a `BitsAndBytesConfig` without options. */
  override to_diff_dict(): Record<string, unknown> {
    return difference(this.to_dict(), new BitsAndBytesConfig().to_dict());
  }
}
