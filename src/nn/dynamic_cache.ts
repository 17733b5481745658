import { OptionError, ShapeError } from "../base/errors.ts";
import { KVCache, type PagePool } from "./kv_cache.ts";

/** One row of a batch: its keys and values, and which of the batch's columns they belong to. */
interface CachedRow {
  cache: KVCache;
  /** Columns that hold a token, in rising order. The others are padding, of which nothing is kept. */
  columns: number[];
}

/** Gives the pages of a cache back that its owner has dropped without `dispose`. */
const abandoned = new FinalizationRegistry<KVCache[]>((caches) => {
  for (const cache of caches) cache.dispose();
});

/**
 * What a batch has computed so far: `past_key_values`. It stays on the device and grows as it is used.
 * Padding is not kept; `get_seq_length` counts it all the same, as Transformers does.
 */
export class DynamicCache {
  readonly #pool: PagePool;
  #rows: CachedRow[];
  #length = 0;

  /** @param pool where the model keeps its pages */
  constructor(pool: PagePool, batch: number) {
    this.#pool = pool;
    this.#rows = this.#own(Array.from({ length: batch }, () => ({ cache: new KVCache(pool), columns: [] })));
  }

  /** Rows of the batch. */
  get batch_size(): number {
    return this.#rows.length;
  }

  /** Columns held, padding included. */
  get_seq_length(): number {
    return this.#length;
  }

  /** The keys and values of one row. */
  row(b: number): KVCache {
    return this.#rows[b].cache;
  }

  /** The row's columns that hold a token. */
  columns(b: number): readonly number[] {
    return this.#rows[b].columns;
  }

  /** Notes that `count` columns were added, of which each row keeps those listed (counted from the batch's beginning). */
  extend(count: number, kept: readonly (readonly number[])[]): void {
    for (const [b, row] of this.#rows.entries()) row.columns.push(...kept[b]);
    this.#length += count;
  }

  /**
   * Forgets the last columns.
   *
   * @param tokens_to_remove zero or negative: -3 removes three columns
   */
  crop(tokens_to_remove: number): void {
    if (!Number.isInteger(tokens_to_remove) || tokens_to_remove > 0) {
      throw new OptionError(
        `crop: expected 0 or a negative whole number (-3 removes three columns), got ${tokens_to_remove}`,
        { where: "tokens_to_remove", got: tokens_to_remove },
      );
    }
    this.#length = Math.max(0, this.#length + tokens_to_remove);
    for (const row of this.#rows) {
      row.columns = row.columns.filter((column) => column < this.#length);
      row.cache.crop(row.columns.length);
    }
  }

  /** A second cache that begins with the same. Cheap: pages are shared until one of the two writes to them. */
  clone(): DynamicCache {
    return this.#derive(this.#rows);
  }

  /** The rows of the given numbers, in that order, as a new cache: repeats a row for several continuations of it. */
  select(rows: readonly number[]): DynamicCache {
    return this.#derive(
      rows.map((b) => {
        if (this.#rows[b]) return this.#rows[b];
        throw new ShapeError(`past_key_values has ${this.#rows.length} rows, row ${b} was asked for`);
      }),
    );
  }

  /** How many keys a pass of `query_length` new columns looks at, and how many of them are skipped first. */
  get_mask_sizes(query_length: number): [kv_length: number, kv_offset: number] {
    return [this.#length + query_length, 0];
  }

  /** There is no limit: null. */
  get_max_length(): null {
    return null;
  }

  /** Forgets everything; the cache can be filled anew. */
  reset(): void {
    this.crop(-this.#length);
  }

  /** Puts row `beam_idx[b]` in the place of row b, as beam search does. */
  reorder_cache(beam_idx: readonly number[] | Int32Array): void {
    this.batch_select_indices(beam_idx);
  }

  /** Keeps the rows of the given numbers, in that order. */
  batch_select_indices(indices: readonly number[] | Int32Array): void {
    const rows = this.select([...indices]).#disown();
    this.dispose();
    this.#disown();
    this.#rows = this.#own(rows);
  }

  /** Each row `repeats` times, one after the other. */
  batch_repeat_interleave(repeats: number): void {
    if (!Number.isSafeInteger(repeats) || repeats < 1) {
      throw new OptionError(`repeats: expected a whole number from 1, got ${repeats}`, {
        where: "repeats",
        got: repeats,
      });
    }
    this.batch_select_indices(this.#rows.flatMap((_, b) => Array<number>(repeats).fill(b)));
  }

  /** Gives the pages back. */
  dispose(): void {
    for (const { cache } of this.#rows) cache.dispose();
  }

  #derive(rows: readonly CachedRow[]): DynamicCache {
    const fresh = new DynamicCache(this.#pool, 0);
    fresh.#rows = fresh.#own(
      rows.map(({ cache, columns }) => ({ cache: cache.clone(), columns: [...columns] })),
    );
    fresh.#length = this.#length;
    return fresh;
  }

  #own(rows: CachedRow[]): CachedRow[] {
    abandoned.register(
      this,
      rows.map(({ cache }) => cache),
      this,
    );
    return rows;
  }

  /** The rows, which others own from now on. */
  #disown(): CachedRow[] {
    abandoned.unregister(this);
    return this.#rows;
  }
}

/**
 * Padding was taken off when the cache was filled: a mask cannot change that afterwards.
 *
 * @param mask for each row whether a column is a token, the cached columns first
 * @throws OptionError where it says otherwise than when the cache was filled
 */
export function checkCached(mask: readonly (readonly boolean[])[], past: DynamicCache): void {
  for (const [row, own] of mask.entries()) {
    const held = new Set(past.columns(row));
    const column = own.slice(0, past.get_seq_length()).findIndex((is, c) => is !== held.has(c));
    if (column < 0) continue;
    const [says, was] = held.has(column) ? ["padding", "a token"] : ["a token", "padding"];
    throw new OptionError(
      `attention_mask: row ${row}, column ${column} is ${says} now, but was ${was} when past_key_values was filled`,
      { where: "attention_mask", got: [row, column] },
    );
  }
}
