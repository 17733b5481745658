import { OptionError } from "../base/errors.ts";
import type { Device, Spec, Value } from "../devices/device.ts";
import { copyPage, copyPool } from "../kernels/cache.ts";

/** Tokens a page holds. */
const PAGE = 64;

/** The pools of one layer: keys and values, each [pages, Hkv, PAGE, d]. */
export interface LayerCache {
  keys: Value;
  values: Value;
}

/** What the pages of a text model hold. */
export interface CacheShape {
  layers: number;
  kv_heads: number;
  head_dim: number;
}

/**
 * The pages in which all sequences of one model keep their keys and values. A page holds PAGE tokens for every layer;
 * sequences share pages by count, and copy a shared one before they write to it.
 */
export class PagePool {
  readonly page = PAGE;
  readonly #device: Device;
  readonly #shape: CacheShape;
  #layers: LayerCache[] = [];
  #counts: number[] = [];
  #spare: number[] = [];
  #growing: Promise<void> = Promise.resolve();

  constructor(device: Device, shape: CacheShape) {
    this.#device = device;
    this.#shape = shape;
  }

  /** The pages in use. */
  get used(): number {
    return this.#counts.length - this.#spare.length;
  }

  layer(i: number): LayerCache {
    return this.#layers[i];
  }

  /** Gives `n` pages, making the pools larger where they do not suffice. */
  async take(n: number): Promise<number[]> {
    while (this.#spare.length < n) {
      const growth = this.#growing.then(() => this.#grow(n - this.#spare.length));
      this.#growing = growth.catch(() => {});
      await growth;
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
    return this.#counts[page] > 1;
  }

  /** A copy of a page, in every layer, for a sequence that will write to it. */
  async copy(page: number): Promise<number> {
    const [fresh] = await this.take(1);
    await this.#device.step(() => {
      for (const { keys, values } of this.#layers)
        for (const pool of [keys, values]) this.#device.run(copyPage, { pool }, { from: page, to: fresh });
      return [];
    });
    this.release(page);
    return fresh;
  }

  dispose(): void {
    for (const { keys, values } of this.#layers) for (const pool of [keys, values]) this.#device.free(pool);
    this.#layers = [];
  }

  /** At least doubles the pools. Never cut short by a signal: the pages are those of all sequences. */
  async #grow(missing: number): Promise<void> {
    if (missing <= 0) return;
    const old = this.#counts.length;
    const pages = Math.max(old + missing, 2 * old, 4);
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
    const { kv_heads, head_dim } = this.#shape;
    const spec: Spec = { dtype: "float32", shape: [pages, kv_heads, PAGE, head_dim] };
    const keys = this.#device.allocate(spec);
    try {
      return { keys, values: this.#device.allocate(spec) };
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
  #disposed = false;

  constructor(pool: PagePool) {
    this.pool = pool;
  }

  /** Tokens held. */
  get length(): number {
    return this.#length;
  }

  get pages(): readonly number[] {
    return this.#pages;
  }

  /** Makes room for `rows` more tokens. To be awaited before the step that appends them. */
  async prepare(rows: number): Promise<void> {
    if (this.#disposed)
      throw new OptionError("past_key_values: the cache was disposed and cannot be used again");
    const last = Math.floor(this.#length / PAGE);
    if (this.#length % PAGE > 0 && this.pool.isShared(this.#pages[last])) {
      this.#pages[last] = await this.pool.copy(this.#pages[last]);
    }
    const missing = Math.ceil((this.#length + rows) / PAGE) - this.#pages.length;
    if (missing > 0) this.#pages.push(...(await this.pool.take(missing)));
  }

  /** The slots of the next `rows` tokens, which count as held from now on. */
  append(rows: number): number[] {
    const slots = Array.from({ length: rows }, (_, i) => {
      const at = this.#length + i;
      return this.#pages[Math.floor(at / PAGE)] * PAGE + (at % PAGE);
    });
    this.#length += rows;
    return slots;
  }

  /** Forgets all but the first `length` tokens. */
  crop(length: number): void {
    this.#length = Math.min(length, this.#length);
    const needed = Math.ceil(this.#length / PAGE);
    for (const page of this.#pages.splice(needed)) this.pool.release(page);
  }

  /** A second sequence that begins with the same tokens. Its pages are shared until one of the two writes. */
  clone(): KVCache {
    const copy = new KVCache(this.pool);
    copy.#pages = this.#pages.slice(0, Math.ceil(this.#length / PAGE));
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
