import { OptionError, ShapeError, UnsupportedError } from "../base/errors.ts";
import { type CacheOptions, DynamicCache } from "./dynamic_cache.ts";

/** Options of a cache of limited length. */
export interface StaticCacheOptions extends CacheOptions {
  /** Most columns that it may hold. */
  max_cache_len: number;
}

/** A cache that holds so many columns and no more. Its pages are taken as they are needed all the same. */
export class StaticCache extends DynamicCache {
  readonly max_cache_len: number;

  constructor({ max_cache_len, ...options }: StaticCacheOptions) {
    super(options);
    if (!Number.isSafeInteger(max_cache_len) || max_cache_len < 1) {
      throw new OptionError(`max_cache_len: expected a whole number from 1, got ${max_cache_len}`, {
        where: "max_cache_len",
        got: max_cache_len,
      });
    }
    this.max_cache_len = max_cache_len;
  }

  override get_max_length(layer_idx = 0): number {
    super.get_max_length(layer_idx);
    return this.max_cache_len;
  }

  /** @throws ShapeError where there would be more columns than the cache may hold */
  override admit(count: number): void {
    const length = this.get_seq_length() + count;
    if (length > this.max_cache_len) {
      throw new ShapeError(
        `past_key_values: a StaticCache of max_cache_len ${this.max_cache_len} was to hold ${length} columns`,
        { where: "max_cache_len", expected: this.max_cache_len, got: length },
      );
    }
  }
}

/** Options of Transformers' cache in few bits. */
export interface QuantizedCacheOptions {
  backend?: string;
  config?: object | null;
  nbits?: number;
  axis_key?: number;
  axis_value?: number;
  q_group_size?: number;
  residual_length?: number;
}

/** Transformers' cache in few bits. */
export class QuantizedCache extends DynamicCache {
  /** @throws UnsupportedError always: keys and values are kept as they are computed */
  constructor(_options: QuantizedCacheOptions) {
    super();
    throw new UnsupportedError("QuantizedCache: keys and values are kept as they are computed, in float32", {
      where: "QuantizedCache",
    });
  }
}
