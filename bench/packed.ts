/*
 * What a product with packed weights reaches of the bare dot-product loop, on one thread.
 *
 *   node --import ./scripts/typescript.mjs bench/packed.ts [columns of the input]
 *
 * LLAVA_CPU chooses the instructions. Each figure is made of the shortest of many runs of well under a millisecond, so
 * that other programs on the machine do not matter: once with weights of a tile that come from a cache, once going
 * through more weights than caches hold.
 */
import { dot4 } from "../src/codegen/dots.ts";
import { program } from "../src/codegen/ir.ts";
import type { VectorForm } from "../src/devices/kernel.ts";
import { type NativeEngine, openEngine } from "../src/devices/native/engine.ts";
import type { Region } from "../src/devices/native/memory.ts";
import { type FormatName, packedShape } from "../src/kernels/formats/format.ts";
import { FORMATS } from "../src/kernels/formats/formats.ts";
import { packedLinearForm } from "../src/kernels/formats/packed_linear_program.ts";
import { QUANTISED_BYTES } from "../src/kernels/formats/quantise_rows.ts";

const RUNS = 400;
/** Times that each tile of a large weight is computed. */
const PASSES = 5;
/** Rows of the weight: enough for every tile to be whole; and bytes of one that caches do not hold. */
const N = 2048;
const BEYOND_CACHES = 80e6;
const ROWS = [1, 2, 4, 6, 8, 12, 16, 32, 64, 192];
const SCRATCH_BYTES = 8 * 2 ** 20;

const opened = openEngine();
if ("reason" in opened) throw new Error(`no machine code here, because ${opened.reason}`);
const engine: NativeEngine = opened;
const { target } = engine;
const scratch = engine.allocate(SCRATCH_BYTES);
const block = engine.allocate(4096);

/** Seconds of the shortest run of each of the first `tiles` tiles, summed. */
function shortest(
  form: Pick<VectorForm, "build">,
  args: Record<string, number>,
  tiles: number,
  runs: number,
): number {
  const slots = Object.keys(args);
  const run = engine.callable(program("packed", target, slots, (b, own) => form.build(b, own)));
  block.array(BigUint64Array, 0, slots.length).set(Object.values(args).map(BigInt));
  const least = new Float64Array(tiles).fill(Number.POSITIVE_INFINITY);
  for (let i = 0; i < runs; i++)
    for (let tile = 0; tile < tiles; tile++) {
      const begin = process.hrtime.bigint();
      run(block.address, tile, scratch.address);
      least[tile] = Math.min(least[tile], Number(process.hrtime.bigint() - begin));
    }
  return least.reduce((a, b) => a + b) / 1e9;
}

/** Memory of small numbers, to be given back. */
function filled(bytes: number): Region {
  const region = engine.allocate(bytes);
  const data = region.array(Uint8Array, 0, bytes);
  for (let i = 0; i < bytes; i++) data[i] = (i * 7 + (i >> 8)) & 31;
  return region;
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
    1,
    RUNS,
  );
  return (ROUNDS * sums * target.lanes * 8) / seconds;
}

/** Operations, and bytes of weights, a second: of the first tile of work again and again, or of all one after the other. */
function product(format: FormatName, T: number, K: number, beyond: boolean): { ops: number; bytes: number } {
  const rows = beyond ? Math.ceil(BEYOND_CACHES / packedShape(FORMATS[format], N, K)[1] / 4) * 64 : N;
  const form = packedLinearForm(target, { format: FORMATS[format], T, K, N: rows, bias: undefined });
  const [groups, bytes] = packedShape(FORMATS[format], rows, K);
  const regions = [
    filled(T * (K / 32) * QUANTISED_BYTES),
    filled(groups * bytes),
    engine.allocate(4 * T * rows),
  ];
  const [x, weight, y] = regions.map(({ address }) => address);
  const [tiles, runs] = beyond ? [form.tiles, PASSES] : [1, RUNS];
  const seconds = shortest(form, { x, weight, y, ...form.numbers }, tiles, runs);
  for (const region of regions) region.free();
  // All rows are in one tile: there are no more of them than a tile takes.
  const part = tiles / form.tiles / seconds;
  return { ops: 2 * T * K * rows * part, bytes: bytes * groups * part };
}

const K = Number(process.argv[2] ?? 2048);
const limit = peak();
const giga = (n: number, digits = 0): string => (n / 1e9).toFixed(digits).padStart(5);
console.log(`${engine.processor.name}, ${target.name}${target.amx ? " and amx" : ""}, one thread`);
console.log(`dot products alone: ${giga(limit)} GOP/s; of weights from a cache, and from memory:`);
for (const format of ["q4", "q8"] as const)
  for (const T of ROWS) {
    const figures = [false, true].map((beyond) => {
      const { ops, bytes } = product(format, T, K, beyond);
      const share = ((100 * ops) / limit).toFixed(0).padStart(4);
      return `${giga(ops)} GOP/s ${share} % ${giga(bytes, 1)} GB/s`;
    });
    console.log(`${format}  ${String(T).padStart(3)} rows  ${figures.join("   ")}`);
  }
process.exit(0);
