import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import { type Command, commandBytes, writeArguments, writeCommands } from "../../src/codegen/commands.ts";
import type { Program } from "../../src/codegen/instruction.ts";
import { program } from "../../src/codegen/ir.ts";
import { listTimes } from "../../src/devices/native/clock.ts";
import type { Region } from "../../src/devices/native/memory.ts";
import { NativeWorkers } from "../../src/devices/native/workers.ts";
import { withEngine } from "./support.ts";

withEngine((engine) => {
  const { target } = engine;
  const L = target.lanes;
  let pool: NativeWorkers | undefined;
  let memory: Region | undefined;

  afterEach(async () => {
    await pool?.dispose();
    memory?.free();
    pool = undefined;
    memory = undefined;
  });

  /** y[tile] = x[tile] + 1, a vector a tile; slowly, if `rounds` says so. */
  const addOne = (rounds: number): Program =>
    program("add one", target, ["x", "y"], (b, { x, y }) => {
      const at = b.tile.times(4 * L);
      const [p, q, sum] = [b.cursor(x, at), b.cursor(y, at), b.accF32(0)];
      b.repeat(rounds, () => sum.add(b.f32(1)));
      q.store(0, b.add(p.load(), b.div(sum, b.f32(rounds))));
    });

  /** Memory for a list of commands and what they work on. */
  function setUp(
    commands: readonly { program: number; args: readonly number[]; tiles: number }[],
    dataAt: number,
  ): number {
    const m = memory!;
    const list: Command[] = commands.map(({ program, args, tiles }, i) => {
      const at = 4096 + 64 * i;
      writeArguments(new DataView(m.array(Uint8Array, at, 64).buffer, at), args);
      return { program, block: m.address + at, tiles };
    });
    const at = dataAt - commandBytes(list.length);
    writeCommands(new DataView(m.array(Uint8Array, 0, dataAt).buffer, at, commandBytes(list.length)), list);
    return m.address + at;
  }

  it.each([1, 2, 3])("computes chains of commands on %i threads, the same each time", async (threads) => {
    pool = await NativeWorkers.start(engine, threads);
    const tiles = 13;
    const floats = tiles * L;
    const data = 2 ** 16;
    memory = engine.allocate(data + 8 * floats);
    const [x, y] = [memory.address + data, memory.address + data + 4 * floats];
    const code = engine.compile(addOne(1));
    // Back and forth, with empty commands between.
    const commands = Array.from({ length: 40 }, (_, i) =>
      i % 5 === 4
        ? { program: code, args: [0, 0], tiles: 0 }
        : { program: code, args: (i - Math.floor(i / 5)) % 2 ? [y, x] : [x, y], tiles },
    );
    const list = setUp(commands, data);
    const numbers = memory.array(Float32Array, data, floats);
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < floats; i++) numbers[i] = i + round;
      await pool.run(list, commands.length);
      expect(numbers[floats - 1]).toBe(floats - 1 + round + 32);
      expect(numbers.every((n, i) => n === i + round + 32)).toBe(true);
    }
    await pool.run(list, 0);
  });

  it("tells what each command took, and computes the same", async () => {
    pool = await NativeWorkers.start(engine, 2);
    memory = engine.allocate(2 ** 20);
    const data = 2 ** 18;
    const args = [memory.address + data, memory.address + data];
    const code = engine.compile(addOne(1000));
    const list = setUp(
      [1, 0, 4].map((tiles) => ({ program: code, args, tiles })),
      data,
    );
    memory.array(Float32Array, data, 4 * L).fill(5);
    for (const result of [7, 9]) {
      const { wake, back, worked, waited } = await pool.runTimed(list, 3);
      expect(memory.array(Float32Array, data, 1)[0]).toBe(result);
      expect([worked.length, waited.length]).toEqual([3, 3]);
      const all = [wake, back, ...worked, ...waited];
      expect(all.every((ms) => ms >= 0 && ms < 15_000)).toBe(true);
      expect(Math.min(wake, back, worked[0], worked[2])).toBeGreaterThan(0);
    }
    await pool.run(list, 3);
    expect(memory.array(Float32Array, data, 1)[0]).toBe(11);
  });

  it("makes parts that add up of what threads note down", () => {
    // Counts of half a millisecond, which begin anew on the way.
    const [a, b] = [
      [2 ** 32 - 10, 0, 20, 30, 30],
      [2 ** 32 - 6, 18, 22, 24, 34],
    ].map((counts) => Uint32Array.from(counts));
    const times = listTimes([a, b], 2, { from: 2 ** 32 - 20, to: 40, ms: 30 });
    expect(times).toEqual({
      wake: (5 + 7) / 2,
      worked: Float64Array.of((5 + 12) / 2, (5 + 1) / 2),
      waited: Float64Array.of((10 + 2) / 2, (0 + 5) / 2),
      back: (5 + 3) / 2,
    });
    const parts = [times.wake, times.back, ...times.worked, ...times.waited];
    expect(parts.reduce((sum, ms) => sum + ms)).toBe(30);
  });

  it("leaves the event loop free, and stops where it is told to", async () => {
    pool = await NativeWorkers.start(engine, 2);
    memory = engine.allocate(2 ** 20);
    const data = 2 ** 18;
    const code = engine.compile(addOne(200_000));
    // About a minute of work, of which little is done.
    const list = setUp(
      [
        { program: code, args: [memory.address + data, memory.address + data], tiles: 10_000 },
        { program: code, args: [memory.address + data, memory.address + data], tiles: 1 },
      ],
      data,
    );
    const run = pool.run(list, 2);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(() => pool?.run(list, 2)).toThrow(/before the one before it had ended/);
    pool.abort();
    const start = performance.now();
    await run;
    expect(performance.now() - start).toBeLessThan(5000);
    // It can be used again.
    const quick = setUp(
      [
        {
          program: engine.compile(addOne(1)),
          args: [memory.address + data, memory.address + data],
          tiles: 2,
        },
      ],
      data,
    );
    memory.array(Float32Array, data, 4).fill(5);
    await pool.run(quick, 1);
    expect(memory.array(Float32Array, data, 1)[0]).toBe(6);
  });

  it("stops threads that wait for another", async () => {
    pool = await NativeWorkers.start(engine, 2);
    memory = engine.allocate(2 ** 20);
    const data = 2 ** 18;
    const args = [memory.address + data, memory.address + data];
    // One tile of about 100 ms, for which one thread is too many; then something that is never begun.
    const list = setUp(
      [
        { program: engine.compile(addOne(100_000_000)), args, tiles: 1 },
        { program: engine.compile(addOne(1)), args, tiles: 1 },
      ],
      data,
    );
    memory.array(Float32Array, data, 1)[0] = 5;
    const run = pool.run(list, 2);
    await new Promise((resolve) => setTimeout(resolve, 20));
    pool.abort();
    await run;
    expect(memory.array(Float32Array, data, 1)[0]).not.toBe(7);
  });

  it("ends a step whose thread is gone, without hanging", async () => {
    pool = await NativeWorkers.start(engine, 2);
    memory = engine.allocate(2 ** 20);
    const data = 2 ** 18;
    const code = engine.compile(addOne(100_000));
    const list = setUp(
      [{ program: code, args: [memory.address + data, memory.address + data], tiles: 3000 }],
      data,
    );
    const run = pool.run(list, 1);
    const [thread] = pool.workers;
    const ended = expect(run).rejects.toThrow(/a compute thread has ended unexpectedly/);
    // A thread inside machine code ends when it comes out; the pool is told to leave, as a user would.
    const terminated = thread.terminate();
    pool.abort();
    await terminated;
    await ended;
    await expect(pool.run(list, 1)).rejects.toThrow(/has ended unexpectedly/);
  });

  it("can be disposed of in the middle of a step, and twice", async () => {
    pool = await NativeWorkers.start(engine, 2);
    memory = engine.allocate(2 ** 20);
    const data = 2 ** 18;
    const list = setUp(
      [
        {
          program: engine.compile(addOne(200_000)),
          args: [memory.address + data, memory.address + data],
          tiles: 10_000,
        },
      ],
      data,
    );
    const run = expect(pool.run(list, 1)).rejects.toThrow(/disposed of while they computed/);
    await Promise.all([pool.dispose(), pool.dispose()]);
    await run;
    expect(() => pool?.run(list, 1)).toThrow(/have been disposed of/);
  });

  it.concurrent.each(["process.exit", "the end of the main program", "SIGINT"])(
    "lets the process end by %s while it computes",
    async (way) => {
      const child = fileURLToPath(new URL("support_exit.ts", import.meta.url));
      const loader = new URL("../../scripts/typescript.mjs", import.meta.url).href;
      const ended = spawn(process.execPath, ["--import", loader, child, way], { timeout: 60_000 });
      const said: Buffer[] = [];
      let computing = Number.POSITIVE_INFINITY;
      for (const stream of [ended.stdout, ended.stderr])
        stream.on("data", (text) => {
          computing = performance.now();
          said.push(text);
        });
      const [code, signal] = await once(ended, "close");
      expect(Buffer.concat(said).toString()).toBe("computing\n");
      // Windows knows no signals: who is sent one is ended, with 1.
      if (way === "SIGINT") expect(signal ?? code).toBe(process.platform === "win32" ? 1 : "SIGINT");
      else expect(code).toBe(7);
      // The step alone would have taken much longer.
      expect(performance.now() - computing).toBeLessThan(10_000);
    },
    60_000,
  );
});
