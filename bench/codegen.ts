/*
 * What generated code reaches on this machine: bare loops, and kernels as a share of them.
 *
 *   node --import ./scripts/typescript.mjs bench/codegen.ts [threads ...]
 *
 * LLAVA_CPU chooses the instructions. Figures are medians of 9 runs.
 */
import { type Command, commandBytes, writeArguments, writeCommands } from "../src/codegen/commands.ts";
import { dot4, dotBf16 } from "../src/codegen/dots.ts";
import type { Program } from "../src/codegen/instruction.ts";
import { type Builder, program } from "../src/codegen/ir.ts";
import { rmsNorm, siluMul } from "../src/codegen/programs/elementwise.ts";
import { type NativeEngine, openEngine } from "../src/devices/native/engine.ts";
import type { Region } from "../src/devices/native/memory.ts";
import { NativeWorkers } from "../src/devices/native/workers.ts";

const RUNS = 9;

const opened = openEngine();
if ("reason" in opened) throw new Error(`no machine code here, because ${opened.reason}`);
const engine: NativeEngine = opened;
const { target } = engine;

/** Commands, and how much they do in the unit that their figure is in. */
interface Case {
  readonly name: string;
  readonly unit: "GFLOP/s" | "GOP/s" | "GB/s" | "us a command";
  readonly amount: number;
  /** The case that this one is a share of. */
  readonly of?: string;
  commands(threads: number, memory: Region): Command[];
}

/** Memory is filled from the front; argument blocks lie at its end. */
const MEMORY = 2 ** 30;
const BLOCKS = 2 ** 20;
let blocks = 0;

function command(memory: Region, code: number, args: readonly number[], tiles: number): Command {
  const at = MEMORY - BLOCKS + 256 * blocks++;
  writeArguments(new DataView(memory.array(Uint8Array, at, 256).buffer, at), args);
  return { program: code, block: memory.address + at, tiles };
}

/** Milliseconds that compiling took, by program. */
const compileTimes = new Map<string, number>();

function compile(built: Program): number {
  const start = performance.now();
  const address = engine.compile(built);
  compileTimes.set(built.name, performance.now() - start);
  return address;
}

const ITERATIONS = 200_000;

/** A loop of nothing but one operation on as many independent sums as there is room for. */
function peakCase(
  name: string,
  unit: "GFLOP/s" | "GOP/s",
  each: number,
  body: (b: Builder, i: number) => () => void,
): Case {
  const sums = target.registers === 32 ? 24 : 10;
  return {
    name,
    unit,
    amount: 16 * ITERATIONS * sums * target.lanes * each,
    commands: (_threads, memory) => {
      const built = program(`peak of ${name}`, target, [], (b) => {
        const operations = Array.from({ length: sums }, (_, i) => body(b, i));
        b.repeat(ITERATIONS, () => {
          for (const operation of operations) operation();
        });
      });
      return [command(memory, compile(built), [], 16)];
    },
  };
}

const READ_BYTES = 768 * 2 ** 20;
const READ_TILE = 2 ** 20;

function readCase(): Case {
  return {
    name: "read",
    unit: "GB/s",
    amount: READ_BYTES,
    commands: (_threads, memory) => {
      const built = program("read", target, ["from"], (b, { from }) => {
        const p = b.cursor(from, b.tile.times(READ_TILE));
        const sums = Array.from({ length: 8 }, () => b.accI32(0));
        b.repeat(READ_TILE / (8 * target.bytes), () => {
          for (const [i, sum] of sums.entries()) sum.xor(p.loadI32(i * target.bytes));
          p.advance(8 * target.bytes);
        });
        for (const [i, sum] of sums.entries()) b.scratch().store(i * target.bytes, sum);
      });
      return [command(memory, compile(built), [memory.address], READ_BYTES / READ_TILE)];
    },
  };
}

/** Addresses of pieces of memory of these sizes. */
function places(memory: Region, sizes: readonly number[]): number[] {
  let at = memory.address;
  return sizes.map((bytes) => {
    const place = at;
    at += Math.ceil(bytes / 4096) * 4096 + 64;
    return place;
  });
}

function rowsCase(name: string, rows: number, D: number, buffers: number, build: () => Program): Case {
  return {
    name: `${name} ${rows} x ${D}`,
    unit: "GB/s",
    amount: buffers * rows * D * 4,
    commands: (_threads, memory) => {
      const addresses = places(memory, new Array(3).fill(4 * rows * D));
      return [command(memory, compile(build()), addresses, rows)];
    },
  };
}

const EMPTY = 1000;
const CASES: Case[] = [
  peakCase("fma", "GFLOP/s", 2, (b) => {
    const [sum, x] = [b.accF32(0), b.f32(1)];
    return () => sum.fma(x, x);
  }),
  peakCase("dot of bytes", "GOP/s", 8, (b) => {
    const [sum, x] = [b.accI32(0), b.bytes(1)];
    return () => dot4(b, sum, x, x, 127);
  }),
  ...(target.bf16Dot
    ? [
        peakCase("dot of bf16", "GFLOP/s", 4, (b) => {
          const [sum, x] = [b.accF32(0), b.as("bf16", b.i32(0x3f803f80))];
          return () => dotBf16(b, sum, x, x);
        }),
      ]
    : []),
  readCase(),
  rowsCase("rms_norm", 600, 4096, 2, () => rmsNorm(target, { D: 4096, eps: 1e-5 })),
  rowsCase("silu_mul", 600, 11008, 3, () => siluMul(target, { D: 11008 })),
  {
    name: "empty commands",
    unit: "us a command",
    amount: EMPTY,
    commands: (_threads, memory) => {
      const code = compile(program("empty", target, [], () => {}));
      return Array.from({ length: EMPTY }, () => command(memory, code, [], 2));
    },
  },
];

const median = (numbers: number[]): number => numbers.sort((a, b) => a - b)[numbers.length >> 1];

const threadCounts = process.argv.slice(2).map(Number);
const memory = engine.allocate(MEMORY);
memory.array(Uint8Array, 0, MEMORY).fill(1);
console.log(`${engine.processor.name}, ${target.name} ${target.byteDot}${target.bf16 ? " bf16" : ""}`);
for (const threads of threadCounts.length > 0 ? threadCounts : [1, 2]) {
  const pool = await NativeWorkers.start(engine, threads);
  const list = engine.allocate(commandBytes(2 * EMPTY));
  const figures = new Map<string, number>();
  for (const { name, unit, amount, of, commands } of CASES) {
    blocks = 0;
    const written = commands(threads, memory);
    writeCommands(new DataView(list.array(Uint8Array, 0, list.bytes).buffer), written);
    const times: number[] = [];
    for (let i = 0; i <= RUNS; i++) {
      const start = performance.now();
      await pool.run(list.address, written.length);
      // The first run warms up.
      if (i > 0) times.push(performance.now() - start);
    }
    const ms = median(times);
    const figure = unit === "us a command" ? (1e3 * ms) / amount : amount / ms / 1e6;
    figures.set(name, figure);
    const share = of === undefined ? "" : `  ${Math.round((100 * figure) / figures.get(of)!)} % of ${of}`;
    console.log(`${threads} thread(s)  ${name.padEnd(28)} ${figure.toFixed(2).padStart(9)} ${unit}${share}`);
  }
  list.free();
  await pool.dispose();
}
memory.free();
for (const [name, ms] of compileTimes) console.log(`compiling ${name.padEnd(15)} ${ms.toFixed(2)} ms`);
engine.dispose();
