/*
 * What a tile of work of a product with packed weights reaches of the bare dot-product loop, on one thread.
 *
 *   node --import ./scripts/typescript.mjs bench/packed.ts [columns of the input]
 *
 * LLAVA_CPU chooses the instructions. Each figure is the shortest of many runs of well under a millisecond, so that
 * other programs on the machine do not matter; the weights of a tile come from a cache.
 */
import { dot4 } from "../src/codegen/dots.ts";
import { program } from "../src/codegen/ir.ts";
import type { VectorForm } from "../src/devices/kernel.ts";
import { type NativeEngine, openEngine } from "../src/devices/native/engine.ts";
import { type FormatName, packedShape } from "../src/kernels/formats/format.ts";
import { FORMATS } from "../src/kernels/formats/formats.ts";
import { packedLinearForm } from "../src/kernels/formats/packed_linear_program.ts";
import { QUANTISED_BYTES } from "../src/kernels/formats/quantise_rows.ts";

const RUNS = 400;
/** Rows of the weight: enough for every tile to be whole. */
const N = 2048;
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 192];
const SCRATCH_BYTES = 8 * 2 ** 20;

const opened = openEngine();
if ("reason" in opened) throw new Error(`no machine code here, because ${opened.reason}`);
const engine: NativeEngine = opened;
const { target } = engine;
const scratch = engine.allocate(SCRATCH_BYTES);
const block = engine.allocate(4096);

/** Seconds of the shortest run. */
function shortest(form: Pick<VectorForm, "build">, args: Record<string, number>): number {
  const slots = Object.keys(args);
  const run = engine.callable(program("packed", target, slots, (b, own) => form.build(b, own)));
  block.array(BigUint64Array, 0, slots.length).set(Object.values(args).map(BigInt));
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const begin = process.hrtime.bigint();
    run(block.address, 0, scratch.address);
    least = Math.min(least, Number(process.hrtime.bigint() - begin));
  }
  return least / 1e9;
}

/** Memory of small numbers. */
function filled(bytes: number): number {
  const region = engine.allocate(bytes);
  const data = region.array(Uint8Array, 0, bytes);
  for (let i = 0; i < bytes; i++) data[i] = (i * 7 + (i >> 8)) & 31;
  return region.address;
}

const ROUNDS = 2000;

/** Operations a second of nothing but dot products, of codes up to 15. */
function peak(): number {
  const sums = target.registers === 32 ? 24 : 10;
  const seconds = shortest(
    {
      build(b) {
        const [w, x] = [b.bytes(3), b.bytes(5)];
        const all = Array.from({ length: sums }, () => b.accI32());
        b.repeat(ROUNDS, () => {
          for (const sum of all) dot4(b, sum, w, x, 15);
        });
        for (const [i, sum] of all.entries()) b.scratch().store(i * target.bytes, sum);
      },
    },
    {},
  );
  return (ROUNDS * sums * target.lanes * 8) / seconds;
}

/** Operations a second of one tile of work. */
function product(format: FormatName, T: number, K: number): { ops: number; bytes: number } {
  const form = packedLinearForm(target, { format: FORMATS[format], T, K, N, bias: undefined });
  const [groups, bytes] = packedShape(FORMATS[format], N, K);
  const seconds = shortest(form, {
    x: filled(T * (K / 32) * QUANTISED_BYTES),
    weight: filled(groups * bytes),
    y: engine.allocate(4 * T * N).address,
    ...form.numbers,
  });
  // All rows are in one tile: there are no more of them than a tile takes.
  const columns = N / form.tiles;
  return { ops: (2 * T * K * columns) / seconds, bytes: (bytes * groups) / form.tiles / seconds };
}

const K = Number(process.argv[2] ?? 2048);
const limit = peak();
const giga = (n: number): string => (n / 1e9).toFixed(0).padStart(4);
console.log(`${engine.processor.name}, ${target.name}${target.amx ? " and amx" : ""}, one thread`);
console.log(`dot products alone: ${giga(limit)} GOP/s`);
for (const format of ["q4", "q8"] as const)
  for (const T of ROWS) {
    const { ops, bytes } = product(format, T, K);
    const share = ((100 * ops) / limit).toFixed(0).padStart(4);
    console.log(
      `${format}  ${String(T).padStart(3)} rows  ${giga(ops)} GOP/s ${share} %   ${(bytes / 1e9).toFixed(1).padStart(5)} GB/s of weights`,
    );
  }
process.exit(0);
