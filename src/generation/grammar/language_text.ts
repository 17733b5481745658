import type { CodeRange } from "./character_sets.ts";
import type { Grammar, Node } from "./grammar.ts";
import { characterOf, writtenBytes } from "./json_characters.ts";
import { type Language, type Languages, tooLarge } from "./language.ts";

/** Beginnings of texts that are told apart, at most, to find the end of one. */
const MOST_STATES = 20_000;

/** Characters that a language does not tell apart. */
interface CharacterClass {
  ranges: CodeRange[];
  /** One of them. */
  code: number;
  /** Bytes of the shortest of them. */
  bytes: number;
}

/** Writes texts of a language into the strings of a grammar, as `JSON.stringify` writes them. */
export class LanguageText {
  readonly #grammar: Grammar;
  readonly #languages: Languages;
  readonly #classes: readonly CharacterClass[];
  readonly #distances = new Map<Language, number>();
  readonly #nodes = new Map<Language, Node>();

  /** @param languages where all that is to be written has been made */
  constructor(grammar: Grammar, languages: Languages) {
    this.#grammar = grammar;
    this.#languages = languages;
    this.#classes = languages.classes().map((ranges) => {
      const all = ranges.map(([first, last]) => writtenBytes(first, last));
      return { ranges, code: ranges[0][0], bytes: Math.min(...all) };
    });
  }

  /** The inside of a string; what follows a character is made when it is met. */
  node(language: Language): Node {
    return this.#grammar.lazy(this, language.id, {
      expand: () => {
        const node = this.#nodes.get(language) ?? this.#expand(language);
        this.#nodes.set(language, node);
        return node;
      },
      distance: () => this.distance(language),
    });
  }

  #expand(language: Language): Node {
    const grammar = this.#grammar;
    const ways = new Map<Language, CodeRange[]>();
    for (const { code, ranges } of this.#classes) {
      const after = this.#languages.after(language, code);
      if (this.distance(after) === Number.POSITIVE_INFINITY) continue;
      const own = ways.get(after);
      if (own) own.push(...ranges);
      else ways.set(after, [...ranges]);
    }
    const options = [...ways].map(([after, ranges]) =>
      grammar.sequence(characterOf(grammar, ranges), this.node(after)),
    );
    return grammar.either(...(language.nullable ? [grammar.empty] : []), ...options);
  }

  /** Bytes that are missing at least; infinitely many where no text is left. Breadth first, by bytes. */
  distance(language: Language): number {
    const known = this.#distances.get(language);
    if (known !== undefined) return known;
    const from = new Map<Language, Language | undefined>([[language, undefined]]);
    const costs = new Map<Language, number>([[language, 0]]);
    const due: Language[][] = [[language]];
    let [best, end]: [number, Language | undefined] = [Number.POSITIVE_INFINITY, undefined];
    for (let cost = 0; cost < due.length && cost < best; cost++) {
      for (const at of due[cost] ?? []) {
        if (costs.get(at) !== cost) continue;
        if (costs.size > MOST_STATES) throw tooLarge();
        const left = at.nullable ? 0 : (this.#distances.get(at) ?? Number.POSITIVE_INFINITY);
        if (cost + left < best) [best, end] = [cost + left, at];
        if (left < Number.POSITIVE_INFINITY || this.#distances.has(at)) continue;
        for (const { code, bytes } of this.#classes) {
          const next = this.#languages.after(at, code);
          if (next === this.#languages.none || cost + bytes >= (costs.get(next) ?? Number.POSITIVE_INFINITY))
            continue;
          costs.set(next, cost + bytes);
          from.set(next, at);
          due[cost + bytes] ??= [];
          due[cost + bytes].push(next);
        }
      }
    }
    if (end === undefined) {
      // Nothing that was met leads anywhere.
      for (const met of costs.keys()) this.#distances.set(met, Number.POSITIVE_INFINITY);
      return Number.POSITIVE_INFINITY;
    }
    for (let at: Language | undefined = end; at; at = from.get(at)) {
      this.#distances.set(at, best - (costs.get(at) ?? 0));
    }
    return best;
  }
}
