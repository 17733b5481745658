import type { Machine, Region } from "./machine.ts";

/** A piece of memory that is used again and again, and grows to the most that was asked for. */
export class Room {
  readonly #machine: Machine;
  #region: Region | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Whether there are so many bytes already. */
  has(bytes: number): boolean {
    return this.#region !== undefined && this.#region.bytes >= bytes;
  }

  /**
   * At least so many bytes. Where the room has to grow for that, what stood in it is lost.
   *
   * @param grown how large it is made then
   * @throws UnsupportedError where the machine has not so much memory. There is no room then, until it is asked for less.
   */
  take(bytes: number, grown = bytes): Region {
    if (this.#region && this.#region.bytes >= bytes) return this.#region;
    this.free();
    this.#region = this.#machine.allocate(grown);
    return this.#region;
  }

  /** Gives it back, until it is asked for again. */
  free(): void {
    this.#region?.free();
    this.#region = undefined;
  }
}
