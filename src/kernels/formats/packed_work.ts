import type { Cursor } from "../../codegen/cursor.ts";
import type { Builder } from "../../codegen/ir.ts";
import type { PackedShape } from "./packed_blocks.ts";

/*
 * What a thread does at a time of a product of many rows, and how its scratch memory is divided.
 */

/** How an unpacked block of a panel of columns lies in memory. */
export interface Layout {
  /** Bytes of a block: the codes as bytes, and the scales as f32. */
  block: number;
  /** Where a word of a vector of columns lies, and its scales. */
  codes(vector: number, word: number): number;
  scales(vector: number): number;
}

/** How a product of many rows is cut up. */
export interface Cut {
  /** Rows and vectors of columns whose sums are in registers together. */
  MR: number;
  NV: number;
  /** Columns of y that a tile of work computes. */
  columns: number;
  /** Blocks of the weight that are unpacked at once: with the input's they stay in the nearest cache. */
  chunk: number;
  layout: Layout;
}

/** Input rows that a tile of work goes through at most: their sums stay in the thread's second cache. */
export const MOST_ROWS = 192;

/** Scratch memory: some numbers, then what is unpacked, the sums, and what the products by tiles need. */
export const NOTES = { rows: 0, panel: 4, bytes: 64 } as const;

/** A tile of work, and how far it is. */
export interface Work {
  b: Builder;
  shape: PackedShape;
  cut: Cut;
  /** Columns of y. */
  columns: number;
  /** The input and the weight, at the next chunk. */
  x: Cursor;
  w: Cursor;
}

/** Where the blocks of a panel begin in scratch memory. */
export function panelAt({ cut }: Work, panel: number): number {
  return NOTES.bytes + panel * cut.chunk * cut.layout.block;
}

/** Where the sums begin: panel by panel, each [rows][NV] vectors. */
export function sumsAt(work: Work): number {
  return panelAt(work, work.cut.columns / (work.cut.NV * work.b.lanes));
}

/** Where scratch memory is free. */
export function freeAt(work: Work): number {
  return sumsAt(work) + 4 * MOST_ROWS * work.cut.columns;
}
