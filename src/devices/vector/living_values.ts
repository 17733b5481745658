import { rowsOfPanels } from "../../codegen/panels.ts";
import { type TypedArray, viewBytes } from "../../tensor/dtype.ts";
import type { Value } from "../device.ts";
import { type Block, Heap, type Spot } from "./heap.ts";
import type { Machine, Region } from "./machine.ts";
import { matrixOf, storedBytes } from "./sizes.ts";

/** Values that outlive steps, and where their numbers are: weights, caches, features. Views are not among them. */
export class LivingValues {
  readonly #machine: Machine;
  readonly #heap: Heap;
  readonly #blocks = new Map<Value, Block>();

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#heap = new Heap(machine);
  }

  /** Bytes that they take. */
  get bytes(): number {
    return this.#heap.bytes;
  }

  /** Where a Value's numbers are, if it lives. */
  get(value: Value): Block | undefined {
    return this.#blocks.get(value);
  }

  /**
   * Lets a Value live, with zeros for numbers.
   *
   * @throws UnsupportedError where the machine has not so much memory
   */
  allocate(value: Value): Block {
    const block = this.#heap.allocate(storedBytes(value, this.#machine.target));
    this.#blocks.set(value, block);
    return block;
  }

  /** Lets a Value live in memory from elsewhere, which is freed with it. */
  adopt(value: Value, region: Region): void {
    this.#blocks.set(value, this.#heap.adopt(region));
  }

  /** Lets a Value that a step has made live on: copies its numbers from where the step has them. */
  keep(value: Value, { region, offset }: Spot): void {
    if (this.#blocks.has(value)) return;
    const block = this.allocate(value);
    // The window is made last, as it is right only until memory is allocated.
    block.region.write(block.offset, region.array(Uint8Array, offset, block.bytes));
  }

  /** The numbers of a weight [N, ...] that lies in panels there, row after row: a copy. */
  rows(value: Value, { region, offset }: Spot): TypedArray {
    const { target } = this.#machine;
    const { dtype, shape } = value;
    const panels = region.array(Uint8Array, offset, storedBytes(value, target));
    return rowsOfPanels(target, dtype, ...matrixOf(shape), viewBytes(dtype, panels));
  }

  /** Ends a Value. Tells whether it lived. */
  release(value: Value): boolean {
    const block = this.#blocks.get(value);
    if (!block) return false;
    this.#blocks.delete(value);
    this.#heap.free(block);
    return true;
  }

  /** Ends all of them. */
  dispose(): void {
    this.#blocks.clear();
    this.#heap.dispose();
  }
}
