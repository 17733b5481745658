import type { Cursor } from "../../codegen/cursor.ts";
import { dot4, type NibbleSum, nibbleSum, nibbles } from "../../codegen/dots.ts";
import type { Builder } from "../../codegen/ir.ts";
import type { Argument } from "../../codegen/scalar.ts";
import type { Vec } from "../../codegen/vector.ts";
import type { DType } from "../../tensor/dtype.ts";
import { BLOCK, GROUP, type WeightFormat } from "./format.ts";

/*
 * Parts that products with packed weights are made of.
 */

/** A product with a packed weight as a program sees it. */
export interface PackedShape {
  format: WeightFormat;
  /** Rows of the input. */
  T: number;
  K: number;
  N: number;
  /** undefined: no bias. */
  bias: DType | undefined;
}

export type Args = Readonly<Record<string, Argument>>;

/** 32-bit words of a row's codes in a block, as bytes. */
export const WORDS = BLOCK / 4;

/** A sum of products of the codes of one block, which starts from the input's correction. */
export function blockSum(b: Builder, { codeBits }: WeightFormat, start: () => Vec<"i32">): NibbleSum {
  if (codeBits === 4) return nibbleSum(b, start);
  const sum = b.acc(start());
  const whole: NibbleSum = {
    step(w, x) {
      dot4(b, sum, w, x);
      return whole;
    },
    finish: () => sum,
  };
  return whole;
}

/** Vectors of a block's words as they are stored. */
export function storedWords({ codeBits }: WeightFormat): number {
  return (WORDS * codeBits) / 8;
}

/** The words that a stored one holds, as bytes, with their numbers: one of 8 bits, two of 4. */
export function wordsOf(
  b: Builder,
  { codeBits }: WeightFormat,
  stored: number,
  loaded: Vec<"bytes">,
): { word: number; codes: Vec<"bytes"> }[] {
  if (codeBits === 8) return [{ word: stored, codes: loaded }];
  return nibbles(b, loaded).map((codes, half) => ({ word: 2 * stored + half, codes }));
}

/** The words of a block for a vector of rows, one for each 4 columns, loaded one after the other. */
export function eachWord(
  b: Builder,
  format: WeightFormat,
  w: Cursor,
  at: number,
  use: (word: number, codes: Vec<"bytes">) => void,
): void {
  for (let j = 0; j < storedWords(format); j++)
    for (const { word, codes } of wordsOf(b, format, j, w.loadBytes(at + 64 * j))) use(word, codes);
}

/** Where the scales of a block stand. */
export function scalesAt({ codeBits }: WeightFormat): number {
  return (GROUP * BLOCK * codeBits) / 8;
}

/** The vectors that `columns` columns take: the first column of each, and its lanes. */
export function vectorsOf(b: Builder, columns: number): { first: number; lanes: number }[] {
  return Array.from({ length: Math.ceil(columns / b.lanes) }, (_, v) => ({
    first: v * b.lanes,
    lanes: Math.min(b.lanes, columns - v * b.lanes),
  }));
}
