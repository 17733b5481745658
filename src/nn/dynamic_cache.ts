import { OptionError, ShapeError, UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { KVCache } from "./kv_cache.ts";
import { PagePool } from "./page_pool.ts";

/** Options of a cache that is made before it is used. */
export interface CacheOptions {
  /** The model's config. What it says of layers the model knows itself. */
  config?: object | null;
  /** Only false: keys and values stay on the model's device. */
  offloading?: boolean;
  offload_only_non_sliding?: boolean;
}

const CACHE_OPTIONS = [
  "config",
  "offloading",
  "offload_only_non_sliding",
] as const satisfies readonly (keyof CacheOptions)[];

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
  #pool: PagePool | undefined;
  #rows: CachedRow[] = [];
  #length = 0;

  /**
   * An empty cache, which belongs to the model that it is first given to: `past_key_values: new DynamicCache()`.
   *
   * @param where options; what models call it with is where they keep their pages
   * @param batch rows, where that is known
   * @throws UnsupportedError for `offloading`
   */
  constructor(where: PagePool | CacheOptions = {}, batch = 0) {
    if (where instanceof PagePool) this.#fill(where, batch);
    else checkCacheOptions(new.target.name, where);
  }

  /** Makes an unused cache one of a model with these pages, with so many rows; one in use stays as it is. */
  bind(pool: PagePool, batch: number): void {
    if (this.#pool === undefined) this.#fill(pool, batch);
  }

  #fill(pool: PagePool, batch: number): void {
    this.#pool = pool;
    this.#rows = this.#own(Array.from({ length: batch }, () => ({ cache: new KVCache(pool), columns: [] })));
  }

  /** Rows of the batch. */
  get batch_size(): number {
    return this.#rows.length;
  }

  /** Columns held, padding included; the same for each layer. */
  get_seq_length(layer_idx = 0): number {
    checkLayer(layer_idx);
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

  /** Before `count` more columns are computed: throws where there is no room for them. Here there always is. */
  admit(_count: number): void {}

  /** Notes that `count` columns were added, of which each row keeps those listed (counted from the batch's beginning). */
  extend(count: number, kept: readonly (readonly number[])[]): void {
    this.admit(count);
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

  /** Becomes what another cache of the same model is, which is empty-handed then. */
  restore(from: DynamicCache): void {
    const rows = from.#disown();
    from.#rows = [];
    this.dispose();
    this.#disown();
    this.#rows = this.#own(rows);
    this.#length = from.#length;
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
  get_mask_sizes(query_length: number, layer_idx = 0): [kv_length: number, kv_offset: number] {
    checkLayer(layer_idx);
    return [this.#length + query_length, 0];
  }

  /** Most columns that it can hold; null: there is no limit. */
  get_max_length(layer_idx = 0): number | null {
    checkLayer(layer_idx);
    return null;
  }

  /** @throws UnsupportedError always: a model writes its keys and values itself */
  update(_key_states: unknown, _value_states: unknown, _layer_idx: number): never {
    throw new UnsupportedError(
      "update: keys and values are written by the model that the cache is given to",
      {
        where: "past_key_values",
      },
    );
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
    const fresh = new DynamicCache(this.#pool);
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

/** @throws OptionError for an option that is unknown; UnsupportedError for one that is not possible here */
export function checkCacheOptions(where: string, options: CacheOptions): void {
  checkOptions(where, options, CACHE_OPTIONS);
  if (!options.offloading) return;
  throw new UnsupportedError(`${where}: offloading: keys and values stay on the model's device`, {
    where: "offloading",
  });
}

function checkLayer(layer_idx: number): void {
  if (Number.isSafeInteger(layer_idx) && layer_idx >= 0) return;
  throw new OptionError(`layer_idx: expected a whole number from 0, got ${layer_idx}`, {
    where: "layer_idx",
    got: layer_idx,
  });
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
