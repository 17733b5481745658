import { type Command, commandBytes, writeArguments, writeCommands } from "../../codegen/commands.ts";
import type { Machine, Region } from "./machine.ts";

/** Memory that a list takes at least. */
const SMALLEST = 65536;

/** One command: a compiled program, its arguments (addresses and numbers), and how many tiles of work there are. */
interface Entry {
  program: number;
  args: readonly number[];
  tiles: number;
}

/** A list of commands that is collected, then written into memory for the threads to run. */
export class CommandList {
  readonly #machine: Machine;
  readonly #entries: Entry[] = [];
  #region: Region | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  get length(): number {
    return this.#entries.length;
  }

  append(program: number, args: readonly number[], tiles: number): void {
    this.#entries.push({ program, args, tiles });
  }

  clear(): void {
    this.#entries.length = 0;
  }

  /** Writes the list into memory and gives its address. It stays there until the next call. */
  write(): number {
    const first = commandBytes(this.#entries.length);
    const bytes = this.#entries.reduce((sum, { args }) => sum + 8 * args.length, first);
    const { address } = this.#memory(bytes);
    const { buffer, byteOffset } = this.#memory(bytes).array(Uint8Array, 0, bytes);
    const commands: Command[] = [];
    let at = first;
    for (const { program, args, tiles } of this.#entries) {
      writeArguments(new DataView(buffer, byteOffset + at, 8 * args.length), args);
      commands.push({ program, block: address + at, tiles });
      at += 8 * args.length;
    }
    writeCommands(new DataView(buffer, byteOffset, first), commands);
    return address;
  }

  free(): void {
    this.#region?.free();
    this.#region = undefined;
  }

  #memory(bytes: number): Region {
    if (this.#region && this.#region.bytes >= bytes) return this.#region;
    this.#region?.free();
    this.#region = this.#machine.allocate(Math.max(SMALLEST, 2 * bytes));
    return this.#region;
  }
}
