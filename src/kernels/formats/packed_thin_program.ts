import type { Cursor } from "../../codegen/cursor.ts";
import type { Builder } from "../../codegen/ir.ts";
import type { Target } from "../../codegen/target.ts";
import { TILE_ROWS } from "../../codegen/tiles.ts";
import type { Acc } from "../../codegen/vector.ts";
import { BYTES } from "../../tensor/dtype.ts";
import { loadFloat } from "../floats.ts";
import { BLOCK, GROUP, type WeightFormat } from "./format.ts";
import {
  type Args,
  blockSum,
  eachWord,
  type PackedShape,
  scalesAt,
  vectorsOf,
  wordOf,
} from "./packed_blocks.ts";
import { QUANTISED_BYTES } from "./quantise_rows.ts";

/** Groups of 16 rows of the weight in a tile of work. */
const GROUPS = 4;

/**
 * How many bytes further on memory is asked for: into the second cache, which can wait for more lines of memory than the
 * first at a time, and from there into the first.
 */
const AHEAD = { L2: 8192, L1: 1152 } as const;

/** Vectors that sums of a block and of all blocks may take; the others hold codes, scales and numbers of the input. */
function sumsOf({ registers }: Target): number {
  return registers === 32 ? 24 : 12;
}

/** Input rows that are multiplied straight from the packed weight. */
export function thinRows({ registers, lanes, amx }: Target): number {
  if (registers === 32) return amx ? TILE_ROWS - 1 : 16;
  return lanes === 8 ? 2 : 1;
}

export function thinTiles({ N }: PackedShape): number {
  return Math.ceil(N / (GROUP * GROUPS));
}

/**
 * Few input rows: the weight is read once, which is what it takes the time for. A tile is a few groups of the weight's
 * rows, which lie one behind the other: two groups side by side would be read more slowly.
 */
export function thinProgram(b: Builder, args: Args, shape: PackedShape): void {
  const { format, T, K, N, bias } = shape;
  const blocks = K / BLOCK;
  const first = b.tile.times(GROUPS);
  const w = b.cursor(args.weight, first.times(blocks * format.groupBytes));
  const y = b.cursor(args.y, first.times(4 * GROUP));
  const offset = bias && b.cursor(args.bias, first.times(BYTES[bias] * GROUP));
  const group = (columns: number): void => {
    const vectors = vectorsOf(b, columns);
    // One row is read as fast as memory gives it; with more, the products keep the processor from reading ahead.
    const part = { x: b.cursor(args.x), w, rows: T, vectors: [...vectors.keys()], ahead: T > 1 };
    const sums = multiplyGroup(b, shape, part);
    for (const [v, { first, lanes }] of vectors.entries()) {
      const addend = offset && bias && loadFloat(offset, bias, BYTES[bias] * first, lanes);
      for (let t = 0; t < T; t++)
        y.store(4 * (t * N + first), addend ? b.add(sums[t][v], addend) : sums[t][v], lanes);
    }
    y.advance(4 * columns);
    if (offset && bias) offset.advance(BYTES[bias] * columns);
  };
  const whole = Math.floor(N / GROUP);
  b.repeat(b.int(whole).minus(first).min(GROUPS), () => group(GROUP));
  if (N % GROUP > 0) b.if(b.tile, "==", Math.floor(whole / GROUPS), () => group(N % GROUP));
}

/** Rows and a group of the weight that are multiplied. */
interface Part {
  /** The input and the weight. `w` walks to the end of the group, `x` to the end of the first row. */
  x: Cursor;
  w: Cursor;
  rows: number;
  /** Vectors of the group's columns. */
  vectors: readonly number[];
  /** Whether memory is asked for what comes next. */
  ahead: boolean;
}

/** The products of some rows with a group: sums of each row and vector. */
export function multiplyGroup(b: Builder, shape: PackedShape, part: Part): Acc<"f32">[][] {
  const { format, K } = shape;
  const { x, w, rows, vectors, ahead } = part;
  const sums = Array.from({ length: rows }, () => vectors.map(() => b.accF32()));
  const together = rowsTogether(b.target, rows, vectors.length);
  b.repeat(K / BLOCK, () => {
    for (const [v, vector] of vectors.entries())
      for (let row = 0; row < rows; row += together)
        blockProducts(
          b,
          shape,
          { x, w, vector, row },
          sums.slice(row, row + together).map((all) => all[v]),
        );
    if (ahead) prefetchBlock(w, format);
    w.advance(format.groupBytes);
    x.advance(QUANTISED_BYTES);
  });
  return sums;
}

/** Rows whose dot products are in registers at once: all, or about equal parts. */
function rowsTogether(target: Target, rows: number, vectors: number): number {
  return Math.ceil(rows / Math.ceil(rows / Math.max(1, sumsOf(target) - rows * vectors)));
}

/** Asks for a block's bytes, which the next group's are in the end. */
function prefetchBlock(w: Cursor, { groupBytes }: WeightFormat): void {
  for (const into of ["L2", "L1"] as const)
    for (let line = 0; line < groupBytes; line += 64) w.prefetch(AHEAD[into] + line, into);
}

/** Where a block's products are made: the cursors, a vector of the group, the first row of the input. */
interface Place {
  x: Cursor;
  w: Cursor;
  vector: number;
  row: number;
}

/** One block of a vector of the weight's rows, with some rows of the input. */
function blockProducts(
  b: Builder,
  { format, K }: PackedShape,
  { x, w, vector, row }: Place,
  sums: Acc<"f32">[],
): void {
  const rowAt = (m: number): number => (row + m) * (K / BLOCK) * QUANTISED_BYTES;
  const column = vector * b.lanes;
  const dots = sums.map((_, m) => blockSum(b, format, () => x.broadcastI32(rowAt(m) + BLOCK + 4)));
  eachWord(b, format, w, 4 * column, (word, codes) => {
    const four = wordOf(b, format, codes);
    for (const [m, dot] of dots.entries()) dot.step(four, x.broadcastBytes(rowAt(m) + 4 * word));
  });
  const scale = w.loadBf16(scalesAt(format) + 2 * column);
  for (const [m, dot] of dots.entries())
    sums[m].fma(b.toF32(dot.finish()), b.mul(scale, x.broadcast(rowAt(m) + BLOCK)));
}
