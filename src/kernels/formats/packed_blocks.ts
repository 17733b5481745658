import type { Cursor } from "../../codegen/cursor.ts";
import { dot4, dotSigned, nibbleSum, nibbles, type SignedBytes, signedBytes } from "../../codegen/dots.ts";
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

/** A word of codes for a vector of rows, in the form in which it is multiplied with many words of the input. */
export interface Word {
  codes: Vec<"bytes">;
  /** Where products are made of signed bytes. */
  signed: SignedBytes | undefined;
}

export function wordOf(b: Builder, { codeBits }: WeightFormat, codes: Vec<"bytes">): Word {
  return { codes, signed: codeBits === 8 && multipliesSigned(b) ? signedBytes(b, codes) : undefined };
}

/** Where the only product of bytes is of unsigned with signed ones, into 16 bits, and there is one for signs. */
function multipliesSigned({ target }: Builder): boolean {
  return target.name === "avx2" && target.byteDot === "maddubs";
}

/** A sum of products of the codes of one block. */
export interface BlockSum {
  step(w: Word, x: Vec<"bytes">): void;
  /** The sum with the input's correction. */
  finish(): Vec<"i32">;
}

/** @param correction gives the input's correction, which takes the codes' zero out; called where it is needed */
export function blockSum(b: Builder, { codeBits }: WeightFormat, correction: () => Vec<"i32">): BlockSum {
  if (codeBits === 4) {
    const sum = nibbleSum(b, correction);
    return { step: ({ codes }, x) => void sum.step(codes, x), finish: () => sum.finish() };
  }
  const sum = multipliesSigned(b) ? b.accI32() : b.acc(correction());
  return {
    step(w, x) {
      if (w.signed) dotSigned(b, sum, w.signed, x);
      else dot4(b, sum, w.codes, x);
    },
    finish: () => sum,
  };
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
