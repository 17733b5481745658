import { OptionError } from "../base/errors.ts";
import { PAGE, type PageCopy, type PagePool } from "./page_pool.ts";

/**
 * The keys and values of one sequence: a list of pages, and how many tokens they hold. A page that others look at, too, is
 * copied before it is written to, unless it is the sequence's own: whoever else looks at it looks at tokens that the
 * sequence holds, and it writes behind them.
 */
export class KVCache {
  readonly pool: PagePool;
  #pages: number[] = [];
  #length = 0;
  #foreseen = 0;
  /** Whether the page that the next token goes to is its own. From `prepare` on, until it forgets or takes over tokens. */
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
