import { OptionError } from "../base/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { matrix, plainIds } from "./logits_process/base.ts";
import { StoppingCriteria } from "./stopping_base.ts";
import { type MatchingMode, matchingMode, type StoppingTokenizer, tokenBytes } from "./token_bytes.ts";

export type { StoppingTokenizer };

/** Characters or bytes, as numbers. */
type Units = readonly number[];

const PREFIX = "abcdef";
const encoder = new TextEncoder();

/**
 * At a token with which a string is complete. The string may begin within a token and end within the last one: `stop`
 * is found in `las`, `topper`. It must reach into the last token: what came before has been looked at before.
 */
export class StopStringCriteria extends StoppingCriteria {
  readonly stop_strings: readonly string[];
  readonly #targets: readonly Units[];
  readonly #mode: MatchingMode;
  readonly #tokens: ReadonlyMap<number, string>;
  readonly #units = new Map<number, Units | undefined>();
  readonly #tokenizer: StoppingTokenizer;
  readonly #base: readonly string[];
  /** No match is longer than this many tokens. */
  readonly #reach: number;

  /** @throws OptionError where no token can be a part of any of the strings */
  constructor(tokenizer: StoppingTokenizer, stop_strings: string | readonly string[]) {
    super();
    this.stop_strings = typeof stop_strings === "string" ? [stop_strings] : [...stop_strings];
    if (this.stop_strings.length === 0 || this.stop_strings.some((s) => typeof s !== "string" || s === "")) {
      throw new OptionError("stop_strings: expected a string or strings, none of them empty", {
        where: "stop_strings",
        got: stop_strings,
      });
    }
    this.#tokenizer = tokenizer;
    this.#mode = matchingMode(tokenizer.backend_tokenizer?.toJSON().decoder);
    this.#targets = this.stop_strings.map((text) => this.#unitsOf(text));
    this.#reach = Math.max(...this.#targets.map((target) => target.length));
    const vocab = tokenizer.get_vocab();
    const entries = vocab instanceof Map ? [...vocab] : Object.entries(vocab as Record<string, number>);
    this.#tokens = new Map(entries.map(([token, id]) => [id, token]));
    const base = tokenizer.encode(PREFIX, { add_special_tokens: false });
    this.#base = base.map((id) => this.#tokens.get(id) ?? "");
    this.#refuseImpossible();
  }

  override __call__(input_ids: Tensor): boolean[] {
    const [rows, length] = matrix("StopStringCriteria", "input_ids", input_ids);
    const ids = plainIds(input_ids);
    return Array.from({ length: rows }, (_, row) => {
      const tail = ids.subarray(Math.max(row * length, (row + 1) * length - this.#reach), (row + 1) * length);
      const backwards = Array.from(tail).reverse();
      return this.#targets.some((target) => this.#matches(target, backwards));
    });
  }

  /** Whether the tokens, last one first, complete the target. */
  #matches(target: Units, backwards: readonly number[]): boolean {
    const last = this.#token(backwards[0]);
    if (last === undefined) return false;
    for (let kept = 1; kept <= last.length; kept++) {
      const end = Math.min(kept, target.length);
      if (agree(last, kept, target, target.length, end) && this.#goesOn(target, end, backwards)) return true;
    }
    return false;
  }

  /** Whether the tokens before the last one are what the target has before its last `matched` units. */
  #goesOn(target: Units, matched: number, backwards: readonly number[]): boolean {
    let done = matched;
    for (let i = 1; done < target.length; i++) {
      const token = i < backwards.length ? this.#token(backwards[i]) : undefined;
      if (token === undefined) return false;
      const left = target.length - done;
      if (!agree(token, token.length, target, left, Math.min(token.length, left))) return false;
      done += token.length;
    }
    return true;
  }

  /** What a token adds to a text; undefined for an id that no token has. */
  #token(id: number): Units | undefined {
    if (!this.#units.has(id)) {
      const token = this.#tokens.get(id);
      this.#units.set(id, token === undefined ? undefined : this.#clean(token));
    }
    return this.#units.get(id);
  }

  /** A token's own bytes, or its text within a text: with the space or without, as the decoder has it. */
  #clean(token: string): Units {
    const bytes = tokenBytes(token, this.#mode);
    if (bytes !== undefined) return bytes;
    const text = this.#tokenizer.convert_tokens_to_string([...this.#base, token]);
    return this.#unitsOf(text.slice(text.indexOf(PREFIX) + PREFIX.length));
  }

  #unitsOf(text: string): Units {
    if (this.#mode !== null) return Array.from(encoder.encode(text));
    return Array.from(text, (character) => character.codePointAt(0) as number);
  }

  /** With bytes, any string can come about; with characters, some may be in no token. */
  #refuseImpossible(): void {
    if (this.#mode !== null) return;
    for (const id of this.#tokens.keys()) {
      const token = this.#token(id) ?? [];
      for (const target of this.#targets) {
        for (let kept = 1; kept <= token.length; kept++) {
          if (agree(token, kept, target, target.length, Math.min(kept, target.length))) return;
        }
      }
    }
    throw new OptionError(
      `stop_strings: no token can end any of ${JSON.stringify(this.stop_strings)}. Are there characters in them that the vocabulary does not have?`,
      { where: "stop_strings", got: this.stop_strings },
    );
  }
}

/** Whether the `count` units before `aEnd` of a are those before `bEnd` of b. */
function agree(a: Units, aEnd: number, b: Units, bEnd: number, count: number): boolean {
  for (let i = 1; i <= count; i++) if (a[aEnd - i] !== b[bEnd - i]) return false;
  return true;
}
