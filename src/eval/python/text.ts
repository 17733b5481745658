// Text as Python treats it: the benchmarks' figures depend on these rules.

/** What Python's `str.strip`, `str.split` and `\s` take for white space, as the inside of a character class. */
export const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const EDGES = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "gu");
const SPACES = new RegExp(`[${SPACE}]+`, "u");

/** `str.strip()` */
export function strip(text: string): string {
  return text.replace(EDGES, "");
}

/** `str.split()`: the words between white space; no empty ones. */
export function words(text: string): string[] {
  const inside = strip(text);
  return inside === "" ? [] : inside.split(SPACES);
}

/** `len(str)`: code points, not UTF-16 units. */
export function length(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** The order of Python's `sorted` for texts: by code point. */
export function compareText(a: string, b: string): number {
  const left = [...a];
  const right = [...b];
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = (left[i].codePointAt(0) ?? 0) - (right[i].codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

const DIGIT = /\p{Nd}/u;

/** Decimal digits of every script as 0-9, as `int` and `float` read them. */
export function asciiDigits(text: string): string {
  return text.replace(/\p{Nd}/gu, (digit) => {
    const code = digit.codePointAt(0) ?? 0;
    // The digits of a script stand in a row of ten, from nought on.
    let first = code;
    while (DIGIT.test(String.fromCodePoint(first - 1))) first--;
    return String((code - first) % 10);
  });
}
