import type { Loaded } from "./model_pool.ts";

type Tokenizer = Loaded["processor"]["tokenizer"];

/** What single tokens read like within a text. */
export class TokenTexts {
  readonly #tokenizer: Tokenizer;
  #before: { ids: number[]; text: string } | undefined;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** @param first whether a text begins with it */
  textOf(id: number, first: boolean): string {
    if (first) return this.#tokenizer.decode([id]);
    // A token's leading space is shown after another token only.
    this.#before ??= this.#another();
    const { ids, text } = this.#before;
    return this.#tokenizer.decode([...ids, id]).slice(text.length);
  }

  #another(): { ids: number[]; text: string } {
    const ids = this.#tokenizer.encode("a", { add_special_tokens: false });
    return { ids, text: this.#tokenizer.decode(ids) };
  }

  /** The token's UTF-8, also where it is a part of a character; null where that cannot be said. */
  bytesOf(id: number, first: boolean): number[] | null {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(String(this.#tokenizer.convert_ids_to_tokens(id)));
    if (byte) return [Number.parseInt(byte[1], 16)];
    const text = this.textOf(id, first);
    return text.includes("\ufffd") ? null : [...new TextEncoder().encode(text)];
  }
}
