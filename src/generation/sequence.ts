import type { Value } from "../devices/device.ts";
import type { KVCache } from "../nn/kv_cache.ts";
import { reachOf } from "../nn/rows.ts";

/** What a sequence is given next: tokens, or rows of a Value in their place. */
export interface Input {
  /** Where the rows come from that are no tokens' embeddings. */
  readonly source?: Value;
  /** One a row; what stands where `index` is not negative does not matter. */
  readonly ids: readonly number[];
  /** For each row the row of `source`, or -1 for the token's embedding. */
  readonly index?: readonly number[];
  readonly positions: readonly number[];
}

/** One sequence that is being computed: its cache, and the input that the cache does not hold yet. */
export class Sequence {
  cache: KVCache;
  #input: Input = { ids: [], positions: [] };
  #taken = 0;

  constructor(cache: KVCache) {
    this.cache = cache;
  }

  /** Rows that are to be computed before the next token can be chosen. */
  get waiting(): number {
    return this.#input.ids.length - this.#taken;
  }

  /** Tokens that it has with its input, by their positions. */
  get reach(): number {
    return reachOf(this.#input.positions);
  }

  /** Gives the next input. The one before must have been computed. */
  feed(input: Input): void {
    this.#input = input;
    this.#taken = 0;
  }

  /** The next `count` rows, which count as computed from now on. */
  take(count: number): Input {
    const { source, ids, index, positions } = this.#input;
    const [from, to] = [this.#taken, this.#taken + count];
    this.#taken = to;
    return {
      source,
      ids: ids.slice(from, to),
      index: index?.slice(from, to),
      positions: positions.slice(from, to),
    };
  }
}
