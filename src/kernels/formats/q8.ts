import { bfloat16ToNumber, numberToBfloat16 } from "../../tensor/dtype.ts";
import { BLOCK, formatOf, GROUP, TINY } from "./format.ts";

/** Codes reach from -127 to 127. */
const MOST = 127;

/**
 * 8.5 bits a weight. The largest magnitude of a block gets the code 127 or just below: the scale is rounded up, so that
 * no number is cut off, and codes are chosen for the scale as it is stored.
 */
export const q8 = formatOf({
  name: "q8",
  codeBits: 8,
  zero: 128,
  least: -MOST,
  most: MOST,
  scale(block) {
    let most = 0;
    for (let k = 0; k < BLOCK; k++) most = Math.max(most, Math.abs(block[k]));
    if (most < TINY) return 0;
    const bits = numberToBfloat16(Math.fround(most / MOST));
    return bfloat16ToNumber(bits) * MOST < most ? bits + 1 : bits;
  },
  scales(b, numbers) {
    const most = b.accF32();
    const walk = numbers.copy();
    b.repeat(BLOCK / 4, () => {
      for (let k = 0; k < 4; k++) most.max(b.abs(walk.load(4 * GROUP * k)));
      walk.advance(16 * GROUP);
    });
    const bits = b.f32ToBf16Bits(b.div(most, b.f32(MOST)));
    const low = b.less(b.mul(b.bf16BitsToF32(bits), b.f32(MOST)), most);
    // a mask is -1 where it is set
    const scale = b.bf16BitsToF32(b.sub(bits, b.as("i32", low)));
    return b.andNot(scale, b.less(most, b.f32(TINY)));
  },
});
