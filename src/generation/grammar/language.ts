import { OptionError } from "../../base/errors.ts";
import { type CodeRange, includes, LAST_CODE, merged } from "./character_sets.ts";

/** Languages of one schema's string, and parts of one language: far more than any pattern that is meant needs. */
const MOST_LANGUAGES = 100_000;
const MOST_PARTS = 1000;

type Shape =
  | { kind: "empty" }
  | { kind: "chars"; ranges: readonly CodeRange[] }
  | { kind: "sequence"; first: Language; second: Language }
  | { kind: "either" | "both"; parts: readonly Language[] }
  | { kind: "not"; part: Language }
  | { kind: "repeat"; item: Language; min: number; max: number };

/** A set of texts. Equal ones are one object, as far as that is seen easily. */
export interface Language {
  readonly id: number;
  readonly shape: Shape;
  /** Whether the empty text is one of them. */
  readonly nullable: boolean;
  /** What is left after a character, by the character's class. */
  readonly after: Map<number, Language>;
}

/**
 * Regular languages over code points, with intersection and complement, which look-ahead and several patterns at once
 * come down to. What may follow a beginning of a text is a language again: its derivative (Brzozowski 1964).
 */
export class Languages {
  readonly #known = new Map<string, Language>();
  /** No text. */
  readonly none: Language = this.#of("chars ", { kind: "chars", ranges: [] }, false);
  /** The empty text alone. */
  readonly empty: Language = this.#of("empty", { kind: "empty" }, true);
  /** Any text. */
  readonly all: Language = this.not(this.none);

  /** One character of some. */
  chars(ranges: readonly CodeRange[]): Language {
    const own = merged(ranges);
    return this.#of(`chars ${own.join()}`, { kind: "chars", ranges: own }, false);
  }

  sequence(...items: readonly Language[]): Language {
    return items.reduceRight((second, first) => this.#pair(first, second), this.empty);
  }

  either(...options: readonly Language[]): Language {
    const flat = options.flatMap((option) => (option.shape.kind === "either" ? option.shape.parts : option));
    if (flat.includes(this.all)) return this.all;
    const ranges = flat.flatMap(({ shape }) => (shape.kind === "chars" ? shape.ranges : []));
    const others = flat.filter(({ shape }) => shape.kind !== "chars");
    return this.#several("either", ranges.length > 0 ? [this.chars(ranges), ...others] : others, this.none);
  }

  both(...parts: readonly Language[]): Language {
    const flat = parts.flatMap((part) => (part.shape.kind === "both" ? part.shape.parts : part));
    if (flat.includes(this.none)) return this.none;
    if (flat.includes(this.empty)) return flat.every(({ nullable }) => nullable) ? this.empty : this.none;
    return this.#several(
      "both",
      flat.filter((part) => part !== this.all),
      this.all,
    );
  }

  not(part: Language): Language {
    if (part.shape.kind === "not") return part.shape.part;
    return this.#of(`not ${part.id}`, { kind: "not", part }, !part.nullable);
  }

  repeat(item: Language, min = 0, max = Number.POSITIVE_INFINITY): Language {
    if (max === 0 || item === this.empty) return this.empty;
    if (item === this.none) return min === 0 ? this.empty : this.none;
    if (min === 1 && max === 1) return item;
    const shape = { kind: "repeat", item, min, max } as const;
    return this.#of(`repeat ${item.id} ${min} ${max}`, shape, min === 0 || item.nullable);
  }

  /** What may follow a character of a text. */
  after(language: Language, code: number): Language {
    const known = language.after.get(code);
    if (known) return known;
    const next = this.#after(language, code);
    language.after.set(code, next);
    return next;
  }

  #after({ shape }: Language, code: number): Language {
    switch (shape.kind) {
      case "empty":
        return this.none;
      case "chars":
        return includes(shape.ranges, code) ? this.empty : this.none;
      case "sequence": {
        const rest = this.#pair(this.after(shape.first, code), shape.second);
        return shape.first.nullable ? this.either(rest, this.after(shape.second, code)) : rest;
      }
      case "either":
        return this.either(...shape.parts.map((part) => this.after(part, code)));
      case "both":
        return this.both(...shape.parts.map((part) => this.after(part, code)));
      case "not":
        return this.not(this.after(shape.part, code));
      case "repeat": {
        const { item, min, max } = shape;
        return this.#pair(this.after(item, code), this.repeat(item, Math.max(0, min - 1), max - 1));
      }
    }
  }

  /** Code points that no language here tells apart. Halves of surrogate pairs are in none of the classes. */
  classes(): CodeRange[][] {
    const sets = [...this.#known.values()].flatMap(({ shape }) =>
      shape.kind === "chars" ? [shape.ranges] : [],
    );
    const cuts = new Set([0, 0x80, 0xd800, 0xe000, LAST_CODE + 1]);
    for (const [first, last] of sets.flat()) cuts.add(first).add(last + 1);
    const ordered = [...cuts].sort((a, b) => a - b);
    const classes = new Map<string, CodeRange[]>();
    for (const [i, first] of ordered.slice(0, -1).entries()) {
      if (first >= 0xd800 && first < 0xe000) continue;
      const key = sets.map((set) => (includes(set, first) ? 1 : 0)).join("");
      const range: CodeRange = [first, ordered[i + 1] - 1];
      const own = classes.get(key);
      if (own) own.push(range);
      else classes.set(key, [range]);
    }
    return [...classes.values()];
  }

  #pair(first: Language, second: Language): Language {
    if (first === this.none || second === this.none) return this.none;
    if (first === this.empty) return second;
    if (second === this.empty) return first;
    if (first.shape.kind === "sequence") {
      return this.#pair(first.shape.first, this.#pair(first.shape.second, second));
    }
    if (first === this.all && second === this.all) return this.all;
    const shape = { kind: "sequence", first, second } as const;
    return this.#of(`sequence ${first.id} ${second.id}`, shape, first.nullable && second.nullable);
  }

  #several(kind: "either" | "both", parts: readonly Language[], neutral: Language): Language {
    if (parts.length > MOST_PARTS) throw tooLarge();
    const own = [...new Set(parts)].sort((a, b) => a.id - b.id);
    if (own.length === 0) return neutral;
    if (own.length === 1) return own[0];
    const nullable = own[kind === "either" ? "some" : "every"]((part) => part.nullable);
    return this.#of(`${kind} ${own.map(({ id }) => id)}`, { kind, parts: own }, nullable);
  }

  #of(key: string, shape: Shape, nullable: boolean): Language {
    const found = this.#known.get(key);
    if (found) return found;
    if (this.#known.size > MOST_LANGUAGES) throw tooLarge();
    const language = { id: this.#known.size, shape, nullable, after: new Map() };
    this.#known.set(key, language);
    return language;
  }
}

/** Patterns can ask for more than can be told apart. */
export function tooLarge(): OptionError {
  return new OptionError("schema: a pattern, with what stands beside it, is too large to be held", {
    where: "schema",
  });
}
