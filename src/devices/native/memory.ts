import { UnsupportedError } from "../../base/errors.ts";
import type { ArrayType } from "../vector/machine.ts";
import type { System } from "./system.ts";

/** Node 20 ends the process where a view is one byte larger than this. */
const SEGMENT = 2 ** 32;
/** From here on pieces lie in large pages, where the system has them. */
const LARGE = 2 ** 18;

/**
 * A piece of memory outside of JavaScript's heap, that machine code works on. Every thread may see it.
 *
 * Arrays that it gives are windows, not copies. They must not be touched after `free`: that ends the process.
 */
export class Region {
  readonly #system: System;
  /** Bytes of whole pages. */
  readonly #size: number;
  readonly #segments: (ArrayBuffer | undefined)[];
  readonly address: number;
  readonly bytes: number;
  #freed = false;

  /** @throws UnsupportedError where the system has not so much memory */
  constructor(system: System, bytes: number) {
    this.#system = system;
    this.#size = Math.max(1, Math.ceil(bytes / system.pageBytes)) * system.pageBytes;
    this.address = bytes >= LARGE ? system.allocateLarge(this.#size) : system.allocate(this.#size);
    this.bytes = bytes;
    this.#segments = new Array(Math.ceil(bytes / SEGMENT));
  }

  /**
   * `length` elements from `offset` bytes on.
   *
   * @throws UnsupportedError where they lie on both sides of a multiple of 4 GiB; see `read` and `write`
   */
  array<T>(type: ArrayType<T>, offset: number, length: number): T {
    const bytes = length * type.BYTES_PER_ELEMENT;
    const segment = Math.floor(offset / SEGMENT);
    if (this.#freed || offset < 0 || offset + bytes > this.bytes)
      throw new UnsupportedError(
        `memory: ${bytes} bytes at ${offset} are outside of the ${this.bytes} there are`,
      );
    if (bytes > 0 && Math.floor((offset + bytes - 1) / SEGMENT) !== segment)
      throw new UnsupportedError(`memory: ${bytes} bytes at ${offset} cross a multiple of 4 GiB`);
    return new type(this.#segment(segment), offset - segment * SEGMENT, length);
  }

  /** Copies bytes into it, any number of them. */
  write(offset: number, source: Uint8Array): void {
    this.#eachPiece(offset, source.length, (piece, at) => piece.set(source.subarray(at, at + piece.length)));
  }

  /** A copy of some bytes, any number of them. */
  read(offset: number, length: number): Uint8Array {
    const copy = new Uint8Array(length);
    this.#eachPiece(offset, length, (piece, at) => copy.set(piece, at));
    return copy;
  }

  #eachPiece(offset: number, length: number, body: (piece: Uint8Array, at: number) => void): void {
    for (let at = 0; at < length; ) {
      const room = SEGMENT - ((offset + at) % SEGMENT);
      const piece = this.array(Uint8Array, offset + at, Math.min(room, length - at));
      body(piece, at);
      at += piece.length;
    }
  }

  #segment(i: number): ArrayBuffer {
    const known = this.#segments[i];
    if (known) return known;
    const { koffi } = this.#system;
    const size = Math.min(SEGMENT, this.bytes - i * SEGMENT);
    const buffer = koffi.view(BigInt(this.address + i * SEGMENT), size);
    this.#segments[i] = buffer;
    return buffer;
  }

  /** Gives the memory back. Nothing may use it any more: neither arrays nor running code. */
  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.#segments.fill(undefined);
    this.#system.release(this.address, this.#size);
  }
}
