import { UnsupportedError } from "../../base/errors.ts";
import { isRecord } from "../../models/config_fields.ts";
import { matchingMode, type StoppingTokenizer, tokenBytes } from "../token_bytes.ts";

interface Branch {
  readonly next: Map<number, Branch>;
  /** Tokens that end here. */
  readonly ids: number[];
}

/** Tokens of so many bytes are short. Most are. */
const SHORT = 16;

/** The tokens that can be a part of a text. */
export class TokenBytes {
  readonly short: TokenTrie;
  readonly long: TokenTrie;
  readonly #bytes: ReadonlyMap<number, readonly number[]>;

  /**
   * @throws UnsupportedError where tokens are no bytes: some texts could not be told then
   */
  constructor(tokenizer: StoppingTokenizer) {
    this.#bytes = new Map(bytesOf(tokenizer));
    this.short = new TokenTrie([...this.#bytes].filter(([, { length }]) => length <= SHORT));
    this.long = new TokenTrie([...this.#bytes].filter(([, { length }]) => length > SHORT));
  }

  /** The bytes of a token; undefined for special ones and others that stand outside of texts. */
  of(id: number): readonly number[] | undefined {
    return this.#bytes.get(id);
  }
}

/** Tokens with their bytes, but special ones and others that stand outside of texts. */
function bytesOf(tokenizer: StoppingTokenizer): [id: number, bytes: number[]][] {
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
  return entries
    .filter(([, id]) => !added.has(id))
    .map(([token, id]): [number, number[]] => {
      // What is no byte is SentencePiece's, which writes a space as a low line.
      return [id, tokenBytes(token, mode) ?? [...encoder.encode(token.replaceAll("\u2581", " "))]];
    })
    .filter(([, bytes]) => bytes.length > 0);
}

/**
 * Tokens as a tree of their bytes: those that go on the same way share it. Its nodes lie in arrays, each before those
 * below it.
 */
export class TokenTrie {
  /** Bytes of the longest token. */
  readonly longest: number;
  /** Of each node: its byte, how many are above it, and the first node that is not below it. */
  readonly byte: Uint8Array;
  readonly depth: Uint16Array;
  readonly end: Int32Array;
  /** Where each node's tokens begin in `ids`, and behind the last node where they end. */
  readonly first: Int32Array;
  readonly ids: Int32Array;

  constructor(tokens: readonly (readonly [id: number, bytes: readonly number[]])[]) {
    const root: Branch = { next: new Map(), ids: [] };
    const nodes = tokens.reduce((sum, [id, bytes]) => sum + add(root, id, bytes), 0);
    this.longest = tokens.reduce((most, [, { length }]) => Math.max(most, length), 0);
    this.byte = new Uint8Array(nodes);
    this.depth = new Uint16Array(nodes);
    this.end = new Int32Array(nodes);
    this.first = new Int32Array(nodes + 1);
    this.ids = new Int32Array(tokens.length);
    this.first[nodes] = tokens.length;
    this.#lay(root, 0, 0, 0);
  }

  /** Lays what is below a branch into the arrays. @returns the next free node and place for a token */
  #lay({ next }: Branch, depth: number, node: number, token: number): [node: number, token: number] {
    let [at, free] = [node, token];
    for (const [byte, branch] of next) {
      const own = at;
      this.byte[own] = byte;
      this.depth[own] = depth;
      this.first[own] = free;
      this.ids.set(branch.ids, free);
      [at, free] = this.#lay(branch, depth + 1, own + 1, free + branch.ids.length);
      this.end[own] = at;
    }
    return [at, free];
  }
}

/** @returns how many nodes were made */
function add(root: Branch, id: number, bytes: readonly number[]): number {
  let [node, made] = [root, 0];
  for (const byte of bytes) {
    let next = node.next.get(byte);
    if (!next) {
      next = { next: new Map(), ids: [] };
      node.next.set(byte, next);
      made++;
    }
    node = next;
  }
  node.ids.push(id);
  return made;
}

function addedIds(list: unknown): number[] {
  if (!Array.isArray(list)) return [];
  return list.filter(isRecord).map(({ id }) => Number(id));
}
