import { OptionError } from "../../base/errors.ts";
import { complement } from "./character_sets.ts";
import type { Language, Languages } from "./language.ts";
import { readPattern, type Syntax } from "./pattern_syntax.ts";

/** Repetitions of something with look-ahead in it are written out, so many times. */
const MOST_WRITTEN_OUT = 16;

/**
 * The texts in which a regular expression finds something: anywhere, unless `^` and `$` say otherwise.
 *
 * @throws OptionError naming what is not known
 */
export function patternLanguage(languages: Languages, source: string, where: string): Language {
  const syntax = readPattern(source, where);
  const writer = new Writer(languages, (what) => {
    return new OptionError(`${where}: ${what} is not supported in the pattern ${source}`, {
      where,
      got: source,
    });
  });
  const { all } = languages;
  const any = languages.chars(complement([]));
  const later = writer.followed(syntax, all, false);
  return languages.either(writer.followed(syntax, all, true), languages.sequence(any, all, later));
}

/**
 * Writes syntax as a language. Look-ahead speaks of all that follows, so each part is written together with that.
 */
class Writer {
  readonly #languages: Languages;
  readonly #unsupported: (what: string) => OptionError;

  constructor(languages: Languages, unsupported: (what: string) => OptionError) {
    this.#languages = languages;
    this.#unsupported = unsupported;
  }

  /**
   * The texts that match, with what follows them.
   *
   * @param rest what may follow
   * @param begins whether the text begins here
   */
  followed(syntax: Syntax, rest: Language, begins: boolean): Language {
    const languages = this.#languages;
    switch (syntax.kind) {
      case "chars":
        return languages.sequence(languages.chars(syntax.ranges), rest);
      case "sequence":
        return this.#sequence(syntax.items, rest, begins);
      case "either":
        return languages.either(...syntax.options.map((option) => this.followed(option, rest, begins)));
      case "repeat":
        return this.#repeat(syntax, rest, begins);
      case "ahead": {
        const seen = this.followed(syntax.item, languages.all, begins);
        return languages.both(rest, syntax.negative ? languages.not(seen) : seen);
      }
      case "begin":
        return begins ? rest : languages.none;
      case "end":
        return languages.both(rest, languages.empty);
    }
  }

  #sequence([first, ...others]: readonly Syntax[], rest: Language, begins: boolean): Language {
    if (!first) return rest;
    const after = this.#sequence(others, rest, begins && !takesCharacters(first));
    return this.followed(first, after, begins);
  }

  #repeat({ item, min, max }: Syntax & { kind: "repeat" }, rest: Language, begins: boolean): Language {
    const languages = this.#languages;
    if (isPlain(item)) {
      return languages.sequence(
        languages.repeat(this.followed(item, languages.empty, false), min, max),
        rest,
      );
    }
    if (max > MOST_WRITTEN_OUT) throw this.#unsupported("look-ahead or an anchor within a repetition");
    let node = rest;
    for (let i = max; i > 0; i--) {
      const once = this.followed(item, node, begins && i === 1);
      node = i > min ? languages.either(rest, once) : once;
    }
    return node;
  }
}

/** Whether it is the same wherever it stands. */
function isPlain(syntax: Syntax): boolean {
  switch (syntax.kind) {
    case "chars":
      return true;
    case "sequence":
      return syntax.items.every(isPlain);
    case "either":
      return syntax.options.every(isPlain);
    case "repeat":
      return isPlain(syntax.item);
    case "ahead":
    case "begin":
    case "end":
      return false;
  }
}

/** Whether a text cannot begin after it. What may be empty is taken not to be: `^` after that is not told then. */
function takesCharacters({ kind }: Syntax): boolean {
  return kind !== "ahead" && kind !== "begin" && kind !== "end";
}
