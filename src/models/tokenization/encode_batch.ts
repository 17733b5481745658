import { OptionError, UnsupportedError } from "../../base/errors.ts";
import { type Encoding, pad, type Side, truncate } from "../../text/encoding.ts";
import type { TextInput, TextTokenizer } from "../../text/text_tokenizer.ts";
import {
  lengthOption,
  type PadToken,
  type Strategies,
  sideOption,
  type TokenizerCallOptions,
} from "./options.ts";

/** One text or pair for each row, and whether there was but one, not in a list. */
export interface Rows {
  rows: { first: TextInput; second: TextInput | null }[];
  single: boolean;
}

/**
 * Sorts texts into rows.
 *
 * @throws OptionError where they are none, or pairs do not pair up
 */
export function rowsOf(text: unknown, text_pair: unknown, isSplit: boolean): Rows {
  checkText("text", text);
  if (text_pair !== null) checkText("text_pair", text_pair);
  const batched = isSplit ? Array.isArray(text) && Array.isArray(text[0]) : Array.isArray(text);
  if (!batched) {
    // An empty second text counts as none.
    const second = typeof text_pair === "string" && text_pair === "" ? null : (text_pair as TextInput | null);
    return { rows: [{ first: text as TextInput, second }], single: true };
  }
  const firsts = text as TextInput[];
  if (text_pair === null) return { rows: firsts.map((first) => ({ first, second: null })), single: false };
  if (!Array.isArray(text_pair) || text_pair.length !== firsts.length) {
    throw new OptionError(`text_pair: expected a list of ${firsts.length} texts, one for each of 'text'`, {
      where: "text_pair",
      expected: firsts.length,
      got: Array.isArray(text_pair) ? text_pair.length : text_pair,
    });
  }
  return {
    rows: firsts.map((first, i) => ({ first, second: text_pair[i] as TextInput })),
    single: false,
  };
}

function checkText(name: string, value: unknown): void {
  const isText = (item: unknown): boolean =>
    typeof item === "string" || (Array.isArray(item) && item.every(isText));
  if (isText(value)) return;
  const got = value === null ? "null" : Array.isArray(value) ? "a list with something else" : typeof value;
  throw new OptionError(`${name}: expected a string, or a list of strings, got ${got}`, {
    where: name,
    expected: "a string, or a list of strings",
    got: value,
  });
}

/** What a batch is encoded with. */
export interface BatchSettings {
  options: TokenizerCallOptions;
  strategies: Strategies;
  splitSpecialTokens: boolean;
  truncationSide: Side;
  paddingSide: Side;
  /** Throws where the tokenizer has no padding token. */
  padToken: () => PadToken;
}

/** Encodes rows, cuts and pads them. One encoding a row; what was cut off hangs on it. */
export function encodeRows(
  tokenizer: TextTokenizer,
  rows: Rows["rows"],
  settings: BatchSettings,
): Encoding[] {
  const { options, strategies } = settings;
  const encoded = rows.map(({ first, second }) =>
    tokenizer.encode(first, second, {
      addSpecialTokens: options.add_special_tokens ?? true,
      splitSpecialTokens: settings.splitSpecialTokens,
      cut: (one, two, added) => cut(one, two, added, settings),
    }),
  );
  if (strategies.padding === "do_not_pad") return encoded;
  const { id, token, type_id } = settings.padToken();
  return pad(encoded, {
    length: strategies.padding === "max_length" ? strategies.max_length : null,
    side: options.padding_side ? sideOption("padding_side", options.padding_side) : settings.paddingSide,
    pad_to_multiple_of: lengthOption("pad_to_multiple_of", options.pad_to_multiple_of),
    id,
    token,
    type_id,
  });
}

/** Cuts one or two texts so that they and `added` special tokens have room. */
function cut(
  one: Encoding,
  two: Encoding | null,
  added: number,
  { options, strategies, truncationSide }: BatchSettings,
): [Encoding, Encoding | null] {
  const { truncation, max_length } = strategies;
  if (truncation === "do_not_truncate" || max_length === null) return [one, two];
  const stride = lengthOption("stride", options.stride) ?? 0;
  // Where not even the special tokens have room, Python's library cuts nothing.
  const room = max_length - added;
  if (room < 0) return [one, two];
  const excess = one.length + (two?.length ?? 0) - room;
  if (excess <= 0) return [one, two];
  const shorten = (encoding: Encoding, length: number) => truncate(encoding, length, stride, truncationSide);
  if (two !== null && options.return_overflowing_tokens) {
    throw new UnsupportedError("return_overflowing_tokens: pairs of texts are not supported", {
      where: "return_overflowing_tokens",
    });
  }
  if (room === 0) return [shorten(one, 0), two && shorten(two, 0)];
  if (truncation === "longest_first") {
    if (two === null) return [shorten(one, one.length - excess), null];
    const [first, second] = shareRoom(one.length, two.length, room);
    return [shorten(one, first), shorten(two, second)];
  }
  const target = truncation === "only_first" ? one : two;
  if (target === null) {
    throw new OptionError("truncation: 'only_second' needs a text_pair", { where: "truncation" });
  }
  if (target.length <= excess) {
    throw new OptionError(
      `truncation: ${excess} tokens must go, but the ${truncation === "only_first" ? "first" : "second"} text has ${target.length}. Give another truncation or a larger max_length.`,
      { where: "truncation", expected: excess, got: target.length },
    );
  }
  const shortened = shorten(target, target.length - excess);
  return truncation === "only_first" ? [shortened, two] : [one, shortened];
}

/** How many tokens of each of two texts fit: the longer one gives way first. */
function shareRoom(one: number, two: number, room: number): [number, number] {
  const [short, long] = one <= two ? [one, two] : [two, one];
  const rest = short > room ? short : Math.max(short, room - short);
  const half = Math.floor(room / 2);
  const [least, most] = short + rest > room ? [half, half + (room % 2)] : [short, Math.min(long, rest)];
  return one <= two ? [least, most] : [most, least];
}

/** The columns of a batch, by name. */
export function columnsOf(
  rows: readonly Encoding[],
  options: TokenizerCallOptions,
  names: readonly string[],
): Record<string, unknown> {
  const wanted = (option: boolean | null | undefined, name: string) => option ?? names.includes(name);
  const data: Record<string, unknown> = { input_ids: rows.map((row) => row.ids) };
  if (wanted(options.return_token_type_ids, "token_type_ids")) {
    data.token_type_ids = rows.map((row) => row.type_ids);
  }
  if (wanted(options.return_attention_mask, "attention_mask")) {
    data.attention_mask = rows.map((row) => row.attention_mask);
  }
  if (options.return_special_tokens_mask) {
    data.special_tokens_mask = rows.map((row) => row.special_tokens_mask);
  }
  if (options.return_offsets_mapping) data.offset_mapping = rows.map((row) => row.offsets);
  if (options.return_length) data.length = rows.map((row) => row.length);
  return data;
}

/** The first row of each column; lengths stay a list. */
export function firstRow(data: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => {
      const list = value as unknown[];
      return [key, Array.isArray(list[0]) ? list[0] : list];
    }),
  );
}
