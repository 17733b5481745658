/** Large pages of x86-64. */
const LARGE_PAGE = 2 ** 21;
/** Pieces are cut from stretches of this size; a larger piece has one of its own. */
const STRETCH = 2 ** 26;

/** What is needed of a system that has large pages. Addresses and sizes are in bytes. */
export interface PagedMemory {
  /** Zeroed memory, which takes none until it is touched. @throws UnsupportedError where there is not so much */
  map(bytes: number): number;
  /** Gives any pages back, be they a part of what `map` gave or all of it. */
  unmap(address: number, bytes: number): void;
  /** Asks for large pages. Only a wish. */
  advise(address: number, bytes: number): void;
}

/**
 * Pieces of memory that lie one behind the other in large pages. A piece by itself would have them only between multiples
 * of their size, and a weight of few bits is not much larger than one: reading 2.4 MB takes 8 % longer that way,
 * 0.3 MB a third.
 */
export class LargePages {
  readonly #memory: PagedMemory;
  /** What is left of the latest stretch. */
  #next = 0;
  #end = 0;

  constructor(memory: PagedMemory) {
    this.#memory = memory;
  }

  /** Zeroed memory for `bytes`, a number of whole pages. It is given back as every other. */
  take(bytes: number): number {
    if (bytes > this.#end - this.#next) {
      if (bytes > STRETCH / 2) return this.#stretch(bytes);
      this.#memory.unmap(this.#next, this.#end - this.#next);
      this.#next = this.#stretch(STRETCH);
      this.#end = this.#next + STRETCH;
    }
    const address = this.#next;
    this.#next += bytes;
    return address;
  }

  /** Memory that begins with a large page. */
  #stretch(bytes: number): number {
    const { map, unmap, advise } = this.#memory;
    const size = bytes + LARGE_PAGE;
    const mapped = map(size);
    const address = Math.ceil(mapped / LARGE_PAGE) * LARGE_PAGE;
    unmap(mapped, address - mapped);
    unmap(address + bytes, mapped + size - address - bytes);
    advise(address, bytes);
    return address;
  }
}
