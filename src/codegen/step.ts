import type { Cursor } from "./cursor.ts";
import type { Program } from "./instruction.ts";
import { type Builder, program } from "./ir.ts";
import type { Var } from "./scalar.ts";
import type { Target } from "./target.ts";

/*
 * A step is a list of commands in memory that all threads share. Every thread runs the step program over the same list:
 * it takes tiles of the command's work by an atomic counter until none is left, waits until those of the others are done,
 * and goes on with the next command. It waits for tiles, not for threads: one that is late, or was put aside by the system
 * between two tiles, holds nobody up, and finds its way through what is done. Commands that need nothing of each other
 * stand in one group, and threads wait at its end only. Where a tile needs of the command before nothing but the same
 * tile, the thread goes on with it at once. JavaScript is entered once per thread and step.
 */

/** A command's fields, by their offsets in bytes. */
export const COMMAND = {
  /** The program's address, or its number in WebAssembly's table. */
  program: 0,
  /** Its argument block. */
  arguments: 8,
  /** How many tiles of work there are. May be zero. */
  tiles: 16,
  /** 1: its group ends with it; 0: others follow. */
  ends: 20,
  /** A thread takes a share of the tiles that are left: of so many for each thread. */
  shares: 24,
  /** Programs that each tile is computed by, one after the other: this command's, and those behind it; 0: it is behind another. */
  programs: 28,
  /** Tiles of the group that ends with it. */
  work: 32,
  /** The next tile to be taken. On a cache line of their own, with what rarely changes before it: this and the next. */
  next: 64,
  /** How many tiles of the group that ends with it are done. */
  done: 68,
  bytes: 128,
} as const;

/** Fields of the memory that the threads of a step share. */
export const SHARED = {
  /** How many threads have come to the end of the list. */
  arrived: 0,
  /** Not zero: leave as soon as possible. */
  abort: 64,
  bytes: 128,
} as const;

/** Fields of each thread's own memory. */
export const THREAD = {
  /** Address of its scratch memory. */
  scratch: 0,
  /** Commands in the list. */
  commands: 8,
  /** Threads that run it. */
  threads: 12,
  /** Address of the system's function that lets other threads run. */
  yield: 16,
  /** Address of the memory for `LOG`; used by the timed step only. */
  log: 24,
  bytes: 64,
} as const;

/** What the timed step notes down, in the clock's counts: when the thread came in, then for each command. */
export const LOG = {
  first: 4,
  /** When the thread had no more tiles to take, and when all threads had none. */
  worked: 0,
  finished: 4,
  bytes: 8,
} as const;

/** Scratch memory of each thread that programs may use as they like, in bytes. Most of it is never touched. */
export const SCRATCH_BYTES = 8 * 2 ** 20;

/** Rounds of waiting (about 5 us) before a thread lets others run: it may be in the way of the one it waits for. */
const SPINS = 200;
/** The same (10 us) where no instruction pauses, so that a round takes half a nanosecond. To sleep takes 50 us and more. */
const SPINS_WITHOUT_PAUSE = 20_000;

/**
 * The step program: `fn(shared, commands, thread)`. The thread that leaves last makes the list ready for another run, which
 * must not begin before.
 *
 * Leaves early where `abort` is set, within one tile; the counters are then in no defined state.
 *
 * @param timed also notes down when each command was done
 */
export function stepProgram(target: Target, timed = false): Program {
  return program("step", target, [], (b) => {
    const [shared, command, thread] = [b.cursor(b.argumentBlock), b.cursor(b.tile), b.scratch()];
    const left = b.variable(thread.readInt(THREAD.commands));
    const log = timed ? b.cursor(thread.readPointer(THREAD.log)) : undefined;
    log?.writeInt(0, b.clock());
    log?.advance(LOG.first);
    /** Tiles of the group that this thread has done. */
    const done = b.variable(0);
    const places = { shared, command, thread, done };
    b.forever((leave) => {
      leave(left, "==", 0);
      b.if(command.readInt(COMMAND.programs), ">", 0, () => takeTiles(b, places));
      leave(shared.atomicRead(SHARED.abort), "!=", 0);
      log?.writeInt(LOG.worked, b.clock());
      b.if(command.readInt(COMMAND.ends), "!=", 0, () => endGroup(b, places));
      leave(shared.atomicRead(SHARED.abort), "!=", 0);
      log?.writeInt(LOG.finished, b.clock());
      log?.advance(LOG.bytes);
      command.advance(COMMAND.bytes);
      left.add(-1);
    });
    b.if(left, "==", 0, () => endList(b, places));
  });
}

/** What all threads share, the command that is computed, and the thread's own memory. */
interface Places {
  shared: Cursor;
  command: Cursor;
  thread: Cursor;
  done: Var;
}

function takeTiles(b: Builder, { shared, command, thread, done }: Places): void {
  const tiles = command.readInt(COMMAND.tiles);
  b.forever((leave) => {
    const seen = command.atomicRead(COMMAND.next);
    leave(seen, ">=", tiles);
    leave(shared.atomicRead(SHARED.abort), "!=", 0);
    const shares = thread.readInt(THREAD.threads).times(command.readInt(COMMAND.shares));
    const some = tiles.minus(seen).plus(shares).minus(1).dividedBy(shares);
    const tile = b.variable(command.atomicAdd(COMMAND.next, some));
    const end = tile.plus(some).min(tiles);
    b.forever((leaveShare) => {
      leaveShare(tile, ">=", end);
      leaveShare(shared.atomicRead(SHARED.abort), "!=", 0);
      const scratch = thread.readPointer(THREAD.scratch);
      const one = b.cursor(command.pointer);
      b.repeat(command.readInt(COMMAND.programs), () => {
        const [code, block] = [one.readPointer(COMMAND.program), one.readPointer(COMMAND.arguments)];
        b.emit(
          "call",
          [code, block, tile, scratch].map((n) => n.register),
        );
        one.advance(COMMAND.bytes);
      });
      tile.add(1);
      done.add(1);
    });
  });
}

/** Waits until all tiles of the group are done. */
function endGroup(b: Builder, { shared, command, thread, done }: Places): void {
  const work = command.readInt(COMMAND.work);
  b.if(done, ">", 0, () => command.atomicAdd(COMMAND.done, done));
  done.set(0);
  b.if(command.atomicRead(COMMAND.done), "<", work, () => {
    const spins = b.variable(b.target.name === "wasm" ? SPINS_WITHOUT_PAUSE : SPINS);
    b.forever((leave) => {
      leave(command.atomicRead(COMMAND.done), ">=", work);
      leave(shared.atomicRead(SHARED.abort), "!=", 0);
      b.emit("pause");
      spins.add(-1);
      b.if(spins, "==", 0, () => {
        b.emit("yield", [thread.readPointer(THREAD.yield).register]);
        spins.set(1);
      });
    });
  });
}

/** Counts the thread as gone; the last one sets all counters to zero: none of the others looks at them any more. */
function endList(b: Builder, { shared, command, thread }: Places): void {
  const arrived = shared.atomicAdd(SHARED.arrived, b.int(1));
  b.if(arrived, "==", thread.readInt(THREAD.threads).minus(1), () => {
    const zero = b.int(0);
    b.repeat(thread.readInt(THREAD.commands), () => {
      command.advance(-COMMAND.bytes);
      command.atomicWrite(COMMAND.next, zero);
      command.atomicWrite(COMMAND.done, zero);
    });
    shared.atomicWrite(SHARED.arrived, zero);
  });
}
