import type { Machine, Region } from "./machine.ts";

/** Blocks from this size on are regions of their own, in large pages. */
const LARGE = 2 ** 18;
/** Smaller ones are cut from regions of this size. */
const CHUNK = 2 ** 22;
/** Every block begins at a multiple of this: a line of the cache. */
const ALIGN = 64;

/** Where numbers begin. */
export interface Spot {
  readonly region: Region;
  /** In bytes. */
  readonly offset: number;
}

/** A piece of memory that lives until it is freed. */
export interface Block extends Spot {
  /** Bytes that were asked for. */
  readonly bytes: number;
  readonly address: number;
}

/** Memory for what outlives a step: weights, caches, features. */
export class Heap {
  readonly #machine: Machine;
  readonly #chunks: Region[] = [];
  /** Bytes used of the last chunk. */
  #used = CHUNK;
  /** Freed small blocks, by size, to be used again. */
  readonly #spare = new Map<number, Block[]>();
  readonly #large = new Set<Region>();
  #bytes = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Bytes of all living blocks. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A zeroed block. */
  allocate(bytes: number): Block {
    this.#bytes += bytes;
    const size = rounded(bytes);
    if (size >= LARGE) {
      const region = this.#machine.allocate(size);
      this.#large.add(region);
      return { region, offset: 0, bytes, address: region.address };
    }
    const spare = this.#spare.get(size)?.pop();
    if (spare) {
      spare.region.array(Uint8Array, spare.offset, size).fill(0);
      return { ...spare, bytes };
    }
    if (this.#used + size > CHUNK) {
      this.#chunks.push(this.#machine.allocate(CHUNK));
      this.#used = 0;
    }
    const region = this.#chunks[this.#chunks.length - 1];
    const offset = this.#used;
    this.#used += size;
    return { region, offset, bytes, address: region.address + offset };
  }

  /** A region from elsewhere, to be freed as a block. */
  adopt(region: Region): Block {
    const { bytes, address } = region;
    this.#bytes += bytes;
    this.#large.add(region);
    return { region, offset: 0, bytes, address };
  }

  free(block: Block): void {
    this.#bytes -= block.bytes;
    if (this.#large.delete(block.region)) {
      block.region.free();
      return;
    }
    const size = rounded(block.bytes);
    const list = this.#spare.get(size);
    if (list) list.push(block);
    else this.#spare.set(size, [block]);
  }

  /** Gives everything back. */
  dispose(): void {
    for (const region of [...this.#large, ...this.#chunks]) region.free();
    this.#large.clear();
    this.#chunks.length = 0;
    this.#used = CHUNK;
    this.#spare.clear();
    this.#bytes = 0;
  }
}

function rounded(bytes: number): number {
  return Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN);
}
