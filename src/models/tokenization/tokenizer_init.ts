import { OptionError } from "../../base/errors.ts";
import type { AddedToken } from "../../text/added_tokens.ts";
import type { Side } from "../../text/encoding.ts";
import type { TextTokenizer } from "../../text/text_tokenizer.ts";
import { oneOf } from "./options.ts";
import { SPECIAL_TOKENS_ATTRIBUTES, type TokenLike } from "./special_tokens.ts";

/** A chat template, or several by name. */
export type ChatTemplates = string | Readonly<Record<string, string>>;

/** Settings of a tokenizer that `from_pretrained` takes too; they go before the files. */
export interface TokenizerSettings {
  bos_token?: TokenLike | null;
  eos_token?: TokenLike | null;
  unk_token?: TokenLike | null;
  sep_token?: TokenLike | null;
  pad_token?: TokenLike | null;
  cls_token?: TokenLike | null;
  mask_token?: TokenLike | null;
  /** Further special tokens, or special tokens by name, which become attributes. */
  extra_special_tokens?: readonly TokenLike[] | Readonly<Record<string, TokenLike>> | null;
  model_specific_special_tokens?: Readonly<Record<string, TokenLike>> | null;
  model_max_length?: number | null;
  padding_side?: Side;
  truncation_side?: Side;
  model_input_names?: readonly string[];
  clean_up_tokenization_spaces?: boolean;
  clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output?: boolean;
  split_special_tokens?: boolean;
  chat_template?: ChatTemplates | null;
  chat_control_tokens?: readonly string[] | null;
  add_bos_token?: boolean;
  add_eos_token?: boolean;
}

/** The names of TokenizerSettings. */
export const TOKENIZER_SETTINGS = [
  ...SPECIAL_TOKENS_ATTRIBUTES,
  "extra_special_tokens",
  "model_specific_special_tokens",
  "model_max_length",
  "padding_side",
  "truncation_side",
  "model_input_names",
  "clean_up_tokenization_spaces",
  "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
  "split_special_tokens",
  "chat_template",
  "chat_control_tokens",
  "add_bos_token",
  "add_eos_token",
] as const satisfies readonly (keyof TokenizerSettings)[];

/** What a tokenizer is made of. Anything that is not known is kept, and saved again. */
export interface TokenizerInit extends TokenizerSettings {
  tokenizer_object: TextTokenizer;
  /** Tokens that tokenizer_config.json lists, in the order of their ids. */
  added_tokens?: readonly AddedToken[];
  name_or_path?: string;
  processor_class?: string | null;
  [key: string]: unknown;
}

/** @throws OptionError where it is not true or false */
export function booleanSetting(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined || value === null) return otherwise;
  if (typeof value === "boolean") return value;
  throw new OptionError(`${name}: expected true or false, got ${JSON.stringify(value)}`, {
    where: name,
    got: value,
  });
}

/** @throws OptionError where it is no side */
export function sideSetting(name: string, value: unknown, otherwise: Side): Side {
  return value === undefined || value === null ? otherwise : oneOf(name, value, ["left", "right"]);
}

/** @throws OptionError where it is no number above 0 */
export function lengthSetting(name: string, value: unknown, otherwise: number): number {
  if (value === undefined || value === null) return otherwise;
  if (typeof value === "number" && value >= 0) return value;
  throw new OptionError(`${name}: expected a length, got ${JSON.stringify(value)}`, {
    where: name,
    got: value,
  });
}

/** A list of strings, or null. @throws OptionError where it is something else */
export function stringsSetting(name: string, value: unknown): string[] | null {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return [...value];
  throw new OptionError(`${name}: expected a list of strings, got ${JSON.stringify(value)}`, {
    where: name,
    got: value,
  });
}

/**
 * A chat template in any of its forms: text, texts by name, or a list of `{ name, template }`.
 *
 * @throws OptionError where it is none
 */
export function chatTemplateSetting(value: unknown): ChatTemplates | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return value;
  const entries: [unknown, unknown][] = Array.isArray(value)
    ? value.map((item: { name?: unknown; template?: unknown } | null) => [item?.name, item?.template])
    : typeof value === "object"
      ? Object.entries(value)
      : [[null, null]];
  if (entries.every((entry): entry is [string, string] => entry.every((part) => typeof part === "string"))) {
    return Object.fromEntries(entries);
  }
  throw new OptionError("chat_template: expected a template, or templates by name", {
    where: "chat_template",
    got: value,
  });
}
