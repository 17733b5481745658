/*
 * Weights in few bits. Each row of a matrix [N, K] is cut into blocks of 32 numbers; a block has one scale and a code
 * for each number: w = scale * (code - zero).
 *
 * Packed, the rows stand in groups of 16 and the blocks of a group lie one behind the other. A block of a group holds,
 * for each 4 columns (8 in q4), one 32-bit word a row, so that a vector of words is 16, 8 or 4 rows and one word of the
 * input is multiplied with all of them; behind the words stand the 16 scales. No device needs another layout.
 */

import type { Cursor } from "../../codegen/cursor.ts";
import type { Builder } from "../../codegen/ir.ts";
import type { Vec } from "../../codegen/vector.ts";

/** Raised whenever packed bytes of the same weights become others: copies on disk are then made anew. */
export const LAYOUT_VERSION = 1;

/** Names of the formats: what `dtype` takes. */
export type FormatName = "q8" | "q4";

/** Numbers of a row that share a scale. */
export const BLOCK = 32;

/** Rows that are interleaved. */
export const GROUP = 16;

/** Largest magnitudes below this count as zero, so that no step of packing comes near to denormal numbers. */
export const TINY = 2 ** -100;

/** How a format's codes are laid out and chosen. All arithmetic is of float32, so that every device packs the same. */
interface Coding {
  readonly name: FormatName;
  /** Bits of a code. */
  readonly codeBits: 8 | 4;
  /** The code that stands for zero. */
  readonly zero: number;
  /** Codes less `zero` reach from `least` to `most`. */
  readonly least: number;
  readonly most: number;
  /**
   * Chooses a block's scale.
   *
   * @param block 32 numbers
   * @returns bits of bfloat16, whose range has room for weights of any size
   */
  scale(block: Float32Array): number;
  /**
   * The same in a vector program, for a block of as many rows as a vector has lanes. Without it, packing is computed
   * by its reference.
   *
   * @param numbers where number k of each row stands at 4 * GROUP * k
   */
  scales?(b: Builder, numbers: Cursor): Vec<"f32">;
}

/** A way to keep weights in few bits. */
export interface WeightFormat extends Coding {
  /** Bits that a weight takes, its share of the scale included. */
  readonly bitsPerWeight: number;
  /** Bytes of a block of a group: 16 rows of 32 numbers. */
  readonly groupBytes: number;
}

/** The parts of a format that follow from the bits of its codes. */
export function formatOf(coding: Coding): WeightFormat {
  const groupBytes = (GROUP * BLOCK * coding.codeBits) / 8 + 2 * GROUP;
  return { ...coding, bitsPerWeight: (8 * groupBytes) / (GROUP * BLOCK), groupBytes };
}

/** Whether a matrix of `K` columns can be packed. */
export function packable(K: number): boolean {
  return K > 0 && K % BLOCK === 0;
}

/** Shape of the packed bytes of a matrix [N, K]: groups of rows, and the bytes of each. */
export function packedShape(format: WeightFormat, N: number, K: number): [groups: number, bytes: number] {
  return [Math.ceil(N / GROUP), (K / BLOCK) * format.groupBytes];
}

/** Bytes that a matrix [N, K] takes. */
export function packedBytes(format: WeightFormat, N: number, K: number): number {
  const [groups, bytes] = packedShape(format, N, K);
  return groups * bytes;
}

/** Where the code of row `r` of a group and column `k` of a block stands: a byte of the block, and a shift in it. */
export function codePlace({ codeBits }: WeightFormat, r: number, k: number): { byte: number; shift: number } {
  if (codeBits === 8) return { byte: 64 * (k >> 2) + 4 * r + (k & 3), shift: 0 };
  return { byte: 64 * (k >> 3) + 4 * r + (k & 3), shift: k & 4 };
}
