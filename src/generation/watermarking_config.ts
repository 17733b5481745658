import { OptionError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { type Field, fieldError, integer, number, oneOf } from "../models/config_fields.ts";
import { saveTextFileAt } from "../models/save_file.ts";
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

const FIELDS: Readonly<Record<keyof WatermarkingOptions, Field>> = {
  greenlist_ratio: number(0.25, 0, 1),
  bias: number(2),
  hashing_key: integer(15485863, 0, Number.MAX_SAFE_INTEGER),
  seeding_scheme: oneOf("lefthash", ["lefthash", "selfhash"]),
  context_width: integer(1, 1, 2 ** 20),
};

/** How generated text is marked, so that it can be told from other text (arXiv 2306.04634). */
export class WatermarkingConfig {
  declare greenlist_ratio: number;
  declare bias: number;
  declare hashing_key: number;
  declare seeding_scheme: "lefthash" | "selfhash";
  declare context_width: number;

  /** @throws OptionError where an option is not known */
  constructor(options: WatermarkingOptions = {}) {
    checkOptions("WatermarkingConfig", options, Object.keys(FIELDS));
    const defaults = Object.entries(FIELDS).map(([name, field]) => [name, field.default]);
    Object.assign(this, Object.fromEntries(defaults), options);
  }

  static from_dict(
    config_dict: WatermarkingOptions,
    overrides: WatermarkingOptions = {},
  ): WatermarkingConfig {
    return new WatermarkingConfig({ ...config_dict, ...overrides });
  }

  to_dict(): Required<WatermarkingOptions> {
    return { ...this };
  }

  to_json_string(): string {
    return `${JSON.stringify(this.to_dict(), null, 2)}\n`;
  }

  async to_json_file(json_file_path: string): Promise<void> {
    await saveTextFileAt(json_file_path, this.to_json_string());
  }

  /** Sets those options that it has. */
  update(options: WatermarkingOptions): void {
    checkOptions("WatermarkingConfig.update", options, Object.keys(FIELDS));
    Object.assign(this, options);
  }

  /** @throws OptionError naming the option that is out of range */
  validate(): void {
    for (const [name, field] of Object.entries(FIELDS)) {
      const value = this[name as keyof WatermarkingOptions];
      if (field.accepts(value)) continue;
      const error = fieldError(`watermarking_config.${name}`, field, value);
      throw new OptionError(error.message, { where: error.where, expected: error.expected, got: value });
    }
  }

  /** The processor that marks, for a vocabulary of this size. */
  construct_processor(vocab_size: number): WatermarkLogitsProcessor {
    return new WatermarkLogitsProcessor(vocab_size, "cpu", this.to_dict());
  }
}
