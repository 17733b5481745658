import type { RawImage } from "../src/index.ts";
import type { Prompt } from "./prompt.ts";

/** Prompts that are kept, characters of a conversation that is, and bytes of their pictures. */
const MOST_PROMPTS = 64;
const MOST_CHARACTERS = 10_000;
const MOST_BYTES = 64 * 2 ** 20;

/** A prompt that was asked for, and what its pictures take once it is there. */
interface Entry {
  prompt: Promise<Prompt>;
  bytes: number;
}

/** Keeps what was made of the latest conversations: that of the same texts and pictures is the same. */
export class KeptPrompts {
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  readonly #pictures = new WeakMap<RawImage, number>();
  #seen = 0;
  #bytes = 0;

  /** @param make called where the conversation is not among those that are kept */
  async take(conversation: object, make: () => Promise<Prompt>): Promise<Prompt> {
    const key = JSON.stringify(conversation, (name, value) =>
      name === "image" ? this.#number(value) : value,
    );
    if (key.length > MOST_CHARACTERS) return make();
    const entry = this.#entries.get(key) ?? this.#begin(key, make);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.prompt;
  }

  #begin(key: string, make: () => Promise<Prompt>): Entry {
    const entry: Entry = { prompt: make(), bytes: 0 };
    entry.prompt.then(
      ({ pixel_values }) => {
        if (this.#entries.get(key) === entry) this.#account(entry, pixel_values?.data.byteLength ?? 0);
      },
      () => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
      },
    );
    return entry;
  }

  #account(entry: Entry, bytes: number): void {
    entry.bytes = bytes;
    this.#bytes += bytes;
    for (const [oldest, { bytes: freed }] of this.#entries) {
      if (this.#entries.size <= MOST_PROMPTS && this.#bytes <= MOST_BYTES) break;
      this.#entries.delete(oldest);
      this.#bytes -= freed;
    }
  }

  #number(picture: RawImage): number {
    const number = this.#pictures.get(picture) ?? ++this.#seen;
    this.#pictures.set(picture, number);
    return number;
  }
}
