import type { Value } from "../../devices/device.ts";
import { kernel } from "../../devices/kernel.ts";
import { sizeOf, Tensor } from "../../tensor/tensor.ts";
import { normal, type Random } from "../cases.ts";
import { expectRank, expectSize, f32, float32, widened } from "../host.ts";
import { BLOCK, type FormatName, packedShape, type WeightFormat } from "./format.ts";
import { FORMATS } from "./formats.ts";
import { packRows, unpackRow } from "./pack.ts";
import { packedLinearForm } from "./packed_linear_program.ts";
import { QUANTISED_BYTES, quantiseRows } from "./quantise_rows.ts";

/**
 * y = x W^T + b of a packed weight and rows that `quantiseRows` made. Within a block all is exact: products of codes,
 * summed as integers. A block's sum times both scales is added up in float32; that is what the tolerance is for.
 * x bytes [T, K / 32 * 40], weight bytes (packed), bias [N] -> y [T, N]
 */
export const packedLinear = kernel<
  { x: Value; weight: Value; bias?: Value },
  { format: FormatName; N: number }
>({
  name: "packed_linear",
  shape({ x, weight, bias }, { format, N }) {
    expectRank("packed_linear", "x", x, 2);
    const [groups, bytes] = packedShape(FORMATS[format], N, columnsOf(x));
    expectSize("packed_linear", "groups of the weight", weight.shape[0], groups);
    expectSize("packed_linear", "bytes of a group of the weight", weight.shape[1], bytes);
    if (bias) expectSize("packed_linear", "bias", bias.shape[0], N);
    return float32(x.shape[0], N);
  },
  reference({ x, weight, bias, y }, { format, N }) {
    const K = columnsOf(x);
    const rows = quantisedRows(x.data as Uint8Array, x.shape[0], K);
    const output = f32(y);
    const offset = bias ? widened(bias) : new Float32Array(N);
    for (let n = 0; n < N; n++) {
      const { codes, scales } = unpackRow(FORMATS[format], weight.data as Uint8Array, n, K);
      for (const [t, row] of rows.entries()) {
        let sum = offset[n];
        for (let i = 0; i < scales.length; i++) {
          let dot = 0;
          for (let k = i * BLOCK; k < (i + 1) * BLOCK; k++) dot += codes[k] * row.codes[k];
          sum += dot * scales[i] * row.scales[i];
        }
        output[t * N + n] = sum;
      }
    }
  },
  vector({ x, bias }, { format, N }, target) {
    return packedLinearForm(target, {
      format: FORMATS[format],
      T: x.shape[0],
      K: columnsOf(x),
      N,
      bias: bias?.dtype,
    });
  },
  cost({ x, weight }, { format, N }) {
    const [T, K] = [x.shape[0], columnsOf(x)];
    return {
      use: `${format} ${K} to ${N}`,
      bytes: sizeOf(x.shape) + sizeOf(weight.shape) + 4 * T * N,
      operations: 2 * T * N * K,
      numbers: "bytes",
    };
  },
  tolerance: 2e-6,
  cases: {
    list: (["q8", "q4"] as const).flatMap((format) => [
      { format, T: 1, K: 32, N: 1 },
      { format, T: 1, K: 96, N: 45, bias: true },
      { format, T: 2, K: 224, N: 67 },
      { format, T: 3, K: 64, N: 16, bias: true },
      { format, T: 5, K: 128, N: 100, bias: true },
      { format, T: 1, K: 1120, N: 131, scale: 1e4 },
      { format, T: 7, K: 704, N: 35, bias: true, scale: 1e-4 },
      { format, T: 8, K: 352, N: 77, bias: true },
      { format, T: 45, K: 1088, N: 70 },
      { format, T: 200, K: 64, N: 33, bias: true },
    ]) satisfies PackedCase[],
    trial: ({ format, T, K, N, bias, scale = 1 }: PackedCase, random) => ({
      tensors: {
        x: quantised(normal(random, [T, K], scale), FORMATS[format].zero),
        weight: packedNormal(random, FORMATS[format], N, K, scale),
        bias: bias ? normal(random, [N], scale, "bfloat16") : undefined,
      },
      params: { format, N },
      loaded: ["weight", "bias"],
    }),
  },
});

interface PackedCase {
  format: FormatName;
  T: number;
  K: number;
  N: number;
  bias?: boolean;
  scale?: number;
}

/** A packed matrix of normally distributed numbers. */
export function packedNormal(
  random: Random,
  format: WeightFormat,
  N: number,
  K: number,
  scale?: number,
): Tensor {
  const numbers = f32(normal(random, [N, K], scale));
  return new Tensor("uint8", packedShape(format, N, K), packRows(format, numbers, 0, N, K));
}

function quantised(x: Tensor, zero: number): Tensor {
  const { dtype, shape } = quantiseRows.shape({ x }, { zero });
  const y = new Tensor(dtype, shape, new Uint8Array(shape[0] * shape[1]));
  quantiseRows.reference({ x, y }, { zero });
  return y;
}

function columnsOf(x: { readonly shape: readonly number[] }): number {
  return (x.shape[1] / QUANTISED_BYTES) * BLOCK;
}

/** Codes and scales of quantised rows. */
function quantisedRows(
  bytes: Uint8Array,
  T: number,
  K: number,
): { codes: Int8Array; scales: Float32Array }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const blocks = K / BLOCK;
  return Array.from({ length: T }, (_, t) => {
    const codes = new Int8Array(K);
    const scales = new Float32Array(blocks);
    for (let i = 0; i < blocks; i++) {
      const at = (t * blocks + i) * QUANTISED_BYTES;
      for (let k = 0; k < BLOCK; k++) codes[i * BLOCK + k] = view.getInt8(at + k);
      scales[i] = view.getFloat32(at + BLOCK, true);
    }
    return { codes, scales };
  });
}
