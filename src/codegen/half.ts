import type { Builder } from "./ir.ts";
import type { Vec } from "./vector.ts";

/*
 * 16-bit floats by integer arithmetic, for targets without instructions for them. Bits lie in the low half of each
 * lane; the upper half is zero.
 */

/** Half precision to f32: exact, with denormals, infinities and NaN. */
export function f16BitsToF32(b: Builder, bits: Vec<"i32">): Vec<"f32"> {
  const magnitude = b.and(bits, b.i32(0x7fff));
  // As f32 bits the exponent is too small by the difference of the biases, 127 - 15.
  const scaled = b.mul(b.as("f32", b.shl(magnitude, 13)), b.f32(2 ** 112));
  const special = b.and(b.i32(0x7f800000), b.greater(magnitude, b.i32(0x7bff)));
  const sign = b.shl(b.and(bits, b.i32(0x8000)), 16);
  return b.as("f32", b.or(b.or(b.as("i32", scaled), special), sign));
}

/** The same in half as many steps, for numbers that are neither infinite nor NaN. */
export function finiteF16BitsToF32(b: Builder, bits: Vec<"i32">): Vec<"f32"> {
  // The sign stays where it is while exponent and fraction move to theirs; its copies between are taken off.
  const placed = b.and(b.sar(b.shl(bits, 16), 3), b.i32(0x8fffe000));
  return b.mul(b.as("f32", placed), b.f32(2 ** 112));
}

/** f32 to half precision, rounded to nearest, ties to even. */
export function f32ToF16Bits(b: Builder, value: Vec<"f32">): Vec<"i32"> {
  const bits = b.as("i32", value);
  const magnitude = b.and(bits, b.i32(0x7fffffff));
  const sign = b.and(b.shr(bits, 16), b.i32(0x8000));
  // From 2^-14 on: rebias the exponent, and round the 13 bits that go by adding just below half, or half if odd.
  const odd = b.and(b.shr(magnitude, 13), b.i32(1));
  const rebias = ((15 - 127) << 23) + 0xfff;
  const normal = b.shr(b.add(b.add(magnitude, b.i32(rebias)), odd), 13);
  // Below 2^-14: adding 0.5 makes the processor round at 2^-24, the step of half denormals.
  const half = b.f32(0.5);
  const small = b.sub(b.as("i32", b.add(b.as("f32", magnitude), half)), b.as("i32", half));
  const finite = b.select(b.greater(b.i32(0x38800000), magnitude), small, normal);
  const nan = b.greater(magnitude, b.i32(0x7f800000));
  const special = b.select(nan, b.i32(0x7e00), b.i32(0x7c00));
  // 65520 is the smallest number that rounds to infinity; `normal` is right up to there.
  const result = b.select(b.greater(b.i32(0x477ff000), magnitude), finite, special);
  return b.or(result, sign);
}

/** bfloat16 to f32: exact. */
export function bf16BitsToF32(b: Builder, bits: Vec<"i32">): Vec<"f32"> {
  return b.as("f32", b.shl(bits, 16));
}

/** f32 to bfloat16, rounded to nearest, ties to even. */
export function f32ToBf16Bits(b: Builder, value: Vec<"f32">): Vec<"i32"> {
  const bits = b.as("i32", value);
  const upper = b.shr(bits, 16);
  const odd = b.and(upper, b.i32(1));
  const rounded = b.shr(b.add(b.add(bits, b.i32(0x7fff)), odd), 16);
  return b.select(b.equal(value, value), rounded, b.or(upper, b.i32(0x40)));
}
