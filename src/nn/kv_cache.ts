import { OptionError } from "../base/errors.ts";
import type { Device, Value } from "../devices/device.ts";
import { copyPages, copyPool } from "../kernels/cache.ts";
import { type CacheDType, elementOf, PageLayout, type PageShape, poolSpec } from "../kernels/cache_pages.ts";
import { Tensor } from "../tensor/tensor.ts";

/** Tokens a page holds. */
const PAGE = 64;
/** Copies of pages are recorded so many at once. */
const COPIES = 8;

/** A page that is to hold what another one does. */
interface PageCopy {
  from: number;
  to: number;
}

/** The pools of one layer: keys [pages, Hkv, d, PAGE] and values [pages, Hkv, PAGE, d], see kernels/cache_pages.ts. */
export interface LayerCache {
  keys: Value;
  values: Value;
}

/** Who keeps pages that no sequence uses, for as long as nobody needs them. */
export interface PageKeeper {
  /** Bytes up to which the pool is made larger, so that nothing that is kept need be given up. */
  readonly limit: number;
  /** Gives up at least `n` pages that no sequence uses, or none where there are not so many; says whether it did. */
  giveUp(n: number): boolean;
  /** Gives up this page, which a sequence uses. */
  forget(page: number): void;
}

/** What the pages of a text model hold. */
export interface CacheShape {
  layers: number;
  kv_heads: number;
  head_dim: number;
}

function pageShape({ kv_heads, head_dim }: CacheShape, dtype: CacheDType): PageShape {
  return { element: elementOf(dtype), kv_heads, dim: head_dim, page: PAGE };
}

/** Bytes that a token takes, in all layers. */
export function bytesPerToken(shape: CacheShape, dtype: CacheDType): number {
  const { kv_heads, blockBytes } = new PageLayout("keys", pageShape(shape, dtype));
  return (2 * shape.layers * kv_heads * blockBytes) / PAGE;
}

/**
 * The pages in which all sequences of one model keep their keys and values. A page holds PAGE tokens for every layer;
 * sequences share pages by count, and copy a shared one before they write to it.
 */
export class PagePool {
  readonly page = PAGE;
  /** What keys and values are kept in. */
  readonly dtype: CacheDType;
  /** Keeps what ended sequences have computed; without, their pages are free at once. */
  keeper: PageKeeper | undefined;
  readonly #device: Device;
  readonly #shape: CacheShape;
  #layers: LayerCache[] = [];
  #counts: number[] = [];
  #spare: number[] = [];
  #growing: Promise<void> = Promise.resolve();

  constructor(device: Device, shape: CacheShape, dtype: CacheDType = "float32") {
    this.#device = device;
    this.#shape = shape;
    this.dtype = dtype;
  }

