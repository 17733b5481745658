import { UnsupportedError } from "../../base/errors.ts";
import type { ArrayType, Region } from "../vector/machine.ts";
import type { FileMapping, System } from "./system.ts";

/** A file as memory, as long as any of its regions is used. Nobody may write to the file, or make it shorter. */
export class MappedFile {
  readonly #system: System;
  readonly #mapping: FileMapping;
  readonly #closed: () => void;
  #regions = 0;

  /** @param closed called when it is no more */
  constructor(system: System, path: string, closed: () => void) {
    this.#system = system;
    this.#mapping = system.mapFile(path);
    this.#closed = closed;
  }

  region(offset: number, bytes: number): Region {
    if (offset < 0 || offset + bytes > this.#mapping.bytes) {
      throw new UnsupportedError(
        `memory: ${bytes} bytes at ${offset} are outside of the file's ${this.#mapping.bytes}`,
      );
    }
    this.#regions++;
    return new MappedRegion(this.#system, this.#mapping.address + offset, bytes, () => this.#release());
  }

  #release(): void {
    if (--this.#regions > 0) return;
    this.#mapping.close();
    this.#closed();
  }
}

class MappedRegion implements Region {
  readonly address: number;
  readonly bytes: number;
  readonly #system: System;
  #release: (() => void) | undefined;
  #buffer: ArrayBuffer | undefined;

  constructor(system: System, address: number, bytes: number, release: () => void) {
    this.#system = system;
    this.address = address;
    this.bytes = bytes;
    this.#release = release;
  }

  array<T>(type: ArrayType<T>, offset: number, length: number): T {
    const size = length * type.BYTES_PER_ELEMENT;
    if (!this.#release || offset < 0 || offset + size > this.bytes) {
      throw new UnsupportedError(
        `memory: ${size} bytes at ${offset} are outside of the ${this.bytes} there are`,
      );
    }
    this.#buffer ??= this.#system.koffi.view(BigInt(this.address), this.bytes);
    return new type(this.#buffer, offset, length);
  }

  write(): void {
    throw new UnsupportedError("memory: a file that stands in for memory cannot be written to");
  }

  free(): void {
    this.#release?.();
    this.#release = undefined;
    this.#buffer = undefined;
  }
}
