import type { Value, WeightDType } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { BYTES, type DType, fromFloat32, type TypedArray, toFloat32 } from "../tensor/dtype.ts";
import { normal } from "./cases.ts";
import { expectRank, expectSize, f32, float32, widened } from "./host.ts";
import { linearForm } from "./linear_program.ts";

/** Weight rows that are widened at once: their numbers are then used for every row of `x`. */
const BLOCK = 4;

/**
 * y = x W^T + b. x [T, K], weight [N, K] in float32, float16 or bfloat16, bias [N] -> y [T, N].
 * `rounded`: x is rounded to bfloat16 first; sums are float32 in any case.
 */
export const linear = kernel<{ x: Value; weight: Value; bias?: Value }, { rounded?: boolean }>({
  name: "linear",
  shape({ x, weight, bias }) {
    expectRank("linear", "x", x, 2);
    expectRank("linear", "weight", weight, 2);
    expectSize("linear", "columns of x", x.shape[1], weight.shape[1]);
    if (bias) expectSize("linear", "bias", bias.shape[0], weight.shape[0]);
    return float32(x.shape[0], weight.shape[0]);
  },
  reference({ x, weight, bias, y }, { rounded }) {
    const [T, K] = x.shape;
    const N = weight.shape[0];
    const input = rounded ? toFloat32("bfloat16", fromFloat32("bfloat16", f32(x))) : f32(x);
    const output = f32(y);
    const offset = bias ? widened(bias) : new Float32Array(N);
    for (let n = 0; n < N; n += BLOCK) {
      const rows = Math.min(BLOCK, N - n);
      const block = widenRows(weight.dtype, weight.data, n * K, rows * K);
      if (rows === BLOCK) multiplyFour(input, block, offset, output, n, T, K, N);
      else for (let r = 0; r < rows; r++) multiplyOne(input, block, r, offset, output, n + r, T, K, N);
    }
  },
  vector({ x, weight, bias }, { rounded = false }, target) {
    if (weight.layout !== "panels") return undefined;
    const [N, K] = weight.shape;
    const shape = { K, N, weight: weight.dtype as WeightDType, bias: bias?.dtype, rounded };
    return linearForm(target, shape, x.shape[0]);
  },
  cost({ x, weight }, { rounded }) {
    const [[T, K], [N]] = [x.shape, weight.shape];
    return {
      use: `${weight.dtype} ${K} to ${N}`,
      bytes: 4 * T * (K + N) + BYTES[weight.dtype] * N * K,
      operations: 2 * T * N * K,
      ...(rounded && { numbers: "bfloat16" }),
    };
  },
  tolerance: 2e-6,
  cases: {
    list: [
      { T: 1, K: 1, N: 1, dtype: "float32", bias: true },
      { T: 1, K: 1, N: 1, dtype: "bfloat16", bias: false },
      { T: 3, K: 7, N: 5, dtype: "float32", bias: false },
      { T: 3, K: 7, N: 5, dtype: "float16", bias: true },
      { T: 3, K: 7, N: 5, dtype: "bfloat16", bias: true },
      { T: 1, K: 65, N: 45, dtype: "float32", bias: true },
      { T: 1, K: 131, N: 67, dtype: "float16", bias: false },
      { T: 1, K: 131, N: 67, dtype: "bfloat16", bias: true },
      { T: 2, K: 64, N: 48, dtype: "bfloat16", bias: true },
      { T: 5, K: 33, N: 1, dtype: "float16", bias: true },
      { T: 9, K: 1, N: 18, dtype: "float32", bias: true },
      { T: 45, K: 65, N: 33, dtype: "float32", bias: true },
      { T: 45, K: 65, N: 33, dtype: "float16", bias: false },
      { T: 45, K: 65, N: 33, dtype: "bfloat16", bias: false },
      { T: 16, K: 32, N: 64, dtype: "float32", bias: false },
      { T: 17, K: 300, N: 70, dtype: "bfloat16", bias: true },
      { T: 66, K: 100, N: 20, dtype: "float16", bias: true },
      { T: 2, K: 1100, N: 35, dtype: "bfloat16", bias: false },
      { T: 70, K: 520, N: 131, dtype: "float32", bias: true },
      { T: 4, K: 45, N: 31, dtype: "float32", bias: true, x: 1e4, weight: 1e4 },
      { T: 4, K: 45, N: 31, dtype: "float16", bias: true, x: 1e4, weight: 1e4 },
      { T: 4, K: 45, N: 31, dtype: "bfloat16", bias: false, x: 1e4, weight: 1e-4 },
      // 1e-5 is below the smallest normal number of float16.
      { T: 4, K: 45, N: 31, dtype: "float16", bias: true, x: 1, weight: 1e-5 },
      { T: 4, K: 45, N: 31, dtype: "float32", bias: false, x: 1e-4, weight: 1e-4 },
      { T: 3, K: 9, N: 11, dtype: "bfloat16", bias: true, rows: true },
      { T: 13, K: 3, N: 97, dtype: "bfloat16", bias: true },
      { T: 12, K: 1031, N: 130, dtype: "bfloat16", bias: true },
      { T: 7, K: 1026, N: 40, dtype: "float16", bias: true },
      { T: 203, K: 37, N: 66, dtype: "bfloat16", bias: true },
      { T: 401, K: 19, N: 5, dtype: "float32", bias: true },
      { T: 1, K: 1, N: 3, dtype: "bfloat16", bias: true, rounded: true },
      { T: 1, K: 2055, N: 67, dtype: "bfloat16", bias: true, rounded: true },
      { T: 2, K: 64, N: 48, dtype: "bfloat16", bias: false, rounded: true },
      { T: 5, K: 1033, N: 35, dtype: "bfloat16", bias: true, rounded: true },
      { T: 12, K: 2100, N: 33, dtype: "bfloat16", bias: true, rounded: true },
      { T: 45, K: 65, N: 33, dtype: "bfloat16", bias: true, rounded: true },
      { T: 25, K: 1100, N: 131, dtype: "bfloat16", bias: true, rounded: true },
      { T: 203, K: 47, N: 66, dtype: "bfloat16", bias: true, rounded: true },
      { T: 14, K: 45, N: 31, dtype: "bfloat16", bias: true, rounded: true, x: 1e4, weight: 1e-4 },
      { T: 4, K: 45, N: 31, dtype: "float32", bias: true, rounded: true },
    ] satisfies LinearCase[],
    trial: ({ T, K, N, dtype, bias, rounded, rows, x = 1, weight = 1 }: LinearCase, random) => ({
      tensors: {
        x: normal(random, [T, K], x),
        weight: normal(random, [N, K], weight, dtype),
        bias: bias ? normal(random, [N], weight, dtype) : undefined,
      },
      params: { rounded },
      loaded: ["weight", "bias"],
      panels: rows ? [] : ["weight"],
    }),
  },
});

