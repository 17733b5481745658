import { OptionError } from "../../base/errors.ts";
import type { Grammar, Node } from "./grammar.ts";
import { type CodeRange, characterOf, complement } from "./json_characters.ts";

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

/** More repetitions than this make grammars that nobody waits for. */
const MOST_REPETITIONS = 1000;

/**
 * The inside of JSON strings that match a regular expression, which counts as found anywhere unless `^` and `$` say
 * otherwise. Known: characters, classes, groups, alternatives, repetitions, `^` at the beginning and `$` at the end.
 *
 * @throws OptionError naming what is not known
 */
export function patternOf(grammar: Grammar, source: string, where: string): Node {
  return new Pattern(grammar, source, where).whole();
}

class Pattern {
  readonly #grammar: Grammar;
  readonly #where: string;
  readonly #source: string;
  readonly #chars: readonly string[];
  #at = 0;

  constructor(grammar: Grammar, source: string, where: string) {
    this.#grammar = grammar;
    this.#where = where;
    this.#source = source;
    this.#chars = Array.from(source);
  }

  whole(): Node {
    const anything = this.#grammar.repeat(characterOf(this.#grammar, complement([])));
    const branches: Node[] = [];
    do {
      const anchored = this.#eat("^");
      const inside = this.#sequence();
      const ended = this.#eat("$");
      branches.push(
        this.#grammar.sequence(
          anchored ? this.#grammar.empty : anything,
          inside,
          ended ? this.#grammar.empty : anything,
        ),
      );
    } while (this.#eat("|"));
    if (this.#at < this.#chars.length) throw this.#unknown(this.#chars[this.#at]);
    return this.#grammar.either(...branches);
  }

  #alternatives(): Node {
    const branches = [this.#sequence()];
    while (this.#eat("|")) branches.push(this.#sequence());
    return this.#grammar.either(...branches);
  }

  #sequence(): Node {
    const items: Node[] = [];
    while (this.#at < this.#chars.length && !"|)$".includes(this.#chars[this.#at])) {
      items.push(this.#repeated(this.#atom()));
    }
    return this.#grammar.sequence(...items);
  }

  #repeated(item: Node): Node {
    const grammar = this.#grammar;
    let node = item;
    if (this.#eat("*")) node = grammar.repeat(item);
    else if (this.#eat("+")) node = grammar.repeat(item, 1);
    else if (this.#eat("?")) node = grammar.optional(item);
    else {
      const counts = /^\{(\d+)(,?)(\d*)\}/.exec(this.#chars.slice(this.#at).join(""));
      if (!counts) return item;
      const min = Number(counts[1]);
      const max = counts[3] ? Number(counts[3]) : counts[2] ? Number.POSITIVE_INFINITY : min;
      if (min > max || min > MOST_REPETITIONS || (max > MOST_REPETITIONS && max < Number.POSITIVE_INFINITY)) {
        throw this.#unknown(counts[0]);
      }
      this.#at += counts[0].length;
      node = grammar.repeat(item, min, max);
    }
    // Which match is preferred does not matter to what matches.
    this.#eat("?");
    return node;
  }

  #atom(): Node {
    const char = this.#chars[this.#at++];
    if (char === "(") return this.#group();
    if (char === "[") return characterOf(this.#grammar, this.#class());
    if (char === ".") return characterOf(this.#grammar, complement(LINE_ENDS));
    if (char === "\\") return characterOf(this.#grammar, this.#escape());
    if ("^*+?{}".includes(char)) throw this.#unknown(char);
    return characterOf(this.#grammar, single(char));
  }

  #group(): Node {
    if (this.#eat("?") && !this.#eat(":")) throw this.#unknown(`(?${this.#chars[this.#at] ?? ""}`);
    const node = this.#alternatives();
    if (!this.#eat(")")) throw this.#unknown("( without )");
    return node;
  }

  #class(): CodeRange[] {
    const negated = this.#eat("^");
    const ranges: CodeRange[] = [];
    while (!this.#eat("]")) {
      const from = this.#member();
      const to = this.#chars[this.#at] === "-" && this.#chars[this.#at + 1] !== "]" ? this.#upper() : from;
      const [first, last] = [from[0][0], to[0][1]];
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
    if (Object.hasOwn(CONTROLS, char)) return [[CONTROLS[char], CONTROLS[char]]];
    const hex = /^(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2}))/.exec(this.#chars.slice(this.#at - 1).join(""));
    if (hex) {
      this.#at += hex[0].length - 1;
      const code = Number.parseInt(hex[1] ?? hex[2], 16);
      return [[code, code]];
    }
    if (/[A-Za-z0-9]/.test(char)) throw this.#unknown(`\\${char}`);
    return single(char);
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
