import { OptionError } from "../../base/errors.ts";
import { type CodeRange, complement, LAST_CODE } from "./character_sets.ts";

/** A regular expression, read. */
export type Syntax =
  | { kind: "chars"; ranges: readonly CodeRange[] }
  | { kind: "sequence"; items: readonly Syntax[] }
  | { kind: "either"; options: readonly Syntax[] }
  | { kind: "repeat"; item: Syntax; min: number; max: number }
  /** What comes must begin like this, or must not. */
  | { kind: "ahead"; item: Syntax; negative: boolean }
  | { kind: "begin" }
  | { kind: "end" };

const DIGIT: readonly CodeRange[] = [[0x30, 0x39]];
const WORD: readonly CodeRange[] = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const SPACE: readonly CodeRange[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: readonly CodeRange[] = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const CLASSES: Readonly<Record<string, readonly CodeRange[]>> = {
  d: DIGIT,
  D: complement(DIGIT),
  w: WORD,
  W: complement(WORD),
  s: SPACE,
  S: complement(SPACE),
};
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, "0": 0 };

/** More repetitions than this make automata that nobody waits for. */
const MOST_REPETITIONS = 1000;
/** Groups within groups. */
const DEEPEST = 100;

/**
 * Reads a regular expression as JavaScript's with the flag `u`. Known: characters, classes, groups, alternatives,
 * repetitions, look-ahead, `^` and `$`.
 *
 * @param where where the pattern stands, for messages
 * @throws OptionError naming what is not known
 */
export function readPattern(source: string, where: string): Syntax {
  return new Reader(source, where).whole();
}

class Reader {
  readonly #where: string;
  readonly #source: string;
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(source: string, where: string) {
    this.#where = where;
    this.#source = source;
    this.#chars = Array.from(source);
  }

