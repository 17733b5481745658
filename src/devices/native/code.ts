import type { System } from "./system.ts";

/** Code is kept in pieces of this many bytes, or larger ones for larger programs. */
const PIECE = 2 ** 20;

/**
 * Memory for machine code. Each page is first written, then made executable, and never both at once; a page that is
 * executable is never written again.
 */
export class CodeMemory {
  readonly #system: System;
  readonly #pieces: { address: number; bytes: number; view: Uint8Array; used: number }[] = [];

  constructor(system: System) {
    this.#system = system;
  }

  /** Bytes of memory in use. */
  get bytes(): number {
    return this.#pieces.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Puts code into memory, at a multiple of 64 bytes, and gives its address. */
  place(code: Uint8Array): number {
    const { pageBytes } = this.#system;
    const size = Math.ceil(code.length / pageBytes) * pageBytes;
    const piece = this.#pieceWithRoom(size);
    const address = piece.address + piece.used;
    piece.view.set(code, piece.used);
    this.#system.makeExecutable(address, size);
    piece.used += size;
    return address;
  }

  #pieceWithRoom(size: number) {
    const last = this.#pieces.at(-1);
    if (last && last.bytes - last.used >= size) return last;
    const bytes = Math.max(PIECE, size);
    const address = this.#system.allocate(bytes);
    const view = new Uint8Array(this.#system.koffi.view(BigInt(address), bytes));
    const piece = { address, bytes, view, used: 0 };
    this.#pieces.push(piece);
    return piece;
  }

  /** Gives the memory back. No thread may be inside any more. */
  free(): void {
    for (const { address, bytes } of this.#pieces.splice(0)) this.#system.release(address, bytes);
  }
}
