import { UnsupportedError } from "../../base/errors.ts";
import { isRecord } from "../../models/config_fields.ts";
import { matchingMode, type StoppingTokenizer, tokenBytes } from "../token_bytes.ts";

/** Tokens by their bytes: those that go on the same way share it. */
export interface TrieNode {
  readonly next: Map<number, TrieNode>;
  /** Tokens that end here. */
  readonly ids: number[];
}

/** The bytes of all tokens that can be a part of a text. */
export class TokenTrie {
  readonly root: TrieNode = { next: new Map(), ids: [] };
  readonly #bytes = new Map<number, readonly number[]>();

  /**
   * @throws UnsupportedError where tokens are no bytes: some texts could not be told then
   */
  constructor(tokenizer: StoppingTokenizer) {
    const file = tokenizer.backend_tokenizer?.toJSON() ?? {};
    const mode = matchingMode(file.decoder);
    if (mode === null) {
      throw new UnsupportedError("a grammar needs a tokenizer of bytes, or one that falls back to them", {
        where: "tokenizer",
      });
    }
    const added = new Set(addedIds(file.added_tokens));
    const vocab = tokenizer.get_vocab();
    const entries = vocab instanceof Map ? [...vocab] : Object.entries(vocab as Record<string, number>);
    const encoder = new TextEncoder();
    for (const [token, id] of entries) {
      if (added.has(id)) continue;
      // What is no byte is SentencePiece's, which writes a space as a low line.
      const bytes = tokenBytes(token, mode) ?? [...encoder.encode(token.replaceAll("\u2581", " "))];
      if (bytes.length > 0) this.#add(id, bytes);
    }
  }

  /** The bytes of a token; undefined for special ones and others that stand outside of texts. */
  bytes(id: number): readonly number[] | undefined {
    return this.#bytes.get(id);
  }

  #add(id: number, bytes: readonly number[]): void {
    this.#bytes.set(id, bytes);
    let node = this.root;
    for (const byte of bytes) {
      let next = node.next.get(byte);
      if (!next) {
        next = { next: new Map(), ids: [] };
        node.next.set(byte, next);
      }
      node = next;
    }
    node.ids.push(id);
  }
}

function addedIds(list: unknown): number[] {
  if (!Array.isArray(list)) return [];
  return list.filter(isRecord).map(({ id }) => Number(id));
}
