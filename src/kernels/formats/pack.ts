import { bfloat16ToNumber } from "../../tensor/dtype.ts";
import { BLOCK, codePlace, GROUP, packedBytes, type WeightFormat } from "./format.ts";
import { nearest } from "./nearest.ts";

/**
 * Chooses a scale and codes for one block.
 *
 * @param block 32 numbers
 * @param codes is given their codes
 * @returns the scale as bits of bfloat16
 */
export function encodeBlock(format: WeightFormat, block: Float32Array, codes: Uint8Array): number {
  const bits = format.scale(block);
  const scale = bfloat16ToNumber(bits);
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (let k = 0; k < BLOCK; k++) codes[k] = format.zero + nearest(format, Math.fround(block[k] * inverse));
  return bits;
}

/**
 * Packs `rows` rows of K numbers, which begin a group.
 *
 * @param from the first number of the first row in `numbers`
 * @returns the bytes of the groups that they fill; rows that the last one has not are packed as zeros
 */
export function packRows(
  format: WeightFormat,
  numbers: Float32Array,
  from: number,
  rows: number,
  K: number,
): Uint8Array {
  const { groupBytes, codeBits } = format;
  const packed = new Uint8Array(packedBytes(format, rows, K));
  const codes = new Uint8Array(BLOCK);
  const bytes = Int32Array.from(codes, (_, k) => codePlace(format, 0, k).byte);
  const shifts = Int32Array.from(codes, (_, k) => codePlace(format, 0, k).shift);
  const blocks = K / BLOCK;
  const missing = new Float32Array(BLOCK);
  for (let row = 0; row < Math.ceil(rows / GROUP) * GROUP; row++) {
    const group = Math.floor(row / GROUP);
    const r = row % GROUP;
    for (let i = 0; i < blocks; i++) {
      const start = from + row * K + i * BLOCK;
      const block = row < rows ? numbers.subarray(start, start + BLOCK) : missing;
      const scale = encodeBlock(format, block, codes);
      const at = (group * blocks + i) * groupBytes;
      for (let k = 0; k < BLOCK; k++) packed[at + bytes[k] + 4 * r] |= codes[k] << shifts[k];
      const scaleAt = at + (GROUP * BLOCK * codeBits) / 8 + 2 * r;
      packed[scaleAt] = scale & 255;
      packed[scaleAt + 1] = scale >> 8;
    }
  }
  return packed;
}

/** One packed row: its codes less `zero`, and the scale of each block. */
export interface UnpackedRow {
  codes: Int8Array;
  scales: Float32Array;
}

/** Takes one row out of packed bytes. */
export function unpackRow(format: WeightFormat, packed: Uint8Array, row: number, K: number): UnpackedRow {
  const { groupBytes, codeBits, zero } = format;
  const blocks = K / BLOCK;
  const r = row % GROUP;
  const codes = new Int8Array(K);
  const scales = new Float32Array(blocks);
  const places = Array.from({ length: BLOCK }, (_, k) => codePlace(format, r, k));
  const mask = 2 ** codeBits - 1;
  for (let i = 0; i < blocks; i++) {
    const at = (Math.floor(row / GROUP) * blocks + i) * groupBytes;
    for (let k = 0; k < BLOCK; k++)
      codes[i * BLOCK + k] = ((packed[at + places[k].byte] >> places[k].shift) & mask) - zero;
    const scaleAt = at + (GROUP * BLOCK * codeBits) / 8 + 2 * r;
    scales[i] = bfloat16ToNumber(packed[scaleAt] | (packed[scaleAt + 1] << 8));
  }
  return { codes, scales };
}

/** The numbers that one packed row stands for. */
export function unpackNumbers(
  format: WeightFormat,
  packed: Uint8Array,
  row: number,
  K: number,
): Float32Array {
  const { codes, scales } = unpackRow(format, packed, row, K);
  return Float32Array.from(codes, (code, k) => code * scales[Math.floor(k / BLOCK)]);
}
