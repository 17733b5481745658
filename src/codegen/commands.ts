import { COMMAND } from "./step.ts";

/** One command of a step: `tiles` pieces of work, each a call `program(block, tile, scratch)`. */
export interface Command {
  /** Address of the program; in WebAssembly its number in the table. */
  readonly program: number;
  /** Address of its argument block. */
  readonly block: number;
  readonly tiles: number;
  /** Its tiles read memory on end, and take equally long. */
  readonly streams?: boolean;
  /** Needs nothing of what the command before makes, nor the other way round: no thread waits between the two. */
  readonly beside?: boolean;
  /** Has as many tiles as the command before; each is computed by the thread that has computed that one's, right after it. */
  readonly behind?: boolean;
}

/**
 * Shares of the tiles that are left, for each thread. Neighbouring tiles read memory on end: where that is what takes the
 * time, a thread begins anew as rarely as can be. Tiles that may take longer than others are shared out more evenly. The
 * last ones are taken singly.
 */
const SHARES = { streams: 1, others: 8 };

/** Bytes that a list of commands takes. */
export function commandBytes(count: number): number {
  return count * COMMAND.bytes;
}

/** Writes a list of commands, ready to be run, into memory of `commandBytes`. */
export function writeCommands(memory: DataView, commands: readonly Command[]): void {
  let work = 0;
  for (const [i, { program, block, tiles, streams, behind }] of commands.entries()) {
    const at = i * COMMAND.bytes;
    if (!behind) work += tiles;
    const next = commands[i + 1];
    const ends = next?.beside !== true && next?.behind !== true;
    memory.setBigUint64(at + COMMAND.program, BigInt(program), true);
    memory.setBigUint64(at + COMMAND.arguments, BigInt(block), true);
    memory.setUint32(at + COMMAND.tiles, tiles, true);
    memory.setUint32(at + COMMAND.ends, ends ? 1 : 0, true);
    memory.setUint32(at + COMMAND.work, work, true);
    memory.setUint32(at + COMMAND.shares, streams ? SHARES.streams : SHARES.others, true);
    memory.setUint32(at + COMMAND.programs, behind ? 0 : programsFrom(commands, i), true);
    memory.setUint32(at + COMMAND.next, 0, true);
    memory.setUint32(at + COMMAND.done, 0, true);
    if (ends) work = 0;
  }
}

/** Programs that each tile of a command is computed by: its own, and those of the commands behind it. */
function programsFrom(commands: readonly Command[], first: number): number {
  let end = first + 1;
  while (commands[end]?.behind) end++;
  return end - first;
}

/** Writes an argument block: pointers and counts, 8 bytes each, in the order of the program's slots. */
export function writeArguments(memory: DataView, values: readonly number[]): void {
  for (const [i, value] of values.entries()) memory.setBigInt64(8 * i, BigInt(value), true);
}
