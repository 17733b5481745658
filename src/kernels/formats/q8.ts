import { bfloat16ToNumber, numberToBfloat16 } from "../../tensor/dtype.ts";
import { BLOCK, formatOf } from "./format.ts";

/** Codes reach from -127 to 127. */
const MOST = 127;
/** The code of zero. */
const ZERO = 128;

/**
 * 8.5 bits a weight. The largest magnitude of a block gets the code 127 or just below: the scale is rounded up, so that
 * no number is cut off, and codes are chosen for the scale as it is stored.
 */
export const q8 = formatOf("q8", 8, ZERO, (block, codes) => {
  let most = 0;
  for (let k = 0; k < BLOCK; k++) most = Math.max(most, Math.abs(block[k]));
  let bits = numberToBfloat16(most / MOST);
  if (bfloat16ToNumber(bits) * MOST < most) bits++;
  const scale = bfloat16ToNumber(bits);
  const inverse = scale > 0 ? 1 / scale : 0;
  // Cut off towards zero, which is downwards: no code is below 1, as the scale was rounded up.
  for (let k = 0; k < BLOCK; k++) codes[k] = (block[k] * inverse + ZERO + 0.5) | 0;
  return bits;
});
