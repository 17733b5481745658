import { chainArguments, chainLength } from "../../codegen/chain.ts";
import { type Command, commandBytes, writeArguments, writeCommands } from "../../codegen/commands.ts";
import type { Machine } from "./machine.ts";
import { Room } from "./room.ts";

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
  /** It takes no longer than threads need to wait for each other. */
  small?: boolean;
}

/** Commands that are written as one: what is small, and comes one after the other. */
interface Item {
  readonly entries: readonly Entry[];
  readonly owner: number;
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
  readonly #room: Room;
  #entries: Entry[] = [];
  #owners: number[] = [];

  constructor(machine: Machine) {
    this.#room = new Room(machine);
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

  /**
   * Writes what was collected into memory, where it stays until the next call, and forgets it.
   *
   * @param chain the program of chains, which small commands become; without it all stand by themselves
   */
  write(chain?: number): WrittenList {
    const items = itemsOf(this.#entries, this.#owners, chain !== undefined);
    this.clear();
    const first = commandBytes(items.length);
    const bytes = items.reduce((sum, { entries }) => sum + 8 * numbersOf(entries), first);
    const region = this.#room.take(bytes, Math.max(SMALLEST, 2 * bytes));
    const { address } = region;
    const { buffer, byteOffset } = region.array(Uint8Array, 0, bytes);
    let at = first;
    const place = (args: readonly number[]): number => {
      writeArguments(new DataView(buffer, byteOffset + at, 8 * args.length), args);
      at += 8 * args.length;
      return address + at - 8 * args.length;
    };
    const commands = items.map(({ entries }): Command => {
      const links = entries.map((entry) => ({ ...entry, block: place(entry.args) }));
      if (links.length === 1 || chain === undefined) return links[0];
      return { program: chain, block: place(chainArguments(links)), tiles: 1 };
    });
    writeCommands(new DataView(buffer, byteOffset, first), commands);
    return {
      address,
      count: items.length,
      owners: items.map(({ owner }) => owner),
      behind: items.map(({ entries }) => entries.length === 1 && entries[0].behind === true),
    };
  }

  free(): void {
    this.#room.free();
  }
}

/** Groups of which all commands are small are put together with the next such ones. */
function itemsOf(entries: readonly Entry[], owners: readonly number[], chains: boolean): Item[] {
  const items: Item[] = [];
  let open = false;
  for (let from = 0; from < entries.length; ) {
    let to = from + 1;
    while (to < entries.length && (entries[to].beside || entries[to].behind)) to++;
    const group = entries.slice(from, to);
    const small = chains && group.every((entry) => entry.small);
    if (small) {
      const before = open ? items.pop() : undefined;
      items.push({ entries: [...(before?.entries ?? []), ...group], owner: before?.owner ?? owners[from] });
    } else items.push(...group.map((entry, i) => ({ entries: [entry], owner: owners[from + i] })));
    open = small;
    from = to;
  }
  return items;
}

/** Numbers of the argument blocks. */
function numbersOf(entries: readonly Entry[]): number {
  const own = entries.reduce((sum, { args }) => sum + args.length, 0);
  return entries.length === 1 ? own : own + chainLength(entries.length);
}
