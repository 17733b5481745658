import type { Builder } from "../codegen/ir.ts";
import type { Vec } from "../codegen/vector.ts";
import { roundHalfEven } from "../tensor/dtype.ts";

/*
 * Numbers as signed bytes with a common scale: codes round(x * 127 / max), the scale max / 127. All steps are of float32,
 * so that every device makes the same bytes.
 */

const MOST = 127;

/** The scale of some numbers, and what they are multiplied by to make codes; both are zero where all numbers are. */
export function byteScale(numbers: Float32Array): { scale: number; inverse: number } {
  const most = numbers.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  const scale = Math.fround(most * Math.fround(1 / MOST));
  return { scale, inverse: scale > 0 ? Math.fround(1 / scale) : 0 };
}

export function byteCode(x: number, inverse: number): number {
  return Math.min(MOST, Math.max(-MOST, roundHalfEven(Math.fround(x * inverse))));
}

/** As `byteScale`, of numbers whose largest magnitude is `most`, in every lane. */
export function byteScaleOf(b: Builder, most: Vec<"f32">): { scale: Vec<"f32">; inverse: Vec<"f32"> } {
  const scale = b.mul(most, b.f32(1 / MOST));
  // Where all are zero, so is the inverse: 1 / 0 is masked out.
  const inverse = b.and(b.div(b.f32(1), scale), b.less(b.f32(0), scale));
  return { scale, inverse };
}

/** As `byteCode`. */
export function byteCodes(b: Builder, x: Vec<"f32">, inverse: Vec<"f32">): Vec<"i32"> {
  return b.toI32(b.min(b.f32(MOST), b.max(b.f32(-MOST), b.round(b.mul(x, inverse)))));
}
