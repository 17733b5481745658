import type { Value, WeightDType } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { normal, type Random } from "./cases.ts";
import { expectSize, f32, float32, widened } from "./host.ts";
import { layerNormProgram, rmsNormProgram } from "./row_programs.ts";

/** `scale` is the magnitude of `x`, `mean` its rows' mean in parts of that; the first row is zero where `zero` is set. */
interface NormCase {
  T: number;
  D: number;
  eps: number;
  dtype: WeightDType;
  scale?: number;
  mean?: number;
  zero?: boolean;
}

const NORM_CASES: NormCase[] = [
  { T: 1, D: 1, eps: 1e-5, dtype: "float32" },
  { T: 1, D: 4, eps: 1e-6, dtype: "float16", mean: -0.7 },
  { T: 3, D: 7, eps: 3e-5, dtype: "float32", mean: 2 },
  { T: 3, D: 7, eps: 0.5, dtype: "bfloat16" },
  { T: 45, D: 65, eps: 1e-6, dtype: "bfloat16", zero: true },
  { T: 2, D: 130, eps: 1e-5, dtype: "float16", mean: 3 },
  { T: 1, D: 1027, eps: 1e-5, dtype: "float32", mean: -1 },
  { T: 5, D: 33, eps: 1e-5, dtype: "float32", scale: 1e4, mean: 0.5 },
  { T: 5, D: 33, eps: 1e-9, dtype: "float32", scale: 1e-4 },
  // The variance is far below eps.
  { T: 5, D: 33, eps: 1e-5, dtype: "bfloat16", scale: 1e-4 },
];

function normInput({ T, D, scale = 1, mean = 0, zero }: NormCase, random: Random): Tensor {
  const x = normal(random, [T, D], scale);
  for (let i = 0; i < x.data.length; i++) x.data[i] = zero && i < D ? 0 : Number(x.data[i]) + mean * scale;
  return x;
}

/**
 * y = x / sqrt(mean(x²) + eps) * (weight + offset), row by row. [T, D] -> [T, D]
 * The offset is 0 where it is left out; Gemma's is 1.
 */
export const rmsNorm = kernel<{ x: Value; weight: Value }, { eps: number; offset?: number }>({
  name: "rms_norm",
  shape({ x, weight }) {
    expectSize("rms_norm", "weight", weight.shape[0], x.shape[1]);
    return float32(...x.shape);
  },
  reference({ x, weight, y }, { eps, offset = 0 }) {
    const [T, D] = x.shape;
    const [input, scale, output] = [f32(x), widened(weight), f32(y)];
    for (let t = 0; t < T; t++) {
      let squares = 0;
      for (let i = t * D; i < t * D + D; i++) squares += input[i] * input[i];
      const inverse = 1 / Math.sqrt(squares / D + eps);
      for (let d = 0; d < D; d++) output[t * D + d] = input[t * D + d] * inverse * (scale[d] + offset);
    }
  },
  vector({ x, weight }, { eps, offset = 0 }) {
    const [T, D] = x.shape;
    return {
      key: `${D} ${eps} ${weight.dtype} ${offset}`,
      tiles: T,
      rows: true,
      build: (b, args) => rmsNormProgram(b, args, D, eps, weight.dtype, offset),
    };
  },
  tolerance: 2e-6,
  cases: {
    list: [
      ...NORM_CASES,
      { T: 3, D: 45, eps: 1e-6, dtype: "float32", offset: 1 },
      { T: 2, D: 19, eps: 1e-6, dtype: "bfloat16", offset: 1 },
    ],
    trial: (entry: NormCase & { offset?: number }, random) => ({
      tensors: { x: normInput(entry, random), weight: normal(random, [entry.D], 1, entry.dtype) },
      params: { eps: entry.eps, offset: entry.offset },
      loaded: ["weight"],
    }),
  },
});

/** y = (x - mean) / sqrt(variance + eps) * weight + bias, row by row. [T, D] -> [T, D] */
export const layerNorm = kernel<{ x: Value; weight: Value; bias: Value }, { eps: number }>({
  name: "layer_norm",
  shape({ x, weight, bias }) {
    expectSize("layer_norm", "weight", weight.shape[0], x.shape[1]);
    expectSize("layer_norm", "bias", bias.shape[0], x.shape[1]);
    return float32(...x.shape);
  },
  reference({ x, weight, bias, y }, { eps }) {
    const [T, D] = x.shape;
    const [input, scale, offset, output] = [f32(x), widened(weight), widened(bias), f32(y)];
    for (let t = 0; t < T; t++) {
      const row = input.subarray(t * D, t * D + D);
      let mean = 0;
      for (const value of row) mean += value / D;
      let variance = 0;
      for (const value of row) variance += (value - mean) ** 2 / D;
      const inverse = 1 / Math.sqrt(variance + eps);
      for (let d = 0; d < D; d++) output[t * D + d] = (row[d] - mean) * inverse * scale[d] + offset[d];
    }
  },
  vector({ x, weight, bias }, { eps }) {
    const [T, D] = x.shape;
    return {
      key: `${D} ${eps} ${weight.dtype} ${bias.dtype}`,
      tiles: T,
      rows: true,
      build: (b, args) => layerNormProgram(b, args, D, eps, weight.dtype, bias.dtype),
    };
  },
  tolerance: 2e-6,
  cases: {
    list: NORM_CASES,
    trial: (entry: NormCase, random) => ({
      tensors: {
        x: normInput(entry, random),
        weight: normal(random, [entry.D], 1, entry.dtype),
        bias: normal(random, [entry.D], 1, entry.dtype),
      },
      params: { eps: entry.eps },
      loaded: ["weight", "bias"],
    }),
  },
});
