import { OptionError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import {
  type FieldTable,
  fieldError,
  flag,
  integer,
  listOf,
  number,
  oneOf,
} from "../models/config_fields.ts";
import { saveTextFileAt } from "../models/save_file.ts";
import type { LogitsProcess } from "./logits_process/base.ts";
import { SynthIDTextWatermarkLogitsProcessor } from "./logits_process/synthid.ts";
import { WatermarkLogitsProcessor } from "./logits_process/watermark.ts";

export interface WatermarkingOptions {
  /** The part of the vocabulary that is favoured. */
  greenlist_ratio?: number;
  /** What is added to the scores of the favoured tokens. */
  bias?: number;
  hashing_key?: number;
  /** `lefthash`: the tokens before decide which are favoured; `selfhash`: also the token itself (slower). */
  seeding_scheme?: "lefthash" | "selfhash";
  /** How many of the tokens before decide. */
  context_width?: number;
}

export interface SynthIDTextWatermarkingOptions {
  /** Tokens that are looked at together: the next one and those before it. */
  ngram_len: number;
  /** One for each round of the tournament. */
  keys: readonly number[];
  /** Contexts that are remembered, so that none is marked twice. */
  context_history_size?: number;
  sampling_table_seed?: number;
  sampling_table_size?: number;
  /** Leaves the first `ngram_len - 1` tokens unmarked. */
  skip_first_ngram_calls?: boolean;
  /** Takes all scores as equal. */
  debug_mode?: boolean;
}

const KEY = integer(null, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
const FIELDS: FieldTable & Readonly<Record<keyof WatermarkingOptions, unknown>> = {
  greenlist_ratio: number(0.25, 0, 1),
  bias: number(2),
  hashing_key: integer(15485863, 0, Number.MAX_SAFE_INTEGER),
  seeding_scheme: oneOf("lefthash", ["lefthash", "selfhash"]),
  context_width: integer(1, 1, 2 ** 20),
};
const SYNTHID_FIELDS: FieldTable & Readonly<Record<keyof SynthIDTextWatermarkingOptions, unknown>> = {
  ngram_len: integer(null, 2, 2 ** 20),
  keys: listOf(KEY),
  context_history_size: integer(1024, 1, 2 ** 24),
  sampling_table_seed: integer(0, 0, Number.MAX_SAFE_INTEGER),
  sampling_table_size: integer(2 ** 16, 1, 2 ** 24),
  skip_first_ngram_calls: flag(false),
  debug_mode: flag(false),
};

/** How generated text is marked, so that it can be told from other text. */
export abstract class BaseWatermarkingConfig {
  /** @throws OptionError where an option is not known */
  protected constructor(name: string, fields: FieldTable, options: object) {
    checkOptions(name, options, Object.keys(fields));
    const defaults = Object.entries(fields).map(([key, field]) => [key, field.default]);
    Object.assign(this, Object.fromEntries(defaults), options);
  }

  /** What the options may be. */
  protected abstract fields(): FieldTable;

  /** The processor that marks, for a vocabulary of this size. */
  abstract construct_processor(vocab_size: number): LogitsProcess;

  abstract to_dict(): object;

  to_json_string(): string {
    return `${JSON.stringify(this.to_dict(), null, 2)}\n`;
  }

  async to_json_file(json_file_path: string): Promise<void> {
    await saveTextFileAt(json_file_path, this.to_json_string());
  }

  /** @throws OptionError naming the option that is out of range */
  validate(): void {
    for (const [name, field] of Object.entries(this.fields())) {
      const value = (this as unknown as Record<string, unknown>)[name];
      if (field.accepts(value)) continue;
      const error = fieldError(`watermarking_config.${name}`, field, value);
      throw new OptionError(error.message, { where: error.where, expected: error.expected, got: value });
    }
  }
}

/** Marks by favouring a part of the vocabulary (arXiv 2306.04634). */
export class WatermarkingConfig extends BaseWatermarkingConfig {
  declare greenlist_ratio: number;
  declare bias: number;
  declare hashing_key: number;
  declare seeding_scheme: "lefthash" | "selfhash";
  declare context_width: number;

  /** @throws OptionError where an option is not known */
  constructor(options: WatermarkingOptions = {}) {
    super("WatermarkingConfig", FIELDS, options);
  }

  static from_dict(
    config_dict: WatermarkingOptions,
    overrides: WatermarkingOptions = {},
  ): WatermarkingConfig {
    return new WatermarkingConfig({ ...config_dict, ...overrides });
  }

  protected override fields(): FieldTable {
    return FIELDS;
  }

  override to_dict(): Required<WatermarkingOptions> {
    const { greenlist_ratio, bias, hashing_key, seeding_scheme, context_width } = this;
    return { greenlist_ratio, bias, hashing_key, seeding_scheme, context_width };
  }

  /** Sets those options that it has. */
  update(options: WatermarkingOptions): void {
    checkOptions("WatermarkingConfig.update", options, Object.keys(FIELDS));
    Object.assign(this, options);
  }

  override construct_processor(vocab_size: number): WatermarkLogitsProcessor {
    return new WatermarkLogitsProcessor(vocab_size, "cpu", this.to_dict());
  }
}

/** Marks by tournaments among the tokens (SynthID, Nature 634, 818). */
export class SynthIDTextWatermarkingConfig extends BaseWatermarkingConfig {
  declare ngram_len: number;
  declare keys: readonly number[];
  declare context_history_size: number;
  declare sampling_table_seed: number;
  declare sampling_table_size: number;
  declare skip_first_ngram_calls: boolean;
  declare debug_mode: boolean;

  /** @throws OptionError where an option is not known */
  constructor(options: SynthIDTextWatermarkingOptions) {
    super("SynthIDTextWatermarkingConfig", SYNTHID_FIELDS, options);
  }

  static from_dict(
    config_dict: SynthIDTextWatermarkingOptions,
    overrides: Partial<SynthIDTextWatermarkingOptions> = {},
  ): SynthIDTextWatermarkingConfig {
    return new SynthIDTextWatermarkingConfig({ ...config_dict, ...overrides });
  }

  protected override fields(): FieldTable {
    return SYNTHID_FIELDS;
  }

  override to_dict(): Required<SynthIDTextWatermarkingOptions> {
    const { ngram_len, keys, sampling_table_size, sampling_table_seed, context_history_size } = this;
    const { skip_first_ngram_calls, debug_mode } = this;
    const table = { sampling_table_size, sampling_table_seed, context_history_size };
    return { ngram_len, keys: [...keys], ...table, skip_first_ngram_calls, debug_mode };
  }

  /** Sets those options that it has. */
  update(options: Partial<SynthIDTextWatermarkingOptions>): void {
    checkOptions("SynthIDTextWatermarkingConfig.update", options, Object.keys(SYNTHID_FIELDS));
    Object.assign(this, options);
  }

  override construct_processor(): SynthIDTextWatermarkLogitsProcessor {
    const { ngram_len, keys, sampling_table_size, sampling_table_seed, context_history_size } = this;
    const { skip_first_ngram_calls, debug_mode } = this;
    return new SynthIDTextWatermarkLogitsProcessor(
      ngram_len,
      keys,
      sampling_table_size,
      sampling_table_seed,
      context_history_size,
      "cpu",
      { skip_first_ngram_calls, debug_mode },
    );
  }
}

/** The config that options are of: those of SynthID have `ngram_len`. */
export function watermarkingConfig(
  options: WatermarkingOptions | SynthIDTextWatermarkingOptions,
): WatermarkingConfig | SynthIDTextWatermarkingConfig {
  return "ngram_len" in options
    ? SynthIDTextWatermarkingConfig.from_dict(options)
    : WatermarkingConfig.from_dict(options);
}
