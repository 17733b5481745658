import type { Builder } from "./ir.ts";
import { type Acc, type Vec, vector } from "./vector.ts";

/*
 * Dot products of narrow numbers, each in the fastest way that its target has. All are exact.
 */

/**
 * sum += the four products of `w` (u8) and `x` (s8) in each i32 lane.
 *
 * @param most the largest number in `w`. Up to 127 is faster where a target has no such instruction.
 */
export function dot4(
  b: Builder,
  sum: Acc<"i32">,
  w: Vec<"bytes">,
  x: Vec<"bytes">,
  most: number = 255,
): void {
  const { byteDot } = b.target;
  if (byteDot === "vnni" || (byteDot === "relaxed" && most <= 127))
    b.emitTo(sum.register, "dot4", [w.register, x.register, sum.register]);
  // Two products of up to 128 x 128 just fit the 16 bits between.
  else if (byteDot === "maddubs" && most <= 128)
    sum.add(dotI16(b, b.operate("i16", "dotU8I8", w, x), b.i16(1)));
  else {
    const [w16, x16] = [b.as("i16", w), b.as("i16", x)];
    const even = dotI16(b, b.and(w16, b.i16(0xff)), b.sar(b.shl(x16, 8), 8));
    const odd = dotI16(b, b.shr(w16, 8), b.sar(x16, 8));
    sum.add(b.add(even, odd));
  }
}

/** Signed bytes in [-127, 127], and their magnitudes: what `dotSigned` needs of a vector that is used many times. */
export interface SignedBytes {
  readonly bytes: Vec<"bytes">;
  readonly magnitudes: Vec<"bytes">;
}

/** Bytes less 128, which must not be 0, for `dotSigned`. AVX2 only. */
export function signedBytes(b: Builder, above: Vec<"bytes">): SignedBytes {
  const bytes = b.xor(above, b.bytes(0x80));
  return { bytes, magnitudes: b.unary("bytes", "absI8", bytes) };
}

/**
 * sum += the four products of signed bytes in each i32 lane, all in [-127, 127]. AVX2 only: magnitudes of one are
 * multiplied with numbers that got their signs, so that two products just fit the 16 bits between.
 */
export function dotSigned(b: Builder, sum: Acc<"i32">, w: SignedBytes, x: Vec<"bytes">): void {
  const signed = b.operate("bytes", "signI8", x, w.bytes);
  sum.add(dotI16(b, b.operate("i16", "dotU8I8", w.magnitudes, signed), b.i16(1)));
}

/** The two products of i16 numbers in each i32 lane, added. */
export function dotI16(b: Builder, x: Vec<"i16">, y: Vec<"i16">): Vec<"i32"> {
  return b.operate("i32", "dotI16", x, y);
}

/** sum += the two products of bf16 numbers in each f32 lane. */
export function dotBf16(b: Builder, sum: Acc<"f32">, x: Vec<"bf16">, y: Vec<"bf16">): void {
  if (b.target.bf16Dot) {
    b.emitTo(sum.register, "dotBf16", [x.register, y.register, sum.register]);
    return;
  }
  const upper = b.as("mask", b.i32(0xffff0000));
  const low = (v: Vec<"bf16">): Vec<"f32"> => b.as("f32", b.shl(b.as("i32", v), 16));
  const high = (v: Vec<"bf16">): Vec<"f32"> => b.as("f32", b.and(v, upper));
  sum.fma(low(x), low(y));
  sum.fma(high(x), high(y));
}

/** Products of 4-bit numbers w in [0, 15] with bytes x in [-127, 127], at most `NIBBLE_STEPS` of them. */
export interface NibbleSum {
  /** Adds the four products of each i32 lane. */
  step(w: Vec<"bytes">, x: Vec<"bytes">): NibbleSum;
  /** The sum with what it started from. */
  finish(): Vec<"i32">;
}

/** Steps of a NibbleSum that 16 bits have room for: 8 x 2 x 15 x 127 < 2^15. */
export const NIBBLE_STEPS = 8;

/**
 * Begins a dot product of 4-bit numbers. Where bytes have no single fast instruction, sums stay in 16 bits for the
 * whole block, which saves one of two instructions a step.
 *
 * @param start gives what the sum starts from; called once, when it is needed
 */
export function nibbleSum(b: Builder, start: () => Vec<"i32">): NibbleSum {
  if (!b.target.nibbleSums16) {
    const sum = b.acc(start());
    const wide: NibbleSum = {
      step(w, x) {
        dot4(b, sum, w, x, 15);
        return wide;
      },
      finish: () => sum,
    };
    return wide;
  }
  let sum: Acc<"i16"> | undefined;
  const product = b.target.name === "wasm" ? "dotU7I8" : "dotU8I8";
  let steps = 0;
  const narrow: NibbleSum = {
    step(w, x) {
      if (++steps > NIBBLE_STEPS) throw b.error(`a NibbleSum of more than ${NIBBLE_STEPS} steps`);
      const products = b.operate("i16", product, w, x);
      if (sum) sum.add(products);
      else sum = b.acc(products);
      return narrow;
    },
    finish: () => b.add(dotI16(b, sum ?? b.i16(0), b.i16(1)), start()),
  };
  return narrow;
}

/** The lower and upper 4 bits of each byte, as bytes. */
export function nibbles(b: Builder, v: Vec<"bytes">): [low: Vec<"bytes">, high: Vec<"bytes">] {
  const low = b.bytes(0x0f);
  return [b.and(v, low), b.and(b.as("bytes", b.shr(b.as("i32", v), 4)), low)];
}

/** f32 lanes of `low`, then of `high`, as bf16. Only where the target has `bf16`. */
export function packBf16(b: Builder, low: Vec<"f32">, high: Vec<"f32">): Vec<"bf16"> {
  return vector(b, "bf16", "packBf16", [low.register, high.register]);
}
