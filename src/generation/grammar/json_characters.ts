import { type CodeRange, LAST_CODE, subtract } from "./character_sets.ts";
import type { Grammar, Node } from "./grammar.ts";

/** What a JSON text must escape, and the halves of surrogate pairs, which UTF-8 cannot have. */
const ESCAPED: readonly CodeRange[] = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
  [0xd800, 0xdfff],
];
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\f": "\\f",
  "\r": "\\r",
  '"': '\\"',
  "\\": "\\\\",
};

/** One character of a JSON string that is of these code points, written as `JSON.stringify` writes it. */
export function characterOf(grammar: Grammar, ranges: readonly CodeRange[]): Node {
  const plain = subtract(ranges, ESCAPED).flatMap((range) => utf8(grammar, range));
  const escaped = ranges.flatMap(([first, last]) => {
    const codes = [...Array(0x20).keys(), 0x22, 0x5c].filter((code) => code >= first && code <= last);
    return codes.map((code) => grammar.text(escapeOf(code)));
  });
  return grammar.either(...plain, ...escaped);
}

/** Any character of a JSON string, in any of the ways to write it. */
export function anyCharacter(grammar: Grammar): Node {
  const hex = grammar.byte(codes("0123456789abcdefABCDEF"));
  const unit = grammar.either(
    grammar.sequence(grammar.byte(codes("0123456789abcefABCEF")), hex, hex, hex),
    grammar.sequence(grammar.byte(codes("dD")), grammar.range(0x30, 0x37), hex, hex),
  );
  const escaped = grammar.sequence(
    grammar.text("\\"),
    grammar.either(grammar.byte(codes('"\\/bfnrt')), grammar.sequence(grammar.text("u"), unit)),
  );
  const plain = subtract([[0, LAST_CODE]], ESCAPED).flatMap((range) => utf8(grammar, range));
  return grammar.either(...plain, escaped);
}

function codes(text: string): number[] {
  return Array.from(text, (char) => char.charCodeAt(0));
}

function escapeOf(code: number): string {
  const char = String.fromCharCode(code);
  return SHORT_ESCAPES[char] ?? `\\u${code.toString(16).padStart(4, "0")}`;
}

/** Bytes of the shortest character of a range, as `JSON.stringify` writes it. */
export function writtenBytes(first: number, last: number): number {
  const plain = subtract([[first, last]], ESCAPED);
  if (plain.length > 0) return encode(plain[0][0]).length;
  const escaped = Array.from({ length: last - first + 1 }, (_, i) => escapeOf(first + i).length);
  return Math.min(...escaped);
}

/** Where the UTF-8 of a code point gets longer. */
const LENGTHS = [0x80, 0x800, 0x10000, LAST_CODE + 1];

/** The UTF-8 of a range of code points. */
function utf8(grammar: Grammar, [first, last]: CodeRange): Node[] {
  const nodes: Node[] = [];
  let from = first;
  for (const limit of LENGTHS) {
    if (from >= limit) continue;
    const to = Math.min(last, limit - 1);
    if (from > to) break;
    nodes.push(...sameLength(grammar, encode(from), encode(to)));
    from = to + 1;
  }
  return nodes;
}

/** Byte sequences of one length, from the first to the last. */
function sameLength(grammar: Grammar, low: readonly number[], high: readonly number[]): Node[] {
  const [a, ...lows] = low;
  const [b, ...highs] = high;
  if (lows.length === 0) return [grammar.range(a, b)];
  const least = lows.map(() => 0x80);
  const most = lows.map(() => 0xbf);
  const after = (from: number, to: number, rest: Node[]) =>
    from > to ? [] : [grammar.sequence(grammar.range(from, to), grammar.either(...rest))];
  if (a === b) return after(a, b, sameLength(grammar, lows, highs));
  const whole = (bytes: readonly number[], bound: number) => bytes.every((byte) => byte === bound);
  const start = whole(lows, 0x80) ? a : a + 1;
  const end = whole(highs, 0xbf) ? b : b - 1;
  return [
    ...(start > a ? after(a, a, sameLength(grammar, lows, most)) : []),
    ...after(start, end, sameLength(grammar, least, most)),
    ...(end < b ? after(b, b, sameLength(grammar, least, highs)) : []),
  ];
}

function encode(code: number): number[] {
  if (code < 0x80) return [code];
  if (code < 0x800) return [0xc0 | (code >> 6), 0x80 | (code & 0x3f)];
  const tail = [0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)];
  if (code < 0x10000) return [0xe0 | (code >> 12), ...tail];
  return [0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f), ...tail];
}
