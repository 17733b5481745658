import type { PageKeeper, PagePool } from "../nn/page_pool.ts";
import type { Sequence } from "./sequence.ts";

/** Rows of a page that are taken over at least: to copy a page takes about as long as to compute a few. */
const LEAST = 4;

/** A page that is kept, after the pages that it follows. */
interface KeptPage {
  /** Tells it from all others, in this run. */
  id: number;
  page: number;
  /** What its rows are: as many as a page has, or fewer, and nothing comes after it. */
  rows: readonly string[];
  name: string;
  before: KeptPage | undefined;
  after: Map<string, KeptPage>;
}

/** What came of keeping what prompts have computed. */
export interface PromptCacheReport {
  /** Prompts that began with rows that had been computed before. */
  hits: number;
  /** Prompts that did not. */
  misses: number;
  /** Rows that were not computed again. */
  tokens: number;
  /** Bytes of the pages that are kept, those in use included. They are part of the model's `deviceBytes`. */
  bytes: number;
  /** Bytes up to which memory is taken for it alone. 0: nothing is kept. */
  limit: number;
}

/**
 * What sequences have computed, page by page, for others that begin with the same rows: tokens by their ids, pictures
 * by their content. A page lies below the page that it follows, and is found by the names of its rows, so that there is
 * nothing to mistake. Of a page that begins alike, those rows are taken over, by a copy. Pages stay where they are, counted
 * as shared: keeping them costs no memory that the pool does not have anyway, up to `limit` apart. Where sequences need
 * pages, those used least recently are given up; never one in use.
 */
export class PromptCache implements PageKeeper {
  readonly limit: number;
  readonly #pool: PagePool;
  readonly #root: KeptPage = { id: 0, page: -1, rows: [], name: "", before: undefined, after: new Map() };
  /** Least recently used first, and what follows a page before the page. */
  readonly #kept = new Set<KeptPage>();
  #ids = 0;
  #hits = 0;
  #misses = 0;
  #tokens = 0;

  /** @param limit bytes; 0: nothing is kept */
  constructor(pool: PagePool, limit: number) {
    this.#pool = pool;
    this.limit = limit;
    if (limit > 0) pool.keeper = this;
  }

  get report(): PromptCacheReport {
    return {
      hits: this.#hits,
      misses: this.#misses,
      tokens: this.#tokens,
      bytes: this.#kept.size * this.#pool.pageBytes,
      limit: this.limit,
    };
  }

  /**
   * Before a sequence's next rows are computed: takes over what others have computed of them.
   *
   * @param underWay pages that sequences before this one are about to compute in the step; this one's is added
   * @returns false where it should wait for such a page
   */
  advance(sequence: Sequence, underWay: Set<string>): boolean {
    if (this.limit === 0 || !sequence.shared) return true;
    if (!this.#goesOn(sequence, underWay)) return false;
    if (sequence.cache.length === sequence.adopted) this.#count(sequence.adopted);
    return true;
  }

  #goesOn(sequence: Sequence, underWay: Set<string>): boolean {
    const { page } = this.#pool;
    const { cache } = sequence;
    const last = Math.floor((cache.length + sequence.waiting) / page);
    let held = Math.floor(cache.length / page);
    if (held === last && sequence.unseen < LEAST) return true;
    const adopts = (): boolean => cache.length % page === 0 && sequence.unseen >= page;
    const names = sequence.pageNames(last);
    let place = this.#find(names.slice(0, held));
    while (place && adopts()) {
      const next = place.after.get(names[held]);
      if (!next) break;
      sequence.adopt(next.page, page);
      place = next;
      held++;
    }
    if (!place) return true;
    if (held < last) {
      const next = `${place.id} ${names[held]}`;
      if (underWay.has(next) && adopts()) return false;
      underWay.add(next);
    }
    this.#adoptPart(sequence, place);
    return true;
  }

  /** Takes over the rows that one of the pages that follow begins with, too. */
  #adoptPart(sequence: Sequence, place: KeptPage): void {
    const { length } = sequence.cache;
    if (length % this.#pool.page > 0) return;
    const rows = sequence.rowNames(length, length + Math.min(sequence.unseen, this.#pool.page));
    let [most, best]: [number, KeptPage | undefined] = [LEAST - 1, undefined];
    for (const next of place.after.values()) {
      const count = commonLength(next.rows, rows);
      if (count > most) [most, best] = [count, next];
    }
    if (best) sequence.adopt(best.page, most);
  }

  /**
   * After a step: keeps the pages that a sequence has filled.
   *
   * @param part also the last one, which is not full: the sequence's prompt ends there, or the sequence does
   */
  store(sequence: Sequence, part: boolean): void {
    const { cache } = sequence;
    const { page } = this.#pool;
    const full = Math.floor(cache.length / page);
    if (this.limit === 0 || !sequence.shared || (full <= sequence.stored && !part)) return;
    sequence.stored = full;
    const path: KeptPage[] = [];
    let place = this.#root;
    for (const [i, name] of sequence.pageNames(full).slice(0, full).entries()) {
      place =
        place.after.get(name) ??
        this.#keep(place, sequence.rowNames(i * page, (i + 1) * page), cache.pages[i]);
      path.push(place);
    }
    const rows = part ? sequence.rowNames(full * page, cache.length) : [];
    if (rows.length >= LEAST) path.push(this.#keep(place, rows, cache.pages[full]));
    for (const used of path.reverse()) {
      this.#kept.delete(used);
      this.#kept.add(used);
    }
  }

  giveUp(n: number): boolean {
    const idle = [...this.#kept].filter(({ page }) => !this.#pool.isShared(page));
    if (idle.length < n) return false;
    let freed = 0;
    for (const kept of idle) {
      if (freed >= n) break;
      freed += this.#drop(kept);
    }
    return true;
  }

  forget(page: number): void {
    for (const kept of [...this.#kept]) if (kept.page === page) this.#drop(kept);
  }

  /** Forgets everything. */
  clear(): void {
    for (const kept of [...this.#root.after.values()]) this.#drop(kept);
  }

  #count(adopted: number): void {
    if (adopted > 0) this.#hits++;
    else this.#misses++;
    this.#tokens += adopted;
  }

  /** The page after which these pages end. */
  #find(names: readonly string[]): KeptPage | undefined {
    return names.reduce<KeptPage | undefined>((place, name) => place?.after.get(name), this.#root);
  }

  /** Keeps a page, unless one is kept that begins with the same rows; forgets those that it begins with the rows of. */
  #keep(before: KeptPage, rows: readonly string[], page: number): KeptPage {
    for (const other of [...before.after.values()]) {
      const common = commonLength(other.rows, rows);
      if (common === rows.length) return other;
      if (common === other.rows.length) this.#drop(other);
    }
    const name = rows.join(" ");
    const kept: KeptPage = { id: ++this.#ids, page, rows, name, before, after: new Map() };
    this.#pool.retain(page);
    before.after.set(name, kept);
    this.#kept.add(kept);
    return kept;
  }

  /** Forgets a page and all that follow it. -> how many of them are free now */
  #drop(kept: KeptPage): number {
    if (!this.#kept.delete(kept)) return 0;
    kept.before?.after.delete(kept.name);
    let freed = this.#pool.isShared(kept.page) ? 0 : 1;
    this.#pool.release(kept.page);
    for (const next of [...kept.after.values()]) freed += this.#drop(next);
    return freed;
  }
}

/** How many of the first rows are the same. */
function commonLength(a: readonly string[], b: readonly string[]): number {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  return i;
}
