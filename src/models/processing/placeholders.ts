import { OptionError } from "../../base/errors.ts";
import { codePointIndex } from "../../text/aligned_text.ts";
import type { Span } from "../../text/chat_template.ts";
import { CONTROL_START, MARKED } from "../../text/control_tokens.ts";

/** What became of one place holder. Spans count code points, as Python does. */
export interface Replacement {
  type: "image";
  /** Where it was. */
  span: Span;
  /** Where what replaced it is. */
  new_span: Span;
  text: string;
  replacement: string;
}

/** Matches a place holder, unless it was marked as a user's. */
function placeholderPattern(token: string): RegExp {
  return new RegExp(`(?<!${CONTROL_START})${token.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")}`, "gu");
}

/** How many place holders stand in a text, those that a user wrote apart. */
export function countPlaceholders(text: string, token: string): number {
  return text.match(placeholderPattern(token))?.length ?? 0;
}

/**
 * Puts replacements where place holders are, one after the other through all texts.
 *
 * @returns the texts, and for each what was replaced
 */
export function replacePlaceholders(
  texts: readonly string[],
  token: string,
  replacements: readonly string[],
): [string[], Replacement[][]] {
  let next = 0;
  const all: Replacement[][] = [];
  const expanded = texts.map((text) => {
    const made: Replacement[] = [];
    const parts: string[] = [];
    const index = codePointIndex(text);
    let last = 0;
    let grown = 0;
    for (const { 0: found, index: at } of next < replacements.length
      ? text.matchAll(placeholderPattern(token))
      : []) {
      const replacement = replacements[next++];
      if (replacement === undefined) break;
      const span: Span = [index(at), index(at + found.length)];
      const length = codePointIndex(replacement)(replacement.length);
      const start = span[0] + grown;
      made.push({ type: "image", span, new_span: [start, start + length], text: found, replacement });
      parts.push(text.slice(last, at), replacement);
      last = at + found.length;
      grown += length - (span[1] - span[0]);
    }
    parts.push(text.slice(last));
    all.push(made);
    return parts.join("");
  });
  return [expanded, all];
}

/** @throws OptionError where texts have more or fewer place holders than there are pictures */
export function checkPlaceholderCount(
  texts: readonly string[],
  token: string,
  images: number | null,
  sanitized = false,
): void {
  // What is marked is a user's text.
  const plain = sanitized ? texts.map((text) => text.replace(MARKED, "")) : texts;
  const found = plain.reduce((sum, text) => sum + countAll(text, token), 0);
  if (found === (images ?? 0)) return;
  const hint =
    images === null
      ? `Found ${found} ${token} in the text, but no pictures were given. Give them as images, or in the messages.`
      : `Found ${found} ${token} in the texts, but ${images} ${images === 1 ? "picture was" : "pictures were"} given. Each picture needs one ${token} in the text.`;
  throw new OptionError(hint, { where: "images", expected: found, got: images ?? 0 });
}

function countAll(text: string, token: string): number {
  return text.split(token).length - 1;
}

/** @throws OptionError where a row has lost picture tokens on the way from text to ids */
export function checkTokenCount(
  texts: readonly string[],
  rows: readonly (readonly number[])[],
  token: string,
  id: number,
): void {
  const expected = texts.map((text) => countPlaceholders(text, token));
  const got = rows.map((ids) => ids.filter((other) => other === id).length);
  if (expected.length === got.length && expected.every((count, i) => count === got[i])) return;
  throw new OptionError(
    `The texts have ${expected.join(", ")} picture tokens, the ids ${got.join(", ")}: truncation has cut some off. Leave truncation out, or give a larger max_length.`,
    { where: "truncation", expected, got },
  );
}

/**
 * For each token of a row, whether a template's `generation` block wrote it: 1 where its characters overlap with
 * one of the spans, which count characters before place holders were replaced.
 */
export function assistantMask(
  offsets: readonly (readonly [number, number])[],
  spans: readonly Span[],
  replacements: readonly Replacement[],
): number[] {
  const shifted = (char: number): number => {
    const before = replacements.filter(({ span }) => span[1] <= char).at(-1);
    return before === undefined ? char : char + before.new_span[1] - before.span[1];
  };
  const moved = spans.map(([start, end]) => [shifted(start), shifted(end)]);
  return offsets.map(([from, to]) => (moved.some(([start, end]) => from < end && to > start) ? 1 : 0));
}