/** `x` and `weight` are their numbers' magnitudes; `rows`: the weight does not lie in panels. */
interface LinearCase {
  T: number;
  K: number;
  N: number;
  dtype: WeightDType;
  bias: boolean;
  rounded?: boolean;
  rows?: boolean;
  x?: number;
  weight?: number;
}

function widenRows(dtype: DType, data: TypedArray, start: number, length: number): Float32Array {
  return toFloat32(dtype, data.subarray(start, start + length));
}

/** Four columns of the output at once, so that a number of `x` is loaded once for four products. */
function multiplyFour(
  x: Float32Array,
  w: Float32Array,
  bias: Float32Array,
  y: Float32Array,
  n: number,
  T: number,
  K: number,
  N: number,
): void {
  let t = 0;
  for (; t + 1 < T; t += 2) {
    const [p, q] = [t * K, t * K + K];
    let [a0, a1, a2, a3, b0, b1, b2, b3] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let k = 0; k < K; k++) {
      const u = x[p + k];
      const v = x[q + k];
      const w0 = w[k];
      const w1 = w[K + k];
      const w2 = w[2 * K + k];
      const w3 = w[3 * K + k];
      a0 += u * w0;
      a1 += u * w1;
      a2 += u * w2;
      a3 += u * w3;
      b0 += v * w0;
      b1 += v * w1;
      b2 += v * w2;
      b3 += v * w3;
    }
    y.set([a0 + bias[n], a1 + bias[n + 1], a2 + bias[n + 2], a3 + bias[n + 3]], t * N + n);
    y.set([b0 + bias[n], b1 + bias[n + 1], b2 + bias[n + 2], b3 + bias[n + 3]], (t + 1) * N + n);
  }
  if (t < T) {
    const p = t * K;
    let [a0, a1, a2, a3] = [0, 0, 0, 0];
    for (let k = 0; k < K; k++) {
      const u = x[p + k];
      a0 += u * w[k];
      a1 += u * w[K + k];
      a2 += u * w[2 * K + k];
      a3 += u * w[3 * K + k];
    }
    y.set([a0 + bias[n], a1 + bias[n + 1], a2 + bias[n + 2], a3 + bias[n + 3]], t * N + n);
  }
}

/** One column of the output: row `r` of the widened block. */
function multiplyOne(
  x: Float32Array,
  w: Float32Array,
  r: number,
  bias: Float32Array,
  y: Float32Array,
  n: number,
  T: number,
  K: number,
  N: number,
): void {
  for (let t = 0; t < T; t++) {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += x[t * K + k] * w[r * K + k];
    y[t * N + n] = sum + bias[n];
  }
}
