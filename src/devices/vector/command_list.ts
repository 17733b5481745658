import { type Command, commandBytes, writeArguments, writeCommands } from "../../codegen/commands.ts";
import type { Machine, Region } from "./machine.ts";

/** Memory that a list takes at least. */
const SMALLEST = 65536;

/** One command: a compiled program, its arguments (addresses and numbers), and how many tiles of work there are. */
interface Entry {
  program: number;
  args: readonly number[];
  tiles: number;
  /** Its tiles read memory on end, and take equally long. */
  streams?: boolean;
  /** Needs nothing of the commands before it, as far back as to one that is not beside another, nor they of it. */
  beside?: boolean;
  /** Each of its tiles is computed right after the same tile of the one before. */
  behind?: boolean;
}

/** A list that stands in memory. */
export interface WrittenList {
  readonly address: number;
  readonly count: number;
  /** For each command the number of the kernel that it belongs to. */
  readonly owners: readonly number[];
  /** For each command, whether it is computed tile by tile behind the one before. */
  readonly behind: readonly boolean[];
}

/** A list of commands that is collected, then written into memory for the threads to run. */
export class CommandList {
  readonly #machine: Machine;
  #entries: Entry[] = [];
  #owners: number[] = [];
  #region: Region | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Commands that were collected. */
  get length(): number {
    return this.#entries.length;
  }

  /** @param owner the number of the kernel that the command belongs to */
  append(entry: Entry, owner = 0): void {
    this.#entries.push(entry);
    this.#owners.push(owner);
  }

  /** Forgets what was collected. */
  clear(): void {
    this.#entries = [];
    this.#owners = [];
  }

  /** Writes what was collected into memory, where it stays until the next call, and forgets it. */
  write(): WrittenList {
    const [entries, owners] = [this.#entries, this.#owners];
    this.clear();
    const first = commandBytes(entries.length);
    const bytes = entries.reduce((sum, { args }) => sum + 8 * args.length, first);
    const region = this.#memory(bytes);
    const { address } = region;
    const { buffer, byteOffset } = region.array(Uint8Array, 0, bytes);
    const commands: Command[] = [];
    let at = first;
    for (const { program, args, tiles, ...how } of entries) {
      writeArguments(new DataView(buffer, byteOffset + at, 8 * args.length), args);
      commands.push({ program, block: address + at, tiles, ...how });
      at += 8 * args.length;
    }
    writeCommands(new DataView(buffer, byteOffset, first), commands);
    return { address, count: entries.length, owners, behind: entries.map(({ behind = false }) => behind) };
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
