import type { TextTokenizer } from "./text_tokenizer.ts";

/** What DecodeStream needs of a tokenizer. */
export type IdDecoder = Pick<TextTokenizer, "decode">;

/**
 * Turns ids into text one by one, as they are generated. A step gives the text that is certain by now, or null
 * while a character is half there. Step for step the same as `DecodeStream` of Python's `tokenizers`.
 */
export class DecodeStream {
  private readonly tokenizer: IdDecoder;
  private readonly skipSpecialTokens: boolean;
  /** Ids that are still needed: the last shown ones, as context, and those not shown yet. */
  private ids: number[] = [];
  /** The text of the shown ones among `ids`. */
  private prefix = "";
  private shown = 0;

  constructor(tokenizer: IdDecoder, { skip_special_tokens = true }: { skip_special_tokens?: boolean } = {}) {
    this.tokenizer = tokenizer;
    this.skipSpecialTokens = skip_special_tokens;
  }

  /** Takes the next id. @returns the new text, or null where nothing can be shown yet */
  step(id: number): string | null {
    if (this.prefix === "" && this.ids.length > 0) {
      const context = this.decode();
      if (!context.endsWith("\ufffd")) {
        this.prefix = context;
        this.shown = this.ids.length;
      }
    }
    this.ids.push(id);
    const text = this.decode();
    if (text.length <= this.prefix.length || text.endsWith("\ufffd")) return null;
    const fresh = text.slice(this.prefix.length);
    this.ids = this.ids.slice(this.shown);
    this.prefix = this.decode();
    this.shown = this.ids.length;
    return fresh;
  }

  /** What was held back, once no id follows: also a character that stayed half. The stream starts anew. */
  flush(): string {
    const rest = this.decode().slice(this.prefix.length);
    this.ids = [];
    this.prefix = "";
    this.shown = 0;
    return rest;
  }

  private decode(): string {
    return this.tokenizer.decode(this.ids, this.skipSpecialTokens);
  }
}
