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
  /** The latest stretch, and what is left of it. */
  #begin = 0;
  #next = 0;
  #end = 0;
  /** Pieces of it that are in use. */
  #living = 0;

  constructor(memory: PagedMemory) {
    this.#memory = memory;
  }

  /** Zeroed memory for `bytes`, a number of whole pages. */
  take(bytes: number): number {
    if (bytes > this.#end - this.#next) {
      if (bytes > STRETCH / 2) return this.#stretch(bytes);
      this.#giveRest();
      this.#begin = this.#stretch(STRETCH);
      this.#next = this.#begin;
      this.#end = this.#begin + STRETCH;
    }
    const address = this.#next;
    this.#next += bytes;
    this.#living++;
    return address;
  }

  /** Gives a piece back, and with the last one of a stretch what is left of it. */
  give(address: number, bytes: number): void {
    this.#memory.unmap(address, bytes);
    if (address < this.#begin || address >= this.#end) return;
    this.#living--;
    if (this.#living === 0) this.#giveRest();
  }

  /** From now on there is no stretch to cut from. Pieces that are in use stay. */
  #giveRest(): void {
    this.#memory.unmap(this.#next, this.#end - this.#next);
    [this.#begin, this.#next, this.#end, this.#living] = [0, 0, 0, 0];
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
