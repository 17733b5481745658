import { UnsupportedError } from "../../base/errors.ts";
import { PAGE_BYTES } from "../../codegen/wasm/module.ts";
import type { ArrayType, Region } from "../vector/machine.ts";
import { Placement } from "../vector/placement.ts";

/** Pages that a memory may grow to, best first: 4 GiB, and less where the system reserves that much for nobody. */
const MAXIMA = [65536, 32768, 16384, 8192];

/** The first bytes are never given out: threads that let others run sleep on the first word, which nobody changes. */
const RESERVED = 64;

/** The one memory that all programs of a device work on. It grows as it is needed, up to 4 GiB. */
export class WasmMemory {
  readonly memory: WebAssembly.Memory;
  /** How modules declare it. */
  readonly links: { readonly initial: number; readonly maximum: number; readonly shared: boolean };
  readonly #placement = new Placement();
  /** What lies below may have been written. */
  #used = 0;

  /** @throws UnsupportedError where the system gives not even the smallest */
  constructor(shared: boolean) {
    const { memory, maximum } = reserve(shared);
    this.memory = memory;
    this.links = { initial: 1, maximum, shared };
    this.#placement.take(RESERVED);
  }

  /** Bytes that can ever be given out. */
  get capacity(): number {
    return this.links.maximum * PAGE_BYTES - RESERVED;
  }

  /**
   * A zeroed piece.
   *
   * @throws UnsupportedError where the memory cannot grow so far
   */
  allocate(bytes: number): Region {
    const address = this.#placement.take(bytes);
    const missing = Math.ceil((address + bytes - this.memory.buffer.byteLength) / PAGE_BYTES);
    if (missing > 0) this.#grow(missing, address, bytes);
    if (address < this.#used) {
      const end = Math.min(address + bytes, this.#used);
      new Uint8Array(this.memory.buffer, address, end - address).fill(0);
    }
    this.#used = Math.max(this.#used, address + bytes);
    return new WasmRegion(this.memory, address, bytes, () => this.#placement.give(address, bytes));
  }

  #grow(pages: number, address: number, bytes: number): void {
    try {
      this.memory.grow(pages);
    } catch {
      this.#placement.give(address, bytes);
      const held = this.memory.buffer.byteLength;
      throw new UnsupportedError(
        `WebAssembly's memory is full: ${bytes} bytes more are needed, it has ${held}, and ${this.capacity} are possible at most. ` +
          "Take a smaller model, a smaller dtype, or shorter texts.",
        { where: "memory", expected: this.capacity, got: held + bytes },
      );
    }
  }
}

function reserve(shared: boolean): { memory: WebAssembly.Memory; maximum: number } {
  for (const maximum of MAXIMA) {
    try {
      return { memory: new WebAssembly.Memory({ initial: 1, maximum, shared }), maximum };
    } catch {
      // Not so much address space here.
    }
  }
  const least = MAXIMA[MAXIMA.length - 1] * PAGE_BYTES;
  throw new UnsupportedError(`WebAssembly: there is no address space for a memory of ${least} bytes`);
}

class WasmRegion implements Region {
  readonly #memory: WebAssembly.Memory;
  readonly address: number;
  readonly bytes: number;
  #give: (() => void) | undefined;

  constructor(memory: WebAssembly.Memory, address: number, bytes: number, give: () => void) {
    this.#memory = memory;
    this.address = address;
    this.bytes = bytes;
    this.#give = give;
  }

  array<T>(type: ArrayType<T>, offset: number, length: number): T {
    const bytes = length * type.BYTES_PER_ELEMENT;
    if (!this.#give || offset < 0 || offset + bytes > this.bytes) {
      throw new UnsupportedError(
        `memory: ${bytes} bytes at ${offset} are outside of the ${this.bytes} there are`,
      );
    }
    return new type(this.#memory.buffer, this.address + offset, length);
  }

  write(offset: number, source: Uint8Array): void {
    this.array(Uint8Array, offset, source.length).set(source);
  }

  free(): void {
    this.#give?.();
    this.#give = undefined;
  }
}
