/*
 * Products with weights in each type: the matrices of llava-1.1b for one token (decode) and for 600 (prefill).
 *
 *   node --import ./scripts/typescript.mjs bench/linear.ts [dtype ...]
 *
 * LLAVA_CPU chooses the instructions. Medians of 5 runs, with a float32 input; q8 and q4 include rounding it to bytes.
 * Decode goes through more weights than caches hold. Shares are of what the device's bare loops reach (`llava bench`):
 * of reading for decode, of float32 multiply-adds for prefill, which products of bytes can exceed.
 */
import { deviceLimits } from "../src/api/device_limits.ts";
import { createDevice } from "../src/api/devices.ts";
import type { Value, WeightSource } from "../src/devices/device.ts";
import { type FormatName, GROUP, packedShape } from "../src/kernels/formats/format.ts";
import { FORMATS } from "../src/kernels/formats/formats.ts";
import { packRows } from "../src/kernels/formats/pack.ts";
import { packedLinear } from "../src/kernels/formats/packed_linear.ts";
import { quantiseRows } from "../src/kernels/formats/quantise_rows.ts";
import { linear } from "../src/kernels/linear.ts";
import { BYTES, fromFloat32 } from "../src/tensor/dtype.ts";
import { Tensor } from "../src/tensor/tensor.ts";

const DTYPES = ["float32", "bfloat16", "q8", "q4"] as const;
type BenchDType = (typeof DTYPES)[number];

/** Columns and rows of the weights. */
const SHAPES = [
  { K: 2048, N: 5632 },
  { K: 5632, N: 2048 },
  { K: 2048, N: 2048 },
];

/** Bytes of weights that decode goes through in a run. */
const BEYOND_CACHES = 200e6;

const device = await createDevice("cpu");
const numbers = Float32Array.from({ length: 2 ** 16 }, (_, i) => Math.sin(i * 1.37) * 0.03);

function isFormat(dtype: BenchDType): dtype is FormatName {
  return dtype in FORMATS;
}

function weight(dtype: BenchDType, N: number, K: number): Promise<Value> {
  const format = isFormat(dtype) ? FORMATS[dtype] : undefined;
  const stored = isFormat(dtype) ? "uint8" : dtype;
  const shape = format ? packedShape(format, N, K) : [N, K];
  const data = isFormat(dtype)
    ? packRows(FORMATS[dtype], numbers, 0, GROUP, numbers.length / GROUP)
    : fromFloat32(dtype, numbers);
  const pattern = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const bytes = new Uint8Array(shape[0] * shape[1] * BYTES[stored]);
  for (let at = 0; at < bytes.length; at += pattern.length)
    bytes.set(pattern.subarray(0, Math.min(pattern.length, bytes.length - at)), at);
  const source: WeightSource = { name: "weight", dtype: stored, shape, read: async () => bytes };
  return device.load(source, stored, "panels");
}

/** Inside a step. */
function product(dtype: BenchDType, x: Value, w: Value, N: number): Value {
  // As a model does that is asked for in bfloat16 by name.
  const rounded = dtype === "bfloat16" && device.multipliesPairs;
  if (!isFormat(dtype)) return device.run(linear, { x, weight: w, bias: undefined }, { rounded });
  const rows = device.run(quantiseRows, { x }, { zero: FORMATS[dtype].zero });
  return device.run(packedLinear, { x: rows, weight: w, bias: undefined }, { format: dtype, N });
}

async function seconds(dtype: BenchDType, T: number, weights: readonly Value[], N: number, K: number) {
  const input = new Tensor(
    "float32",
    [T, K],
    Float32Array.from({ length: T * K }, (_, i) => Math.cos(i)),
  );
  const times: number[] = [];
  for (let run = 0; run < 6; run++) {
    const begin = performance.now();
    await device.step(() => {
      const x = device.upload(input);
      for (const w of weights) device.keep(kept(product(dtype, x, w, N)));
      return [];
    });
    if (run > 0) times.push((performance.now() - begin) / 1000); // the first compiles
    for (const value of outputs.splice(0)) device.free(value);
  }
  times.sort((a, b) => a - b);
  return times[Math.floor(times.length / 2)];
}

const outputs: Value[] = [];
function kept(value: Value): Value {
  outputs.push(value);
  return value;
}

const limits = await deviceLimits(device);
console.log(device.description);
console.log(
  `reading ${(limits.read_bytes_per_second / 1e9).toFixed(1)} GB/s, float32 ${(limits.peak_ops_per_second / 1e9).toFixed(0)} GFLOP/s`,
);
const chosen = process.argv.slice(2);
for (const dtype of DTYPES) {
  if (chosen.length > 0 && !chosen.includes(dtype)) continue;
  for (const { K, N } of SHAPES) {
    const first = await weight(dtype, N, K);
    const bytes = first.shape[0] * first.shape[1] * BYTES[first.dtype];
    const weights = [first];
    while (weights.length * bytes < BEYOND_CACHES) weights.push(await weight(dtype, N, K));
    const decode = (await seconds(dtype, 1, weights, N, K)) / weights.length;
    const prefill = await seconds(dtype, 600, [first], N, K);
    for (const value of weights) device.free(value);
    const [read, ops] = [bytes / decode, (2 * 600 * N * K) / prefill];
    console.log(
      `${dtype.padEnd(9)} ${`${K} -> ${N}`.padEnd(13)}` +
        `decode ${(read / 1e9).toFixed(1).padStart(6)} GB/s (${percent(read / limits.read_bytes_per_second)} of reading)` +
        `  prefill ${(ops / 1e9).toFixed(0).padStart(5)} GOP/s (${percent(ops / limits.peak_ops_per_second)} of float32)`,
    );
  }
}
await device.dispose();

function percent(share: number): string {
  return `${(100 * share).toFixed(0).padStart(3)} %`;
}
