import type { Value } from "../../devices/device.ts";
import { kernel } from "../../devices/kernel.ts";
import { bfloat16ToNumber, fromFloat32, numberToBfloat16, toFloat32 } from "../../tensor/dtype.ts";
import { sizeOf } from "../../tensor/tensor.ts";
import { normal } from "../cases.ts";
import { expectRank, expectSize, f32, float32, widened } from "../host.ts";
import { tileForm } from "../tile_product.ts";
import { expandedPanels } from "./expanded_panels.ts";
import { BLOCK, type FormatName, packable, packedShape } from "./format.ts";
import { FORMATS } from "./formats.ts";
import { unpackNumbers } from "./pack.ts";
import { packedNormal } from "./packed_linear.ts";

/**
 * y = x W^T + b of a packed weight, expanded: x and the numbers that codes and scales stand for are rounded to bfloat16,
 * sums are float32. Another product than that of `packedLinear`, which rounds x to bytes: this one is more exact.
 * Faster where there are matrix tiles (`Device.expands`) and rows are many.
 * x [T, K], weight bytes (packed), bias [N] -> y [T, N]
 */
export const expandedLinear = kernel<
  { x: Value; weight: Value; bias?: Value },
  { format: FormatName; N: number }
>({
  name: "expanded_linear",
  shape({ x, weight, bias }, { format, N }) {
    expectRank("expanded_linear", "x", x, 2);
    const K = x.shape[1];
    if (!packable(K)) expectSize("expanded_linear", `columns of x over ${BLOCK}`, K % BLOCK, 0);
    const [groups, bytes] = packedShape(FORMATS[format], N, K);
    expectSize("expanded_linear", "groups of the weight", weight.shape[0], groups);
    expectSize("expanded_linear", "bytes of a group of the weight", weight.shape[1], bytes);
    if (bias) expectSize("expanded_linear", "bias", bias.shape[0], N);
    return float32(x.shape[0], N);
  },
  reference({ x, weight, bias, y }, { format, N }) {
    const [T, K] = x.shape;
    const input = toFloat32("bfloat16", fromFloat32("bfloat16", f32(x)));
    const output = f32(y);
    const offset = bias ? widened(bias) : new Float32Array(N);
    for (let n = 0; n < N; n++) {
      const numbers = unpackNumbers(FORMATS[format], weight.data as Uint8Array, n, K);
      const row = numbers.map((number) => bfloat16ToNumber(numberToBfloat16(number)));
      for (let t = 0; t < T; t++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += input[t * K + k] * row[k];
        output[t * N + n] = sum + offset[n];
      }
    }
  },
  vector({ x, bias }, { format, N }, target) {
    if (!target.bf16Tiles) return undefined;
    const [T, K] = x.shape;
    return tileForm(target, { K, N, bias: bias?.dtype, panels: expandedPanels(FORMATS[format], N, K) }, T);
  },
  cost({ x, weight }, { format, N }) {
    const [T, K] = x.shape;
    return {
      use: `${format} ${K} to ${N}`,
      bytes: 4 * T * (K + N) + sizeOf(weight.shape),
      operations: 2 * T * N * K,
      numbers: "bfloat16",
    };
  },
  tolerance: 2e-6,
  cases: {
    list: (["q8", "q4"] as const).flatMap((format) => [
      { format, T: 1, K: 32, N: 1 },
      { format, T: 3, K: 96, N: 45, bias: true },
      { format, T: 17, K: 288, N: 67 },
      { format, T: 35, K: 256, N: 16, bias: true },
      { format, T: 50, K: 544, N: 81, bias: true, scale: 1e4 },
      { format, T: 40, K: 64, N: 530, scale: 1e-4 },
    ]) satisfies ExpandedCase[],
    trial: ({ format, T, K, N, bias, scale = 1 }: ExpandedCase, random) => ({
      tensors: {
        x: normal(random, [T, K], scale),
        weight: packedNormal(random, FORMATS[format], N, K, scale),
        bias: bias ? normal(random, [N], scale, "bfloat16") : undefined,
      },
      params: { format, N },
      loaded: ["weight", "bias"],
    }),
  },
});

interface ExpandedCase {
  format: FormatName;
  T: number;
  K: number;
  N: number;
  bias?: boolean;
  scale?: number;
}
