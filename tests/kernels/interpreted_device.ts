import type { Program } from "../../src/codegen/instruction.ts";
import { COMMAND, SCRATCH_BYTES } from "../../src/codegen/step.ts";
import type { Target } from "../../src/codegen/target.ts";
import type { Machine, Region } from "../../src/devices/vector/machine.ts";
import { Placement } from "../../src/devices/vector/placement.ts";
import { VectorDevice } from "../../src/devices/vector/vector_device.ts";
import { interpret } from "../codegen/support/interpret.ts";

/*
 * The device that machine code runs on, with the interpreter in place of a processor: for instructions that the one at
 * hand does not have.
 */

const MEMORY_BYTES = 64 * 2 ** 20;

/** Interprets programs for any target, in memory of its own. Unused memory is not zero. */
class InterpretedMachine implements Machine {
  readonly target: Target;
  readonly threads = 1;
  readonly steady = true;
  readonly #memory = new ArrayBuffer(MEMORY_BYTES);
  readonly #placement = new Placement();
  readonly #programs: Program[] = [];
  readonly #scratch: number;

  constructor(target: Target) {
    this.target = target;
    // Address 0 is nobody's. What threads find in scratch memory is what was there.
    this.#placement.take(64);
    this.#scratch = this.#placement.take(SCRATCH_BYTES);
    new Uint8Array(this.#memory, this.#scratch, SCRATCH_BYTES).fill(0xff);
  }

  allocate(bytes: number): Region {
    const address = this.#placement.take(bytes);
    if (this.#placement.size > MEMORY_BYTES) throw new Error(`there are only ${MEMORY_BYTES} bytes`);
    const memory = this.#memory;
    new Uint8Array(memory, address, bytes).fill(0);
    return {
      address,
      bytes,
      array: (type, offset, length) => new type(memory, address + offset, length),
      write: (offset, source) => new Uint8Array(memory, address, bytes).set(source, offset),
      free: () => this.#placement.give(address, bytes),
    };
  }

  compile(program: Program): number {
    return this.#programs.push(program) - 1;
  }

  async run(address: number, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const view = new DataView(this.#memory, address + i * COMMAND.bytes, COMMAND.bytes);
      const program = this.#programs[Number(view.getBigUint64(COMMAND.program, true))];
      const block = Number(view.getBigUint64(COMMAND.arguments, true));
      const tiles = view.getUint32(COMMAND.tiles, true);
      const callee = (called: number): Program => this.#programs[called];
      for (let tile = 0; tile < tiles; tile++)
        interpret(program, this.#memory, [block, tile, this.#scratch], callee);
    }
  }

  abort(): void {}

  async stop(): Promise<void> {}

  dispose(): void {}
}

/** A device whose programs are interpreted. */
export function interpretedDevice(target: Target): VectorDevice {
  return new VectorDevice("interpreted", new InterpretedMachine(target), `interpreter, ${target.name}`);
}
