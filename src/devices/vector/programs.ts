import { chainProgram } from "../../codegen/chain.ts";
import type { Program } from "../../codegen/instruction.ts";
import { program } from "../../codegen/ir.ts";
import type { Value } from "../device.ts";
import type { FirstProgram, VectorForm, VectorProgram } from "../kernel.ts";
import type { Command } from "../recording_device.ts";
import type { CommandList } from "./command_list.ts";
import type { Ready } from "./layout.ts";
import type { Machine } from "./machine.ts";
import type { Places } from "./places.ts";
import { bytesOf } from "./sizes.ts";

/** Bytes that a program reads and writes, up to which it is not worth while to wait for other threads before the next. */
const SMALL = 98_304;

/** The programs that a machine has compiled, each when it was first needed, and how commands call them. */
export class Programs {
  readonly #machine: Machine;
  /** What stands for them in commands, by kernel and what was built in. */
  readonly #compiled = new Map<string, number>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** The program that computes a command on this machine. Nothing where there is none. */
  formOf({ kernel, inputs, params }: Command): VectorForm | undefined {
    return kernel.vector?.(inputs as never, params, this.#machine.target);
  }

  /**
   * What stands for a program in commands.
   *
   * @param key names the program and all that `build` builds in
   */
  compiled(key: string, build: () => Program): number {
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    const address = this.#machine.compile(build());
    this.#compiled.set(key, address);
    return address;
  }

  /** What stands for the program that runs small commands one after the other. */
  chain(): number {
    return this.compiled("chain", () => chainProgram(this.#machine.target));
  }

  /**
   * Adds a command to a list: its program, and before it the first one, unless that one's work is there.
   *
   * @throws ShapeError where one of its Values has ended
   */
  append(list: CommandList, ready: Ready, places: Places): void {
    const { command, owner, form, beside, behind, shares } = ready;
    for (const part of shares ? [form] : [form?.first, form]) {
      if (!part) continue;
      const args = argumentsOf(ready, part, places);
      const program = this.#programOf(command, part, [...args.keys()]);
      const { tiles, streams } = part;
      const small = bytesTouched(command, part) <= SMALL;
      list.append({ program, args: [...args.values()], tiles, streams, beside, behind, small }, owner);
    }
  }

  #programOf({ kernel }: Command, part: VectorProgram, slots: readonly string[]): number {
    return this.compiled(`${kernel.name}|${slots}|${part.key}`, () =>
      program(kernel.name, this.#machine.target, slots, (b, named) => part.build(b, named)),
    );
  }
}

/** Addresses and numbers that a program works with, by name. */
function argumentsOf(
  { command: { inputs, output }, work }: Ready,
  { numbers = {} }: VectorProgram,
  places: Places,
): Map<string, number> {
  const args = new Map<string, number>();
  for (const [name, value] of Object.entries(inputs)) if (value) args.set(name, places.address(value));
  args.set("y", places.address(output));
  if (work !== undefined) args.set("work", places.addressAt(work));
  for (const [name, number] of Object.entries(numbers)) args.set(name, number);
  return args;
}

/** Bytes that a program of a command reads and writes, or more. */
function bytesTouched({ inputs, output }: Command, part: VectorProgram | FirstProgram): number {
  const sum = (values: readonly (Value | undefined)[]): number =>
    values.reduce((bytes, value) => bytes + (value ? bytesOf(value) : 0), 0);
  if ("bytes" in part && part.reads) return sum([inputs[part.reads]]) + part.bytes;
  return sum([...Object.values(inputs), output]);
}
