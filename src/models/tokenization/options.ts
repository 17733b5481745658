import { OptionError } from "../../base/errors.ts";
import type { Padding, Side } from "../../text/encoding.ts";
import type { TensorType } from "../processing/batch_feature.ts";

export type PaddingStrategy = "longest" | "max_length" | "do_not_pad";
export type TruncationStrategy = "longest_first" | "only_first" | "only_second" | "do_not_truncate";

/** What a tokenizer can be told in a call. Names and defaults are Transformers', but for `return_tensors`. */
export interface TokenizerCallOptions {
  text_pair?: string | readonly string[] | readonly (readonly string[])[] | null;
  text_target?: string | readonly string[] | null;
  text_pair_target?: string | readonly string[] | null;
  add_special_tokens?: boolean | null;
  /** true is `"longest"`. */
  padding?: boolean | PaddingStrategy | null;
  /** true is `"longest_first"`. */
  truncation?: boolean | TruncationStrategy | null;
  max_length?: number | null;
  /** Tokens that an overflowing part repeats of the part before. */
  stride?: number | null;
  /** Whether each text is given as a list of its words. */
  is_split_into_words?: boolean | null;
  pad_to_multiple_of?: number | null;
  padding_side?: Side | null;
  /** `"pt"` and `"np"` both give Tensors, the default; null gives number arrays. */
  return_tensors?: TensorType | null;
  return_token_type_ids?: boolean | null;
  return_attention_mask?: boolean | null;
  return_overflowing_tokens?: boolean | null;
  return_special_tokens_mask?: boolean | null;
  /** Characters that each token stands for, counted in code points as Python does. */
  return_offsets_mapping?: boolean | null;
  return_length?: boolean | null;
  /** false keeps the warning about texts that are too long for the model to itself. */
  verbose?: boolean | null;
  /** Takes special tokens in the text for ordinary text. */
  split_special_tokens?: boolean | null;
  /** Whether the text was marked, by `apply_chat_template` with the same option. */
  sanitize_control_tokens?: boolean | null;
  /** Further options; those beside it go before. */
  tokenizer_kwargs?: TokenizerCallOptions | null;
}

/** The names of TokenizerCallOptions. */
export const TOKENIZER_CALL_OPTIONS = [
  "text_pair",
  "text_target",
  "text_pair_target",
  "add_special_tokens",
  "padding",
  "truncation",
  "max_length",
  "stride",
  "is_split_into_words",
  "pad_to_multiple_of",
  "padding_side",
  "return_tensors",
  "return_token_type_ids",
  "return_attention_mask",
  "return_overflowing_tokens",
  "return_special_tokens_mask",
  "return_offsets_mapping",
  "return_length",
  "verbose",
  "split_special_tokens",
  "sanitize_control_tokens",
  "tokenizer_kwargs",
] as const satisfies readonly (keyof TokenizerCallOptions)[];

/** Larger lengths stand for "no limit". */
export const NO_LENGTH_LIMIT = 1e20;

/** How rows are cut and padded, with the lengths that hold. */
export interface Strategies {
  padding: PaddingStrategy;
  truncation: TruncationStrategy;
  max_length: number | null;
}

/**
 * Works out how to cut and pad, as Transformers does: a length alone means truncation; a length that nobody gave
 * is the model's, and where the model has none, nothing is done.
 *
 * @throws OptionError for values that are none
 */
export function strategiesOf(options: TokenizerCallOptions, modelMaxLength: number): Strategies {
  let padding = paddingOf(options.padding ?? false);
  let max_length = lengthOption("max_length", options.max_length);
  const alone =
    max_length !== null && (options.padding ?? false) === false && (options.truncation ?? null) === null;
  let truncation = truncationOf(alone ? "longest_first" : (options.truncation ?? false));
  if (max_length === null) {
    const unlimited = modelMaxLength > NO_LENGTH_LIMIT;
    if (unlimited && padding === "max_length") padding = "do_not_pad";
    if (unlimited) truncation = "do_not_truncate";
    const needed = padding === "max_length" || truncation !== "do_not_truncate";
    if (needed) max_length = modelMaxLength;
  }
  const multiple = lengthOption("pad_to_multiple_of", options.pad_to_multiple_of);
  const both = truncation !== "do_not_truncate" && padding !== "do_not_pad";
  if (both && multiple !== null && max_length !== null && max_length % multiple !== 0) {
    throw new OptionError(
      `max_length (${max_length}) is not a multiple of pad_to_multiple_of (${multiple}), and rows are both cut and padded`,
      { where: "pad_to_multiple_of", got: multiple },
    );
  }
  return { padding, truncation, max_length };
}

function paddingOf(value: boolean | PaddingStrategy): PaddingStrategy {
  if (typeof value === "boolean") return value ? "longest" : "do_not_pad";
  return oneOf("padding", value, ["longest", "max_length", "do_not_pad"]);
}

function truncationOf(value: boolean | TruncationStrategy): TruncationStrategy {
  if (typeof value === "boolean") return value ? "longest_first" : "do_not_truncate";
  return oneOf("truncation", value, ["longest_first", "only_first", "only_second", "do_not_truncate"]);
}

/** @throws OptionError where the value is not one of the known ones */
export function oneOf<T extends string>(name: string, value: unknown, known: readonly T[]): T {
  if (known.includes(value as T)) return value as T;
  const list = known.map((item) => `'${item}'`).join(", ");
  throw new OptionError(`${name}: expected one of ${list}, got ${JSON.stringify(value)}`, {
    where: name,
    expected: known,
    got: value,
  });
}

/** A length or count, or null. @throws OptionError where it is neither */
export function lengthOption(name: string, value: number | null | undefined): number | null {
  if (value === null || value === undefined) return null;
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new OptionError(`${name}: expected a whole number from 0, got ${JSON.stringify(value)}`, {
    where: name,
    expected: "a whole number from 0",
    got: value,
  });
}

/** @throws OptionError where it is no side */
export function sideOption(name: string, value: unknown): Side {
  if (value === "left" || value === "right") return value;
  throw new OptionError(`${name}: expected 'left' or 'right', got ${JSON.stringify(value)}`, {
    where: name,
    expected: ["left", "right"],
    got: value,
  });
}

/** The token that rows are padded with. */
export type PadToken = Pick<Padding, "id" | "token" | "type_id">;
