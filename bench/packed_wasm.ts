/*
 * What a product with packed weights reaches in WebAssembly of the loop of its dot products alone, on one thread.
 *
 *   node --import ./scripts/typescript.mjs bench/packed_wasm.ts [rows of the input, by commas]
 *
 * As bench/packed.ts: shortest of many short runs, with weights from a cache and from memory. Scales must not be so small
 * that products of them are denormal numbers, which take the processor long. With Node's --print-wasm-code (and
 * --no-liftoff) V8 prints the machine code.
 */
import { nibbleSum } from "../src/codegen/dots.ts";
import { type Builder, program } from "../src/codegen/ir.ts";
import { exportName, wasmModule } from "../src/codegen/wasm/module.ts";
import type { VectorForm } from "../src/devices/kernel.ts";
import { wasmTarget } from "../src/devices/wasm/features.ts";
import { type FormatName, GROUP, packedShape } from "../src/kernels/formats/format.ts";
import { FORMATS } from "../src/kernels/formats/formats.ts";
import { packedLinearForm } from "../src/kernels/formats/packed_linear_program.ts";
import { QUANTISED_BYTES } from "../src/kernels/formats/quantise_rows.ts";
import { numberToBfloat16 } from "../src/tensor/dtype.ts";

const MEGABYTE = 2 ** 20;
/** Where things lie. */
const AT = { block: 1024, x: 2 * MEGABYTE, weight: 8 * MEGABYTE, y: 80 * MEGABYTE, scratch: 200 * MEGABYTE };
const K = 2048;
/** Rows of the weight; and bytes of one that caches do not hold. */
const N = 2048;
const BEYOND_CACHES = 60e6;
/** Long enough for the engine to compile a program well, which it does while it is run. */
const MILLISECONDS = 400;
const PASSES = 4;
const ROUNDS = 5000;

const found = wasmTarget();
if ("reason" in found) throw new Error(`no WebAssembly here, because ${found.reason}`);
const target = found;
const links = { initial: 208 * 16, maximum: 65536, shared: true };
const memory = new WebAssembly.Memory(links);
const bytes = new Uint8Array(memory.buffer);
const view = new DataView(memory.buffer);
// Pages that were never written are one page for all, and reading it under two addresses is slow.
for (let i = 0; i < bytes.length; i++) bytes[i] = 1 + ((i * 7 + (i >> 8)) % 250);

/** Seconds of the shortest run of each of the first `tiles` tiles, summed. */
function shortest(build: VectorForm["build"], args: Record<string, number>, tiles: number): number {
  const slots = Object.keys(args);
  const built = program("packed", target, slots, build);
  const module = new WebAssembly.Module(wasmModule([built], { memory: links, tableBase: 0 }) as BufferSource);
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
  const { exports } = new WebAssembly.Instance(module, { env: { memory, table } });
  const run = exports[exportName(0)] as (block: number, tile: number, scratch: number) => void;
  for (const [i, value] of Object.values(args).entries())
    view.setBigUint64(AT.block + 8 * i, BigInt(value), true);
  const least = new Float64Array(tiles).fill(Number.POSITIVE_INFINITY);
  const end = performance.now() + MILLISECONDS;
  for (let pass = 0; pass < PASSES || performance.now() < end; pass++)
    for (let tile = 0; tile < tiles; tile++) {
      const begin = performance.now();
      run(AT.block, tile, AT.scratch);
      least[tile] = Math.min(least[tile], performance.now() - begin);
    }
  return least.reduce((a, b) => a + b) / 1e3;
}

/** Operations a second of nothing but products of 4-bit numbers, and the loads that 4 rows and 2 vectors need. */
function peak(): number {
  const [rows, vectors, words] = [4, 2, 8];
  const build = (b: Builder): void => {
    const at = b.scratch();
    b.repeat(ROUNDS, () => {
      const sums = Array.from({ length: rows * vectors }, () => nibbleSum(b, () => b.i32(0)));
      for (let word = 0; word < words; word++) {
        const codes = Array.from({ length: vectors }, (_, v) =>
          at.loadBytes(target.bytes * (word * vectors + v)),
        );
        for (let m = 0; m < rows; m++) {
          const x = at.broadcastBytes(4096 + 64 * m + 4 * word);
          for (const [v, code] of codes.entries()) sums[m * vectors + v].step(code, x);
        }
      }
      for (const [i, sum] of sums.entries()) at.store(8192 + target.bytes * i, b.as("f32", sum.finish()));
    });
  };
  return (ROUNDS * rows * vectors * words * target.lanes * 8) / shortest(build, {}, 1);
}

/** Scales of a hundredth or so, for an input of `T` rows and a weight of so many bytes. */
function writeScales(format: FormatName, T: number, weightBytes: number): void {
  for (let at = AT.x; at < AT.x + (T * K * QUANTISED_BYTES) / 32; at += QUANTISED_BYTES)
    view.setFloat32(at + 32, 0.01, true);
  const { groupBytes } = FORMATS[format];
  for (let end = AT.weight + groupBytes; end <= AT.weight + weightBytes; end += groupBytes)
    for (let i = 1; i <= GROUP; i++) view.setUint16(end - 2 * i, numberToBfloat16(0.01), true);
}

/** Operations, and bytes of weights, a second. */
function product(format: FormatName, T: number, beyond: boolean): { ops: number; read: number } {
  const rows = beyond ? Math.ceil(BEYOND_CACHES / packedShape(FORMATS[format], N, K)[1] / 4) * 64 : N;
  const form = packedLinearForm(target, { format: FORMATS[format], T, K, N: rows, bias: undefined });
  const [groups, each] = packedShape(FORMATS[format], rows, K);
  writeScales(format, T, groups * each);
  const tiles = beyond ? form.tiles : 1;
  const { x, weight, y } = AT;
  const part = tiles / form.tiles / shortest(form.build, { x, weight, y, ...form.numbers }, tiles);
  return { ops: 2 * T * K * rows * part, read: groups * each * part };
}

const limit = peak();
const giga = (n: number, digits = 0): string => (n / 1e9).toFixed(digits).padStart(5);
const rowsList = (process.argv[2] ?? "1,2,4,8,16,64,192").split(",").map(Number);
console.log(`WebAssembly, products of ${target.nibbleSums16 ? "16" : "32"} bits, one thread`);
console.log(`products of 4 bits alone: ${giga(limit)} GOP/s; of weights from a cache, and from memory:`);
for (const format of ["q4", "q8"] as const)
  for (const T of rowsList) {
    const figures = [false, true].map((beyond) => {
      const { ops, read } = product(format, T, beyond);
      return `${giga(ops)} GOP/s ${((100 * ops) / limit).toFixed(0).padStart(4)} % ${giga(read, 1)} GB/s`;
    });
    console.log(`${format}  ${String(T).padStart(3)} rows  ${figures.join("   ")}`);
  }
