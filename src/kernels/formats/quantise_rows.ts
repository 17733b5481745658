import type { Cursor } from "../../codegen/cursor.ts";
import type { Builder } from "../../codegen/ir.ts";
import { butterfly, maxLanes } from "../../codegen/math.ts";
import type { Vec } from "../../codegen/vector.ts";
import type { Value } from "../../devices/device.ts";
import { kernel } from "../../devices/kernel.ts";
import { normal } from "../cases.ts";
import { expectRank, expectSize, f32 } from "../host.ts";
import { byteCode, byteCodes, byteScale, byteScaleOf } from "../signed_bytes.ts";
import { BLOCK } from "./format.ts";

/** Bytes of a quantised block: 32 codes, the scale (float32), the correction (int32). */
export const QUANTISED_BYTES = BLOCK + 8;

/**
 * Rows as signed bytes: each block of 32 numbers becomes 32 codes round(x * 127 / max), the scale max / 127 and the
 * correction -zero * (sum of the codes), which takes the weights' `zero` out of a dot product with their codes.
 * All steps are of float32. x [T, K] -> bytes [T, K / 32 * 40]
 */
export const quantiseRows = kernel<{ x: Value }, { zero: number }>({
  name: "quantise_rows",
  shape({ x }) {
    expectRank("quantise_rows", "x", x, 2);
    expectSize("quantise_rows", "columns of x over 32", x.shape[1] % BLOCK, 0);
    return { dtype: "uint8", shape: [x.shape[0], (x.shape[1] / BLOCK) * QUANTISED_BYTES] };
  },
  reference({ x, y }, { zero }) {
    const input = f32(x);
    const view = new DataView(y.data.buffer, y.data.byteOffset);
    for (let i = 0; i < input.length / BLOCK; i++) {
      const block = input.subarray(i * BLOCK, (i + 1) * BLOCK);
      const at = i * QUANTISED_BYTES;
      const { scale, inverse } = byteScale(block);
      let sum = 0;
      for (let k = 0; k < BLOCK; k++) {
        const code = byteCode(block[k], inverse);
        view.setInt8(at + k, code);
        sum += code;
      }
      view.setFloat32(at + BLOCK, scale, true);
      view.setInt32(at + BLOCK + 4, -zero * sum, true);
    }
  },
  vector({ x }, { zero }) {
    const [T, K] = x.shape;
    return {
      key: `${K} ${zero}`,
      tiles: T,
      rows: true,
      build(b, args) {
        const from = b.cursor(args.x, b.tile.times(4 * K));
        const to = b.cursor(args.y, b.tile.times((K / BLOCK) * QUANTISED_BYTES));
        b.repeat(K / BLOCK, () => {
          quantiseBlock(b, from, to, zero);
          from.advance(4 * BLOCK);
          to.advance(QUANTISED_BYTES);
        });
      },
    };
  },
  tolerance: 0,
  cases: {
    list: [
      { T: 1, K: 32, zero: 8 },
      { T: 3, K: 96, zero: 128 },
      { T: 7, K: 704, zero: 8, scale: 1e4 },
      { T: 2, K: 224, zero: 128, scale: 1e-5 },
      { T: 5, K: 64, zero: 8, scale: 0 },
    ] satisfies QuantiseCase[],
    trial: ({ T, K, zero, scale }: QuantiseCase, random) => ({
      tensors: { x: normal(random, [T, K], scale) },
      params: { zero },
    }),
  },
});

interface QuantiseCase {
  T: number;
  K: number;
  zero: number;
  scale?: number;
}

function quantiseBlock(b: Builder, from: Cursor, to: Cursor, zero: number): void {
  const parts = Array.from({ length: BLOCK / b.lanes }, (_, i) => from.load(4 * i * b.lanes));
  const magnitudes = parts.map((v) => b.abs(v));
  const most = maxLanes(
    b,
    magnitudes.reduce((p, q) => b.max(p, q)),
  );
  const { scale, inverse } = byteScaleOf(b, most);
  const sum = b.accI32();
  for (const [i, part] of parts.entries()) {
    const codes = byteCodes(b, part, inverse);
    to.storeI8(i * b.lanes, codes);
    sum.add(codes);
  }
  to.store(BLOCK, scale, 1);
  const total: Vec<"i32"> = butterfly(b, sum, (p, q) => b.add(p, q));
  to.store(BLOCK + 4, b.mul(total, b.i32(-zero)), 1);
}
