import { dotBf16 } from "../../codegen/dots.ts";
import type { Program } from "../../codegen/instruction.ts";
import { type Builder, program } from "../../codegen/ir.ts";
import type { Target } from "../../codegen/target.ts";
import type { NativeEngine } from "./engine.ts";

/** A run takes about a tenth of a millisecond. */
const ROUNDS = 10_000;
/** The shortest of so many runs counts: others were disturbed. */
const RUNS = 5;
/** Independent sums, so that none waits for the one before. */
const SUMS = 24;

/**
 * Whether the processor's product of bf16 pairs beats its multiply-add of f32. On Zen 4 it does two times as much in
 * the same time, on some Intel servers half as much.
 */
export function bf16DotPays(engine: NativeEngine): boolean {
  const { target } = engine;
  const pairs = loop("bf16 dot", target, (b) => {
    const [sum, x] = [b.accF32(0), b.as("bf16", b.i32(0x3f803f80))];
    return () => dotBf16(b, sum, x, x);
  });
  const singles = loop("fma", target, (b) => {
    const [sum, x] = [b.accF32(0), b.f32(1)];
    return () => sum.fma(x, x);
  });
  // A pair is worth two singles, which would first have to be widened.
  return time(engine, pairs) < 2 * time(engine, singles);
}

function loop(name: string, target: Target, body: (b: Builder) => () => void): Program {
  return program(name, target, [], (b) => {
    const operations = Array.from({ length: SUMS }, () => body(b));
    b.repeat(ROUNDS, () => {
      for (const operation of operations) operation();
    });
  });
}

/** Milliseconds that a program takes. */
function time(engine: NativeEngine, built: Program): number {
  const run = engine.callable(built);
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    run(0, 0, 0);
    least = Math.min(least, performance.now() - start);
  }
  return least;
}
