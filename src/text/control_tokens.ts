import { OptionError } from "../base/errors.ts";
import { describeChatTemplate } from "./chat_template.ts";
import type { TextTokenizer } from "./text_tokenizer.ts";

/** Private characters that stand around control tokens which a user wrote. */
export const CONTROL_START = "\u{f0000}";
export const CONTROL_END = "\u{f0001}";

/** What is marked, with its marks. */
export const MARKED = new RegExp(`${CONTROL_START}.*?${CONTROL_END}`, "gu");

/**
 * The tokens that a user may not write into a chat: special ones, and those among `listed`, or, without a list,
 * those that the template writes itself (white space apart).
 */
export function controlTokens(
  tokenizer: TextTokenizer,
  template: string,
  own: boolean,
  listed: readonly string[] | null,
): string[] {
  const { literals } = describeChatTemplate(template, own);
  return tokenizer.addedTokens
    .list()
    .filter(({ content, special }) => {
      if (special) return true;
      if (listed !== null) return listed.includes(content);
      return literals.includes(content) && content.trim() !== "";
    })
    .map(({ content }) => content);
}

/** Marks control tokens in every string of plain data; keys of objects are left alone. */
export function markControlTokens<T>(value: T, tokens: readonly string[]): T {
  const pattern = alternatives(tokens);
  const mark = (item: unknown): unknown => {
    if (typeof item === "string") {
      // Marks that are there already could pass for ours.
      const clean = item.replaceAll(CONTROL_START, "").replaceAll(CONTROL_END, "");
      return clean.replace(pattern, (token) => CONTROL_START + token + CONTROL_END);
    }
    if (Array.isArray(item)) return item.map(mark);
    const isPlain =
      typeof item === "object" && item !== null && Object.getPrototypeOf(item) === Object.prototype;
    if (!isPlain) return item;
    return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, mark(inner)]));
  };
  return mark(value) as T;
}

/**
 * The ids of a chat with marks: what is marked is encoded as ordinary text, all else as it is.
 *
 * @throws OptionError where the tokenizer makes a control token of ordinary text
 */
export function encodeMarked(tokenizer: TextTokenizer, chat: string): number[] {
  const tokens = tokenizer.addedTokens.list().map(({ content }) => content);
  const pattern = new RegExp(
    `${CONTROL_START}(${alternatives(tokens).source})${CONTROL_END}|[${CONTROL_START}${CONTROL_END}]`,
    "u",
  );
  const encode = (text: string): number[] =>
    tokenizer.encode(text, null, { addSpecialTokens: false, splitSpecialTokens: false }).ids;
  // Every other piece is a marked token, or nothing where a mark stands alone.
  const [first, ...pieces] = chat.split(pattern) as (string | undefined)[];
  const newline = encode("\n");
  const ids = encode(first ?? "");
  pieces.forEach((piece, i) => {
    if (!piece) return;
    const asText = i % 2 === 0;
    const found = continued(asText ? (text) => tokenizer.encodePlain(text) : encode, piece, newline);
    if (asText && found.includes(tokenizer.tokenToId(piece) ?? -1)) {
      throw new OptionError(`sanitize_control_tokens: the tokenizer makes '${piece}' of ordinary text`, {
        where: "sanitize_control_tokens",
      });
    }
    ids.push(...found);
  });
  return ids;
}

/** Encodes a piece as it would be in the middle of a text: after a line end, whose ids are taken off again. */
function continued(encode: (text: string) => number[], piece: string, newline: readonly number[]): number[] {
  const ids = encode(`\n${piece}`);
  return newline.every((id, i) => ids[i] === id) ? ids.slice(newline.length) : encode(piece);
}

/** Matches any of the tokens, longer ones first; without tokens, nothing. */
function alternatives(tokens: readonly string[]): RegExp {
  const sorted = [...tokens].sort((a, b) => b.length - a.length);
  const source = sorted.map((token) => token.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|");
  return new RegExp(source || "(?!)", "gu");
}
