import type { Loaded } from "./model_pool.ts";

type Tokenizer = Loaded["processor"]["tokenizer"];

/** What single tokens read like within a text. */
export class TokenTexts {
  readonly #tokenizer: Tokenizer;
  readonly #before: number[];
  readonly #beforeText: string;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
    // A token's leading space is shown after another token only.
    this.#before = tokenizer.encode("a", { add_special_tokens: false });
    this.#beforeText = tokenizer.decode(this.#before);
  }

  /** @param first whether a text begins with it */
  textOf(id: number, first: boolean): string {
    if (first) return this.#tokenizer.decode([id]);
    return this.#tokenizer.decode([...this.#before, id]).slice(this.#beforeText.length);
  }

  /** The token's UTF-8, also where it is a part of a character; null where that cannot be said. */
  bytesOf(id: number, first: boolean): number[] | null {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(String(this.#tokenizer.convert_ids_to_tokens(id)));
    if (byte) return [Number.parseInt(byte[1], 16)];
    const text = this.textOf(id, first);
    return text.includes("\ufffd") ? null : [...new TextEncoder().encode(text)];
  }
}
