import { dot4 } from "../../codegen/dots.ts";
import type { Program } from "../../codegen/instruction.ts";
import { type Builder, program } from "../../codegen/ir.ts";
import type { Target } from "../../codegen/target.ts";
import type { Acc, Vec } from "../../codegen/vector.ts";
import { exportName, wasmModule } from "../../codegen/wasm/module.ts";

/** A run takes half a millisecond at first, so an engine that compiles better what runs often does so in between. */
const ROUNDS = 20_000;
/**
 * Both run in turn for so many milliseconds, and so often: the shortest counts, as others were disturbed, or not yet
 * compiled well, which can be most of them.
 */
const MILLISECONDS = 30;
const RUNS = 12;
/** The one instruction takes about half the time of two; made of three it takes 1.4 times as long. */
const CLEARLY = 0.8;
/** Independent sums, so that none waits for the one before; so few that all stay in registers. */
const SUMS = 6;

/**
 * Whether the engine's product of four bytes beats two products of two whose sums stay in 16 bits. It does where the
 * engine knows the one instruction that this processor has for it; elsewhere it is made of three or four.
 *
 * @param target WebAssembly with relaxed SIMD
 */
export function byteDotPays(target: Target): boolean {
  const four = loop(
    "bytes",
    target,
    (b) => b.acc(b.i32(0)),
    (b, sum, w, x) => dot4(b, sum, w, x, 15),
  );
  const two = loop(
    "sums of 16 bits",
    target,
    (b) => b.acc(b.i16(0)),
    (b, sum, w, x) => sum.add(b.operate("i16", "dotU7I8", w, x)),
  );
  // In turn: what disturbs one, or compiles it late, does so to the other.
  const [runFour, runTwo] = [ready(four), ready(two)];
  let [shortestFour, shortestTwo] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const end = performance.now() + MILLISECONDS;
  for (let i = 0; i < RUNS || performance.now() < end; i++) {
    shortestFour = Math.min(shortestFour, time(runFour));
    shortestTwo = Math.min(shortestTwo, time(runTwo));
  }
  return shortestFour < CLEARLY * shortestTwo;
}

/** Products whose results are stored, of numbers that change: no compiler can leave one out. */
function loop<T extends "i32" | "i16">(
  name: string,
  target: Target,
  start: (b: Builder) => Acc<T>,
  step: (b: Builder, sum: Acc<T>, w: Vec<"bytes">, x: Vec<"bytes">) => void,
): Program {
  return program(name, target, [], (b) => {
    const scratch = b.scratch();
    const sums = Array.from({ length: SUMS }, () => start(b));
    const weights = sums.map((_, i) => b.as("bytes", scratch.loadI32(i * target.bytes)));
    const x = b.acc(b.i32(0x01020304));
    b.repeat(ROUNDS, () => {
      x.add(b.i32(1));
      for (const [i, sum] of sums.entries()) step(b, sum, weights[i], b.as("bytes", x));
    });
    for (const [i, sum] of sums.entries()) scratch.store(i * target.bytes, b.as("f32", sum));
  });
}

/** What runs a program. */
function ready(built: Program): () => void {
  const limits = { initial: 1, maximum: 1, shared: false };
  const module = new WebAssembly.Module(
    wasmModule([built], { memory: limits, tableBase: 0 }) as BufferSource,
  );
  const memory = new WebAssembly.Memory(limits);
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
  const { exports } = new WebAssembly.Instance(module, { env: { memory, table } });
  const run = exports[exportName(0)] as (block: number, tile: number, scratch: number) => void;
  return () => run(0, 0, 0);
}

/** Milliseconds that a run takes. */
function time(run: () => void): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}
