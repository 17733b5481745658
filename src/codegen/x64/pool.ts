import type { Constant, Instruction } from "../instruction.ts";

/** Numbers that a program loads, laid out before its code. */
export class ConstantPool {
  readonly #at = new Map<string, number>();
  /** A multiple of 64 bytes. */
  readonly bytes: Uint8Array;

  /** @param vectorBytes of a constant with one number for each lane */
  constructor(instructions: readonly Instruction[], vectorBytes: number) {
    const constants = new Map<string, Constant>();
    for (const { constant } of instructions)
      if (constant !== undefined) constants.set(String(constant), constant);
    const vectors = [...constants].filter(([, constant]) => typeof constant !== "number");
    const words = [...constants].filter(([, constant]) => typeof constant === "number");
    const size = vectors.length * vectorBytes + words.length * 4;
    this.bytes = new Uint8Array(Math.ceil(size / 64) * 64);
    const view = new DataView(this.bytes.buffer);
    let at = 0;
    for (const [key, constant] of [...vectors, ...words]) {
      this.#at.set(key, at);
      for (const n of [constant].flat()) {
        view.setInt32(at, n, true);
        at += 4;
      }
    }
  }

  /** Where a constant lies, from the start of the pool. */
  positionOf(constant: Constant): number {
    return this.#at.get(String(constant))!;
  }
}