  /** Bytes of a page, in all layers. */
  get pageBytes(): number {
    return PAGE * bytesPerToken(this.#shape, this.dtype);
  }

  /** The pages in use, or kept. */
  get used(): number {
    return this.#counts.length - this.#spare.length;
  }

  layer(i: number): LayerCache {
    return this.#layers[i];
  }

  /** Gives `n` pages: free ones, or kept ones, or new ones, for which the pools are made larger. */
  async take(n: number): Promise<number[]> {
    while (this.#spare.length < n) {
      const missing = n - this.#spare.length;
      if (!this.#fits(missing) && this.keeper?.giveUp(missing)) continue;
      const growth = this.#growing.then(() => this.#grow(n - this.#spare.length));
      this.#growing = growth.catch(() => {});
      await growth.catch((error) => {
        if (!this.keeper?.giveUp(n - this.#spare.length)) throw error;
      });
    }
    const pages = this.#spare.splice(this.#spare.length - n, n).reverse();
    for (const page of pages) this.#counts[page] = 1;
    return pages;
  }

  retain(page: number): void {
    this.#counts[page]++;
  }

  release(page: number): void {
    if (--this.#counts[page] === 0) this.#spare.push(page);
  }

  isShared(page: number): boolean {
    return this.sharers(page) > 1;
  }

  /** How many sequences hold a page, its keeper included. */
  sharers(page: number): number {
    return this.#counts[page];
  }

  /** Copies pages onto others, in every layer. */
  async copy(copies: readonly PageCopy[]): Promise<void> {
    if (copies.length === 0) return;
    await this.#device.step(() => {
      this.recordCopies(copies);
      return [];
    });
  }

  /** Inside a step: copies pages onto others, in every layer. What is recorded after it sees them. */
  recordCopies(copies: readonly PageCopy[]): void {
    if (copies.length === 0) return;
    // A multiple of COPIES, so that not every number of copies makes another list of commands.
    const numbers = new Int32Array(2 * Math.ceil(copies.length / COPIES) * COPIES);
    for (const [i, { from, to }] of copies.entries()) numbers.set([from, to], 2 * i);
    const pairs = this.#device.upload(new Tensor("int32", [numbers.length / 2, 2], numbers));
    for (const { keys, values } of this.#layers)
      for (const pool of [keys, values]) this.#device.run(copyPages, { pool, pairs }, {});
  }

  dispose(): void {
    for (const { keys, values } of this.#layers) for (const pool of [keys, values]) this.#device.free(pool);
    this.#layers = [];
  }

  /** Whether the pool may be made larger only so that nothing kept need be given up. */
  #fits(missing: number): boolean {
    return (this.#counts.length + missing) * this.pageBytes <= (this.keeper?.limit ?? 0);
  }

  /** At least doubles the pools, but not beyond what is kept at most, if that will do. Never cut short by a signal: the pages are those of all sequences. */
  async #grow(missing: number): Promise<void> {
    if (missing <= 0) return;
    const old = this.#counts.length;
    const most = this.#fits(missing) ? Math.floor((this.keeper?.limit ?? 0) / this.pageBytes) : Infinity;
    const pages = Math.max(old + missing, Math.min(Math.max(2 * old, 4), most));
    for (let i = 0; i < this.#shape.layers; i++) await this.#enlarge(i, pages);
    for (let page = pages - 1; page >= old; page--) {
      this.#counts[page] = 0;
      this.#spare.push(page);
    }
  }

  /** Moves a layer to larger pools, unless a growth that failed half way has done so already. */
  async #enlarge(i: number, pages: number): Promise<void> {
    const old: LayerCache | undefined = this.#layers[i];
    if (old && old.keys.shape[0] >= pages) return;
    const fresh = this.#allocate(pages);
    const moved = old ? this.#move(old, fresh) : undefined;
    // Before anything is awaited: what is recorded meanwhile must be written to the new pools, after the move.
    this.#layers[i] = fresh;
    await moved;
  }

  #allocate(pages: number): LayerCache {
    const shape = pageShape(this.#shape, this.dtype);
    const keys = this.#device.allocate(poolSpec("keys", pages, shape));
    try {
      return { keys, values: this.#device.allocate(poolSpec("values", pages, shape)) };
    } catch (error) {
      this.#device.free(keys);
      throw error;
    }
  }

  async #move(from: LayerCache, to: LayerCache): Promise<void> {
    await this.#device.step(() => {
      this.#device.run(copyPool, { target: to.keys, source: from.keys }, {});
      this.#device.run(copyPool, { target: to.values, source: from.values }, {});
      this.#device.free(from.keys);
      this.#device.free(from.values);
      return [];
    });
  }
}

/** The keys and values of one sequence: a list of pages, and how many tokens they hold. */
export class KVCache {
  readonly pool: PagePool;
  #pages: number[] = [];
  #length = 0;
  #foreseen = 0;
  /** Whether the page that the next token goes to is its own: whoever else looks at it looks at tokens that it holds, no further. */
  #own = false;
  /** The page that the next token goes to is another sequence's, of which it took over the first tokens. */
  #adopted = false;
  /**
   * Its last page is to be copied there in its next step. Only what has been adopted, which is lost with the sequence where
   * that step is cut short: what a caller has given stays.
   */
  #awaited: PageCopy | undefined;
  #disposed = false;

  constructor(pool: PagePool) {
    this.pool = pool;
  }

  /** Tokens held. */
  get length(): number {
    return this.#length;
  }

  /** Tokens after those held that have been computed, though nobody has chosen them yet. */
  get foreseen(): number {
    return this.#foreseen;
  }

  get pages(): readonly number[] {
    return this.#pages;
  }

  /** Those of them that hold tokens, foreseen ones too: there may be more, taken ahead. */
  get heldPages(): readonly number[] {
    return this.#pages.slice(0, Math.ceil((this.#length + this.#foreseen) / PAGE));
  }

  /** Makes room for `rows` more tokens. To be awaited before the step that appends them. */
  async prepare(rows: number): Promise<void> {
    await KVCache.prepare([this], [rows]);
  }

  /** As `prepare`, for sequences of one pool at once. */
  static async prepare(caches: readonly KVCache[], rows: readonly number[]): Promise<void> {
    if (caches.some((cache) => cache.#disposed))
      throw new OptionError("past_key_values: the cache was disposed and cannot be used again");
    if (caches.length === 0) return;
    const { pool } = caches[0];
    await KVCache.#part(pool, caches);
    for (const [i, cache] of caches.entries()) {
      [cache.#own, cache.#adopted] = [true, false];
      const missing = Math.ceil((cache.#length + rows[i]) / PAGE) - cache.#pages.length;
      if (missing > 0) cache.#pages.push(...(await pool.take(missing)));
    }
  }

  /** Those that are to go on in a page that another looks at, too. Of several that share one, the last may keep it. */
  static #sharing(pool: PagePool, caches: readonly KVCache[]): KVCache[] {
    const sharers = new Map<number, number>();
    return caches.filter((cache) => {
      if (cache.#own || cache.#length % PAGE === 0) return false;
      const page = cache.#pages[cache.#lastPage];
      const count = sharers.get(page) ?? pool.sharers(page);
      sharers.set(page, count - 1);
      return count > 1;
    });
  }

  /** Gives each that shares the page of its next token one of its own. */
  static async #part(pool: PagePool, caches: readonly KVCache[]): Promise<void> {
    let parting = KVCache.#sharing(pool, caches);
    const fresh = await pool.take(parting.length).catch(() => {
      // Where there is no room for a copy, what is only kept is no reason for one.
      for (const cache of parting) pool.keeper?.forget(cache.#pages[cache.#lastPage]);
      parting = KVCache.#sharing(pool, caches);
      return pool.take(parting.length);
    });
    const copies = parting.map((cache, i) => ({ from: cache.#pages[cache.#lastPage], to: fresh[i] }));
    await pool.copy(copies.filter((_, i) => !parting[i].#adopted)).catch((error) => {
      for (const page of fresh) pool.release(page);
      throw error;
    });
    for (const [i, cache] of parting.entries()) cache.#moveTo(copies[i]);
  }

  /** Its last page is another from now on, which holds the same, or will do so. */
  #moveTo(copy: PageCopy): void {
    this.#pages[this.#lastPage] = copy.to;
    if (this.#adopted) this.#awaited = copy;
    else this.pool.release(copy.from);
  }

  /** The copy that the step is to begin with, in which its next tokens are computed. */
  takeCopy(): PageCopy[] {
    const copy = this.#awaited;
    this.#awaited = undefined;
    if (!copy) return [];
    this.pool.release(copy.from);
    return [copy];
  }

  /** Where the page of the next token is among its pages. */
  get #lastPage(): number {
    return Math.floor(this.#length / PAGE);
  }

  /** The slots of the next `rows` tokens, which count as held from now on. Nothing is foreseen any more. */
  append(rows: number): number[] {
    this.#foreseen = 0;
    const slots = this.#slots(rows);
    this.#length += rows;
    return slots;
  }

  /** The slots of `rows` tokens after those held and foreseen, which count as foreseen from now on. */
  foresee(rows: number): number[] {
    const slots = this.#slots(rows);
    this.#foreseen += rows;
    return slots;
  }

  /** The first of the foreseen tokens has been chosen: it counts as held. -> whether there was one */
  confirm(): boolean {
    if (this.#foreseen === 0) return false;
    this.#foreseen--;
    this.#length++;
    return true;
  }

  #slots(rows: number): number[] {
    return Array.from({ length: rows }, (_, i) => {
      const at = this.#length + this.#foreseen + i;
      return this.#pages[Math.floor(at / PAGE)] * PAGE + (at % PAGE);
    });
  }

  /**
   * Goes on with the first `rows` tokens of a page that another sequence has computed, in place of computing them. Where
   * a page is full. Nothing is written to it as long as it is shared.
   */
  adopt(page: number, rows: number): void {
    const next = this.#length / PAGE;
    this.pool.retain(page);
    if (next < this.#pages.length) this.pool.release(this.#pages[next]);
    this.#pages[next] = page;
    this.#foreseen = 0;
    this.#own = false;
    this.#adopted = rows < PAGE;
    this.#length += rows;
  }

  /** Forgets all but the first `length` tokens. Nothing is foreseen any more. */
  crop(length: number): void {
    this.#foreseen = 0;
    [this.#own, this.#adopted] = [false, false];
    this.#length = Math.min(length, this.#length);
    const needed = Math.ceil(this.#length / PAGE);
    for (const page of this.#pages.splice(needed)) this.pool.release(page);
    if (this.#awaited && !this.#pages.includes(this.#awaited.to)) this.takeCopy();
  }

  /** A second sequence that begins with the same tokens. Its pages are shared until one of the two writes. */
  clone(): KVCache {
    const copy = new KVCache(this.pool);
    const awaited = this.#awaited;
    copy.#pages = this.#pages
      .slice(0, Math.ceil(this.#length / PAGE))
      .map((page) => (page === awaited?.to ? awaited.from : page));
    copy.#length = this.#length;
    for (const page of copy.#pages) this.pool.retain(page);
    return copy;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.crop(0);
  }
}
