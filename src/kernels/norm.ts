import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { expectSize, f32, float32, widened } from "./host.ts";

/** y = x / sqrt(mean(x²) + eps) * weight, row by row. [T, D] -> [T, D] */
export const rmsNorm = kernel<{ x: Value; weight: Value }, { eps: number }>({
  name: "rms_norm",
  shape({ x, weight }) {
    expectSize("rms_norm", "weight", weight.shape[0], x.shape[1]);
    return float32(...x.shape);
  },
  reference({ x, weight, y }, { eps }) {
    const [T, D] = x.shape;
    const [input, scale, output] = [f32(x), widened(weight), f32(y)];
    for (let t = 0; t < T; t++) {
      let squares = 0;
      for (let i = t * D; i < t * D + D; i++) squares += input[i] * input[i];
      const inverse = 1 / Math.sqrt(squares / D + eps);
      for (let d = 0; d < D; d++) output[t * D + d] = input[t * D + d] * inverse * scale[d];
    }
  },
  tolerance: 2e-6,
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
  tolerance: 2e-6,
});
