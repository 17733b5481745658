import { bfloat16ToNumber, numberToBfloat16 } from "../../tensor/dtype.ts";
import { BLOCK, formatOf } from "./format.ts";

/** The code of zero: codes stand for -8 .. 7. */
const ZERO = 8;

/**
 * What the number of largest magnitude is divided by, for scales to try. With a negative divisor it lies on the side of
 * -8, with a positive one on that of 7. Beyond -8 or 7 it is cut off, and the others become finer.
 */
const DIVISORS = [-8, -7.4, -8.6, -9.2, -6.8, 7, 7.6, 6.4, 8.2];

/**
 * 4.5 bits a weight. The scale is searched: for each of a few ranges the codes are chosen, then the scale that fits
 * these codes best (least squares); the one with the smallest squared error is taken.
 */
export const q4 = formatOf("q4", 4, ZERO, (block, codes) => {
  let extreme = 0;
  for (let k = 0; k < block.length; k++) if (Math.abs(block[k]) > Math.abs(extreme)) extreme = block[k];
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  if (extreme !== 0)
    for (const divisor of DIVISORS) {
      const inverse = divisor / extreme;
      let products = 0;
      let squares = 0;
      for (let k = 0; k < BLOCK; k++) {
        const number = block[k];
        const code = nearest(number * inverse);
        products += code * number;
        squares += code * code;
      }
      const bits = numberToBfloat16(products / squares);
      const scale = bfloat16ToNumber(bits);
      // The squared error less the sum of squares of the block.
      const error = scale * (scale * squares - 2 * products);
      if (error < least) [least, best] = [error, bits];
    }
  const scale = bfloat16ToNumber(best);
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let k = 0; k < block.length; k++) codes[k] = ZERO + nearest(block[k] * inverse);
  return best;
});

/** The nearest of -8 .. 7, of a number of moderate size. Whole models go through here. */
function nearest(x: number): number {
  const code = (x + ZERO + 0.5) | 0; // cut off towards zero, which is downwards for codes that there are
  return Math.min(15, Math.max(0, code)) - ZERO;
}
