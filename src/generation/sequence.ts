import type { KVCache } from "../nn/kv_cache.ts";
import { reachOf } from "../nn/rows.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What a sequence is given next: tokens, or rows of a Tensor in their place. */
export interface Input {
  /** Where the rows come from that are no tokens' embeddings: float32 [rows, D] */
  readonly source?: Tensor;
  /** One a row; what stands where `index` is not negative does not matter. */
  readonly ids: readonly number[];
  /** For each row the row of `source`, or -1 for the token's embedding. */
  readonly index?: readonly number[];
  /** Says of each row of `source` what it is: rows of the same name are equal. Without: nobody knows. */
  readonly names?: readonly string[];
  readonly positions: readonly number[];
  /** How many of the rows, the first ones, are a prompt's: given, and not chosen by a model. Without: none. */
  readonly given?: number;
}

/** The position after an input's last. */
export function nextPosition({ positions }: Input): number {
  return positions[positions.length - 1] + 1;
}

/** An input with tokens after it, at the positions that follow. */
export function extended(input: Input, tokens: readonly number[]): Input {
  const { ids, index, positions } = input;
  const next = nextPosition(input);
  return {
    ...input,
    ids: [...ids, ...tokens],
    index: index && [...index, ...tokens.map(() => -1)],
    positions: [...positions, ...tokens.map((_, i) => next + i)],
  };
}

/** How a sequence is computed. */
export interface SequenceOptions {
  /** Rows that one step computes of it at most, where it is to be few. */
  chunk?: number;
  /** Whether it may go on from what others have computed of the same rows, and they from what it computes. */
  shared?: boolean;
}

/** One sequence that is being computed: its cache, and the input that the cache does not hold yet. */
export class Sequence {
  cache: KVCache;
  readonly chunk: number;
  /** Rows that it has from others. */
  adopted = 0;
  /** Pages of it that others know of. */
  stored = 0;
  #input: Input = { ids: [], positions: [] };
  #taken = 0;
  #wanted = 1;
  /** What every row is, those of the input included; undefined where that is not known. */
  #names: string[] | undefined;
  #pageNames: string[] = [];

  constructor(cache: KVCache, { chunk, shared }: SequenceOptions = {}) {
    this.cache = cache;
    this.chunk = chunk ?? Number.POSITIVE_INFINITY;
    this.#names = shared && cache.length === 0 ? [] : undefined;
  }

  /** Rows that are to be computed before the next token can be chosen. */
  get waiting(): number {
    return this.#input.ids.length - this.#taken;
  }

  /** Whether a single row is waiting, which is a token's and no other source's. */
  get awaitsToken(): boolean {
    return this.waiting === 1 && (this.#input.index?.[this.#taken] ?? -1) < 0;
  }

  /** Rows of those that are a prompt's; they come first. */
  get given(): number {
    return Math.max(0, (this.#input.given ?? 0) - this.#taken);
  }

  /** Rows that are waiting and that nobody wants to see. */
  get unseen(): number {
    return Math.max(0, this.waiting - this.#wanted);
  }

  /** Tokens that it has with its input, by their positions. */
  get reach(): number {
    return reachOf(this.#input.positions);
  }

  /** Whether its rows are known well enough to be shared. */
  get shared(): boolean {
    return this.#names !== undefined;
  }

  /** Names of the first pages, the input's included: a page of the same name after the same pages holds the same. */
  pageNames(count: number): readonly string[] {
    const { page } = this.cache.pool;
    for (let i = this.#pageNames.length; i < count; i++)
      this.#pageNames.push(this.rowNames(i * page, (i + 1) * page).join(" "));
    return this.#pageNames;
  }

  /** What rows are, the first of them `from`. */
  rowNames(from: number, to: number): readonly string[] {
    return (this.#names ?? []).slice(from, to);
  }

  /**
   * Gives the next input. The one before must have been computed.
   *
   * @param wanted logits of how many of the last rows are wanted
   */
  feed(input: Input, wanted = 1): void {
    this.#input = input;
    this.#taken = 0;
    this.#wanted = wanted;
    this.#nameRows(input);
  }

  /** Goes on with the first `rows` of a page that another sequence has computed of the next rows. */
  adopt(page: number, rows: number): void {
    this.cache.adopt(page, rows);
    this.#taken += rows;
    this.adopted += rows;
  }

  /** The next `count` rows, which count as computed from now on, and of how many of the last of them logits are wanted. */
  take(count: number): { input: Input; wanted: number } {
    const { source, ids, index, positions } = this.#input;
    const [from, to] = [this.#taken, this.#taken + count];
    this.#taken = to;
    return {
      input: {
        source,
        ids: ids.slice(from, to),
        index: index?.slice(from, to),
        positions: positions.slice(from, to),
      },
      wanted: Math.min(count, Math.max(0, this.#wanted - this.waiting)),
    };
  }

  /** Whether its only waiting row is this token's, foreseen in its place, which then counts as computed. */
  confirm(token: number): boolean {
    const { ids, index, positions } = this.#input;
    const at = this.#taken;
    const expected = ids[at] === token && index?.[at] === undefined && positions[at] === this.cache.length;
    if (this.waiting !== 1 || !expected || !this.cache.confirm()) return false;
    this.#taken++;
    return true;
  }

  /** The cache may hold fewer rows than it did: what was fed need not have stayed. */
  #nameRows({ ids, index, names, positions }: Input): void {
    if (!this.#names) return;
    const { length, pool } = this.cache;
    const rows = ids.map((id, i) => {
      const row = index?.[i] ?? -1;
      return row < 0 ? `${id}` : names?.[row];
    });
    const inOrder = positions.every((position, i) => position === length + i);
    if (!inOrder || this.#names.length < length || rows.includes(undefined)) {
      this.#names = undefined;
      return;
    }
    this.#names.splice(length, Number.POSITIVE_INFINITY, ...(rows as string[]));
    this.#pageNames.splice(Math.floor(length / pool.page));
  }
}
