import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { commandBytes, writeArguments, writeCommands } from "../../src/codegen/commands.ts";
import type { Program } from "../../src/codegen/instruction.ts";
import { program } from "../../src/codegen/ir.ts";
import { COMMAND, LOG, SHARED, stepProgram, THREAD } from "../../src/codegen/step.ts";
import { avx2, type Target, wasm } from "../../src/codegen/target.ts";
import { exportName, wasmModule } from "../../src/codegen/wasm/module.ts";
import { interpret } from "./support/interpret.ts";

/** Where things are in the memory of these tests. Nothing lies at the first word, on which WebAssembly's threads sleep. */
const AT = {
  shared: 256,
  gone: 512,
  threads: 1024,
  blocks: 2048,
  commands: 4096,
  data: 16384,
  scratch: 32768,
};

/** counts[tile] += amount, and notes which thread's scratch memory was used. */
const addTo = (target: Target): Program =>
  program("add to", target, ["counts", "amount"], (b, { counts, amount }) => {
    const at = b.cursor(counts, b.tile.times(4));
    at.writeInt(0, at.readInt().plus(amount.read()));
    const scratch = b.scratch();
    scratch.writeInt(0, scratch.readInt().plus(1));
  });

/** Three commands, of 5, 0 and 3 tiles. The last two are a group. */
const TILES = [5, 0, 3];

function prepare(memory: ArrayBufferLike, threads: number, code: number): void {
  const view = new DataView(memory);
  for (let i = 0; i < threads; i++) {
    const thread = AT.threads + THREAD.bytes * i;
    view.setBigUint64(thread + THREAD.scratch, BigInt(AT.scratch + 256 * i), true);
    view.setUint32(thread + THREAD.commands, TILES.length, true);
    view.setUint32(thread + THREAD.threads, threads, true);
  }
  const commands = TILES.map((tiles, i) => {
    const block = AT.blocks + 64 * i;
    writeArguments(new DataView(memory, block), [AT.data, 10 ** i]);
    return { program: code, block, tiles, streams: i === 0, beside: i === 2 };
  });
  writeCommands(new DataView(memory, AT.commands, commandBytes(TILES.length)), commands);
}

function counts(memory: ArrayBufferLike): number[] {
  return [...new Int32Array(memory.slice(AT.data, AT.data + 20))];
}

/** What a thread does: runs the step so many times, each when all threads have done the one before. */
const THREAD_SOURCE = `
const { parentPort, workerData: { module, memory, step, parameters, rounds, threads, gone } } = require("node:worker_threads");
const words = new Int32Array(memory.buffer, gone);
const functions = new WebAssembly.Table({ element: "anyfunc", initial: 2 });
const { exports } = new WebAssembly.Instance(module, { env: { memory, table: functions } });
for (let i = 1; i <= rounds; i++) {
  exports[step](...parameters);
  Atomics.add(words, 0, 1);
  for (let seen; (seen = Atomics.load(words, 0)) < i * threads; ) Atomics.wait(words, 0, seen, 0.1);
}
parentPort.postMessage("done");
`;

describe("a list of commands", () => {
  it("says at the end of each group how many tiles it has", () => {
    const besides = [true, false, true, false, true, true];
    const memory = new DataView(new ArrayBuffer(commandBytes(besides.length)));
    writeCommands(
      memory,
      besides.map((beside, i) => ({ program: 1, block: 2, tiles: i + 3, beside, behind: i === 4 })),
    );
    const field = (offset: number) =>
      besides.map((_, i) => memory.getUint32(i * COMMAND.bytes + offset, true));
    expect(field(COMMAND.ends)).toEqual([1, 0, 1, 0, 0, 1]);
    // Those of a command that is behind another are done with that one's.
    expect(field(COMMAND.work)).toEqual([3, 4, 9, 6, 6, 14]);
  });
});

/** Notes the amount down: in a list, whose length stands before it. */
const noteDown = (target: Target): Program =>
  program("note down", target, ["list", "amount"], (b, { list, amount }) => {
    const length = b.cursor(list);
    const count = length.readInt();
    b.cursor(list, count.times(4), 4).writeInt(0, amount.read().plus(b.tile));
    length.writeInt(0, count.plus(1));
  });

