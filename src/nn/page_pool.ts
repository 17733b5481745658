import type { Device, Value } from "../devices/device.ts";
import { copyPages, copyPool } from "../kernels/cache.ts";
import { type CacheDType, elementOf, PageLayout, type PageShape, poolSpec } from "../kernels/cache_pages.ts";
import { Tensor } from "../tensor/tensor.ts";

/** Tokens a page holds. */
export const PAGE = 64;
/** Copies of pages are recorded so many at once. */
const COPIES = 8;

/** A page that is to hold what another one does. */
export interface PageCopy {
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
 * sequences share pages by count (see `KVCache`).
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

  /**
   * At least doubles the pools, but not beyond what is kept at most, if that will do. Never cut short by a signal: the
   * pages are those of all sequences.
   */
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
