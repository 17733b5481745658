import type { Cursor } from "../../codegen/cursor.ts";
import type { Builder } from "../../codegen/ir.ts";
import type { Acc, Vec } from "../../codegen/vector.ts";
import { bfloat16ToNumber, numberToBfloat16 } from "../../tensor/dtype.ts";
import { BLOCK, formatOf, GROUP, TINY } from "./format.ts";
import { nearest, nearestCodes } from "./nearest.ts";

/** Codes less that of zero. */
const RANGE = { least: -8, most: 7 };

/**
 * What the number of largest magnitude is divided by, for scales to try. With a negative divisor it lies on the side of
 * -8, with a positive one on that of 7. Beyond -8 or 7 it is cut off, and the others become finer.
 */
const DIVISORS = [-8, -7.4, -8.6, -9.2, -6.8, 7, 7.6, 6.4, 8.2].map(Math.fround);

/**
 * 4.5 bits a weight. The scale is searched: for each of a few ranges the codes are chosen, then the scale that fits
 * these codes best (least squares); the one with the smallest squared error is taken.
 */
export const q4 = formatOf({
  name: "q4",
  codeBits: 4,
  zero: 8,
  ...RANGE,
  scale(block) {
    let extreme = 0;
    for (let k = 0; k < BLOCK; k++) if (Math.abs(block[k]) > Math.abs(extreme)) extreme = block[k];
    if (Math.abs(extreme) < TINY) return 0;
    const unit = Math.fround(1 / extreme);
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const divisor of DIVISORS) {
      const { products, squares } = sumsOf(block, Math.fround(divisor * unit));
      const bits = numberToBfloat16(Math.fround(products / squares));
      const error = gain(bfloat16ToNumber(bits), products, squares, unit);
      if (error < least) [least, best] = [error, bits];
    }
    return best;
  },
  scales: searchScales,
});

/** Sums over the codes that numbers get in a range: of the products of both, and of the codes' squares. */
function sumsOf(block: Float32Array, inverse: number): { products: number; squares: number } {
  let products = 0;
  let squares = 0;
  for (let k = 0; k < BLOCK; k++) {
    const code = nearest(RANGE, Math.fround(block[k] * inverse));
    products = Math.fround(products + Math.fround(code * block[k]));
    squares += code * code;
  }
  return { products, squares };
}

/** The squared error less the sum of squares of the block, in squares of its largest number: of moderate size. */
function gain(scale: number, products: number, squares: number, unit: number): number {
  const s = Math.fround(scale * unit);
  const p = Math.fround(products * unit);
  return Math.fround(s * Math.fround(Math.fround(s * squares) - 2 * p));
}

/** `scale` of the format, for a row in each lane. Same steps, same order. */
function searchScales(b: Builder, numbers: Cursor): Vec<"f32"> {
  const extreme = b.accF32();
  const walk = numbers.copy();
  b.repeat(BLOCK / 4, () => {
    for (let k = 0; k < 4; k++) {
      const x = walk.load(4 * GROUP * k);
      extreme.set(b.select(b.less(b.abs(extreme), b.abs(x)), x, extreme));
    }
    walk.advance(16 * GROUP);
  });
  const unit = b.div(b.f32(1), extreme);
  const best = b.accF32();
  const least = b.accF32(Number.POSITIVE_INFINITY);
  const together = b.target.registers === 32 ? 5 : 2;
  for (let first = 0; first < DIVISORS.length; first += together) {
    const divisors = DIVISORS.slice(first, first + together);
    const inverses = divisors.map((divisor) => b.mul(b.f32(divisor), unit));
    for (const { products, squares } of sumsOfAll(b, numbers, inverses)) {
      const scale = b.bf16BitsToF32(b.f32ToBf16Bits(b.div(products, squares)));
      const s = b.mul(scale, unit);
      const p = b.mul(products, unit);
      const error = b.mul(s, b.sub(b.mul(s, squares), b.add(p, p)));
      const better = b.less(error, least);
      best.set(b.select(better, scale, best));
      least.set(b.select(better, error, least));
    }
  }
  return b.andNot(best, b.less(b.abs(extreme), b.f32(TINY)));
}

/** `sumsOf` for several ranges at a time, so that numbers are read less often. */
function sumsOfAll(
  b: Builder,
  numbers: Cursor,
  inverses: readonly Vec<"f32">[],
): { products: Acc<"f32">; squares: Acc<"f32"> }[] {
  const sums = inverses.map(() => ({ products: b.accF32(), squares: b.accF32() }));
  const walk = numbers.copy();
  b.repeat(BLOCK / 2, () => {
    for (let k = 0; k < 2; k++) {
      const x = walk.load(4 * GROUP * k);
      for (const [i, { products, squares }] of sums.entries()) {
        const code = nearestCodes(b, RANGE, b.mul(x, inverses[i]));
        // Two roundings, as everywhere: `fma` has one where there is an instruction for it.
        products.add(b.mul(code, x));
        squares.add(b.mul(code, code));
      }
    }
    walk.advance(8 * GROUP);
  });
  return sums;
}
