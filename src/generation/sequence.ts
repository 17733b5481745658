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

/** The position after an input's last. */
export function nextPosition({ positions }: Input): number {
  return positions[positions.length - 1] + 1;
}

/** An input with tokens after it, at the positions that follow. */
export function extended({ source, ids, index, positions }: Input, tokens: readonly number[]): Input {
  const next = nextPosition({ ids, positions });
  return {
    source,
    ids: [...ids, ...tokens],
    index: index && [...index, ...tokens.map(() => -1)],
    positions: [...positions, ...tokens.map((_, i) => next + i)],
  };
}

/** One sequence that is being computed: its cache, and the input that the cache does not hold yet. */
export class Sequence {
  cache: KVCache;
  /** Rows that one step computes of it at most, where it is to be few. */
  readonly chunk: number;
  #input: Input = { ids: [], positions: [] };
  #taken = 0;
  #wanted = 1;

  constructor(cache: KVCache, chunk = Number.POSITIVE_INFINITY) {
    this.cache = cache;
    this.chunk = chunk;
  }

  /** Rows that are to be computed before the next token can be chosen. */
  get waiting(): number {
    return this.#input.ids.length - this.#taken;
  }

  /** Tokens that it has with its input, by their positions. */
  get reach(): number {
    return reachOf(this.#input.positions);
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
}