  whole(): Syntax {
    const syntax = this.#alternatives();
    if (this.#at < this.#chars.length) throw this.#unknown(this.#chars[this.#at]);
    return syntax;
  }

  #alternatives(): Syntax {
    if (++this.#depth > DEEPEST) throw this.#unknown(`a group deeper than ${DEEPEST}`);
    const options = [this.#sequence()];
    while (this.#eat("|")) options.push(this.#sequence());
    this.#depth--;
    return options.length === 1 ? options[0] : { kind: "either", options };
  }

  #sequence(): Syntax {
    const items: Syntax[] = [];
    while (this.#at < this.#chars.length && !"|)".includes(this.#chars[this.#at])) {
      items.push(this.#repeated(this.#atom()));
    }
    return { kind: "sequence", items };
  }

  #repeated(item: Syntax): Syntax {
    const [min, max] = this.#counts() ?? [1, 1];
    if (min === 1 && max === 1) return item;
    if (item.kind === "begin" || item.kind === "end" || item.kind === "ahead") {
      throw this.#unknown("a repetition of what has no characters");
    }
    // Which match is preferred does not matter to what matches.
    this.#eat("?");
    return { kind: "repeat", item, min, max };
  }

  #counts(): [number, number] | undefined {
    if (this.#eat("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#eat("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#eat("?")) return [0, 1];
    const counts = /^\{(\d{1,9})(,?)(\d{0,9})\}/.exec(this.#chars.slice(this.#at, this.#at + 22).join(""));
    if (!counts) return undefined;
    const min = Number(counts[1]);
    const max = counts[3] ? Number(counts[3]) : counts[2] ? Number.POSITIVE_INFINITY : min;
    if (min > max || min > MOST_REPETITIONS || (max > MOST_REPETITIONS && max < Number.POSITIVE_INFINITY)) {
      throw this.#unknown(counts[0]);
    }
    this.#at += counts[0].length;
    return [min, max];
  }

  #atom(): Syntax {
    const char = this.#chars[this.#at++];
    if (char === "(") return this.#group();
    if (char === "^") return { kind: "begin" };
    if (char === "$") return { kind: "end" };
    if ("*+?{}".includes(char)) throw this.#unknown(char);
    if (char === "[") return { kind: "chars", ranges: this.#class() };
    if (char === ".") return { kind: "chars", ranges: complement(LINE_ENDS) };
    return { kind: "chars", ranges: char === "\\" ? this.#escape() : single(char) };
  }

  #group(): Syntax {
    if (!this.#eat("?")) return this.#closed();
    if (this.#eat(":")) return this.#closed();
    if (this.#eat("=")) return { kind: "ahead", item: this.#closed(), negative: false };
    if (this.#eat("!")) return { kind: "ahead", item: this.#closed(), negative: true };
    const name = /^<[A-Za-z_$][\w$]{0,50}>/.exec(this.#chars.slice(this.#at, this.#at + 54).join(""));
    if (!name) throw this.#unknown(`(?${this.#chars.slice(this.#at, this.#at + 2).join("")}`);
    this.#at += name[0].length;
    return this.#closed();
  }

  #closed(): Syntax {
    const inside = this.#alternatives();
    if (!this.#eat(")")) throw this.#unknown("( without )");
    return inside;
  }

  #class(): CodeRange[] {
    const negated = this.#eat("^");
    const ranges: CodeRange[] = [];
    while (!this.#eat("]")) {
      const from = this.#member();
      const to = this.#chars[this.#at] === "-" && this.#chars[this.#at + 1] !== "]" ? this.#upper() : from;
      const [first, last] = [from[0]?.[0], to[0]?.[1]];
      if (from === to) ranges.push(...from);
      else if (from.length === 1 && to.length === 1 && first <= last) ranges.push([first, last]);
      else throw this.#unknown("a range in [ ]");
    }
    return negated ? complement(ranges) : ranges;
  }

  #upper(): readonly CodeRange[] {
    this.#at++;
    return this.#member();
  }

  #member(): readonly CodeRange[] {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw this.#unknown("[ without ]");
    return char === "\\" ? this.#escape() : single(char);
  }

  #escape(): readonly CodeRange[] {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw this.#unknown("\\ at the end");
    if (Object.hasOwn(CLASSES, char)) return CLASSES[char];
    const rest = this.#chars.slice(this.#at - 1, this.#at + 60).join("");
    if (char === "p" || char === "P") return this.#property(rest);
    if (Object.hasOwn(CONTROLS, char)) return [[CONTROLS[char], CONTROLS[char]]];
    const hex = /^(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|x([0-9a-fA-F]{2}))/.exec(rest);
    const code = hex ? Number.parseInt(hex[1] ?? hex[2] ?? hex[3], 16) : 0;
    if (hex && code <= LAST_CODE) {
      this.#at += hex[0].length - 1;
      return [[code, code]];
    }
    if (/[A-Za-z0-9]/.test(char)) throw this.#unknown(`\\${char}`);
    return single(char);
  }

  /** `\p{...}`: the engine knows which characters those are. */
  #property(rest: string): readonly CodeRange[] {
    const name = /^[pP](\{[A-Za-z_=]{1,50}\})/.exec(rest);
    if (!name) throw this.#unknown(`\\${rest[0]}`);
    this.#at += name[1].length;
    try {
      const ranges = property(name[1]);
      return rest[0] === "P" ? complement(ranges) : ranges;
    } catch {
      throw this.#unknown(`\\${name[0]}`);
    }
  }

  #eat(char: string): boolean {
    if (this.#chars[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #unknown(what: string): OptionError {
    return new OptionError(`${this.#where}: ${what} is not supported in the pattern ${this.#source}`, {
      where: this.#where,
      got: this.#source,
    });
  }
}

function single(char: string): CodeRange[] {
  const code = char.codePointAt(0) ?? 0;
  return [[code, code]];
}

const properties = new Map<string, readonly CodeRange[]>();

/** @throws SyntaxError where there is no such property */
function property(name: string): readonly CodeRange[] {
  const known = properties.get(name);
  if (known) return known;
  const test = new RegExp(`\\p${name}`, "u");
  const ranges: [number, number][] = [];
  for (let code = 0; code <= LAST_CODE; code++) {
    if (!test.test(String.fromCodePoint(code))) continue;
    const last = ranges.at(-1);
    if (last?.[1] === code - 1) last[1] = code;
    else ranges.push([code, code]);
  }
  properties.set(name, ranges);
  return ranges;
}