describe("a step", () => {
  it("does all tiles of all commands, in the interpreter", () => {
    const memory = new ArrayBuffer(65536);
    prepare(memory, 1, 77);
    const callee = addTo(avx2());
    interpret(stepProgram(avx2()), memory, [AT.shared, AT.commands, AT.threads], (address) => {
      expect(address).toBe(77);
      return callee;
    });
    expect(counts(memory)).toEqual([101, 101, 101, 1, 1]);
    expect(new DataView(memory).getInt32(AT.scratch, true)).toBe(8);
  });

  it("does each tile by all programs behind one another before the next tile", () => {
    const memory = new ArrayBuffer(65536);
    prepare(memory, 1, 77);
    // The second and third are behind the first, the last is beside them and has others behind it.
    const commands = [10, 20, 30, 40, 50].map((amount, i) => {
      const block = AT.blocks + 64 * i;
      writeArguments(new DataView(memory, block), [AT.data, amount]);
      const how = { beside: i === 3, behind: i === 1 || i === 2 || i === 4 };
      return { program: 77, block, tiles: 2, ...how };
    });
    const list = new DataView(memory, AT.commands, commandBytes(commands.length));
    writeCommands(list, commands);
    new DataView(memory).setUint32(AT.threads + THREAD.commands, commands.length, true);
    interpret(stepProgram(avx2()), memory, [AT.shared, AT.commands, AT.threads], () => noteDown(avx2()));
    expect([...new Int32Array(memory, AT.data, 11)]).toEqual([10, 10, 20, 30, 11, 21, 31, 40, 50, 41, 51]);
    // All are ready for another run.
    for (const counter of [COMMAND.next, COMMAND.done])
      expect(commands.map((_, i) => list.getUint32(i * COMMAND.bytes + counter, true))).toEqual([
        0, 0, 0, 0, 0,
      ]);
    expect(new DataView(memory).getUint32(AT.shared + SHARED.arrived, true)).toBe(0);
  });

  it("waits for tiles, not for threads", () => {
    const memory = new ArrayBuffer(65536);
    prepare(memory, 2, 77);
    const view = new DataView(memory);
    const run = (thread: number): void => {
      const own = AT.threads + THREAD.bytes * thread;
      interpret(stepProgram(avx2()), memory, [AT.shared, AT.commands, own], () => addTo(avx2()));
    };
    // The first thread has all done before the second comes, which finds nothing to do and ends the step.
    run(0);
    expect(counts(memory)).toEqual([101, 101, 101, 1, 1]);
    expect(view.getUint32(AT.commands + COMMAND.done, true)).toBe(5);
    run(1);
    expect(counts(memory)).toEqual([101, 101, 101, 1, 1]);
    expect(view.getUint32(AT.commands + COMMAND.done, true)).toBe(0);
    // And again, the other one first.
    run(1);
    run(0);
    expect(counts(memory)).toEqual([202, 202, 202, 2, 2]);
  });

  it("notes down when commands are done", () => {
    const memory = new ArrayBuffer(65536);
    prepare(memory, 1, 77);
    const log = 50_000;
    new DataView(memory).setBigUint64(AT.threads + THREAD.log, BigInt(log), true);
    interpret(stepProgram(avx2(), true), memory, [AT.shared, AT.commands, AT.threads], () => addTo(avx2()));
    expect(counts(memory)).toEqual([101, 101, 101, 1, 1]);
    // The interpreter's clock counts how often it is read.
    const words = (LOG.first + TILES.length * LOG.bytes) / 4;
    expect([...new Uint32Array(memory.slice(log, log + 4 * words + 4))]).toEqual([0, 1, 2, 3, 4, 5, 6, 0]);
  });

  it("does nothing where it is told to stop", () => {
    const memory = new ArrayBuffer(65536);
    prepare(memory, 1, 0);
    new DataView(memory).setUint32(AT.shared + SHARED.abort, 1, true);
    interpret(stepProgram(avx2()), memory, [AT.shared, AT.commands, AT.threads], () => addTo(avx2()));
    expect(counts(memory)).toEqual([0, 0, 0, 0, 0]);
  });

  it.each([
    // Half of them, and a share of 1 in 16.
    { streams: true, tiles: 40, taken: 20 },
    { streams: false, tiles: 40, taken: 3 },
    { streams: true, tiles: 3, taken: 2 },
    { streams: true, tiles: 1, taken: 1 },
  ])("gives the first of two threads $taken of $tiles tiles at once (streams: $streams)", (one) => {
    const memory = new ArrayBuffer(65536);
    prepare(memory, 2, 77);
    new DataView(memory).setUint32(AT.threads + THREAD.commands, 1, true);
    writeArguments(new DataView(memory, AT.blocks), [AT.shared]);
    const command = { program: 77, block: AT.blocks, ...one };
    writeCommands(new DataView(memory, AT.commands, commandBytes(1)), [command]);
    const callee = program("stop", avx2(), ["shared"], (b, { shared }) =>
      b.cursor(shared).atomicWrite(SHARED.abort, b.int(1)),
    );
    interpret(stepProgram(avx2()), memory, [AT.shared, AT.commands, AT.threads], () => callee);
    expect(new DataView(memory).getUint32(AT.commands + COMMAND.next, true)).toBe(one.taken);
  });

  it.each([1, 2, 3])("runs as WebAssembly on %i threads, the same list again and again", async (threads) => {
    const target = wasm();
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    // The table's second place.
    prepare(memory.buffer, threads, 1);
    const links = { memory: { initial: 1, maximum: 1, shared: true }, tableBase: 0 };
    const module = new WebAssembly.Module(
      wasmModule([stepProgram(target), addTo(target)], links) as BufferSource,
    );
    const rounds = 200;
    const workers = Array.from({ length: threads }, (_, i) => {
      const parameters = [AT.shared, AT.commands, AT.threads + THREAD.bytes * i];
      return new Worker(THREAD_SOURCE, {
        eval: true,
        execArgv: [],
        workerData: { module, memory, step: exportName(0), parameters, rounds, threads, gone: AT.gone },
      });
    });
    await Promise.all(workers.map((worker) => once(worker, "message")));
    expect(counts(memory.buffer)).toEqual([101, 101, 101, 1, 1].map((n) => n * rounds));
    const done = Array.from({ length: threads }, (_, i) =>
      new DataView(memory.buffer).getInt32(AT.scratch + 256 * i, true),
    );
    expect(done.reduce((a, b) => a + b)).toBe(8 * rounds);
    await Promise.all(workers.map((worker) => worker.terminate()));
  });
});
