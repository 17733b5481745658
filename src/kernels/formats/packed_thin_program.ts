import type { Cursor } from "../../codegen/cursor.ts";
import type { Builder } from "../../codegen/ir.ts";
import type { Target } from "../../codegen/target.ts";
import type { Acc } from "../../codegen/vector.ts";
import { BYTES } from "../../tensor/dtype.ts";
import { loadFloat } from "../floats.ts";
import { BLOCK, GROUP } from "./format.ts";
import {
  type Args,
  blockSum,
  type PackedShape,
  scalesAt,
  storedWords,
  vectorsOf,
  wordsOf,
} from "./packed_blocks.ts";
import { QUANTISED_BYTES } from "./quantise_rows.ts";

/** Groups of 16 rows of the weight in a tile of work. */
const GROUPS = 4;

/** How many blocks further on memory is asked for. */
const AHEAD = 4;

/** Input rows that are multiplied straight from the packed weight. */
export function thinRows({ registers, lanes }: Target): number {
  if (registers === 32) return 8;
  return lanes === 8 ? 2 : 1;
}

/** How a product of few rows is cut up. */
interface Cut {
  /** Groups of the weight's rows that are multiplied together. */
  together: number;
  /** Rows and vectors of columns whose dot products are in registers at once. */
  MR: number;
  NV: number;
}

function cutOf({ registers }: Target, T: number): Cut {
  if (registers === 32 && T > 1) return { together: 2, MR: 4, NV: 2 };
  return { together: 1, MR: T, NV: 1 };
}

export function thinTiles({ N }: PackedShape): number {
  return Math.ceil(N / (GROUP * GROUPS));
}

/**
 * Few input rows: the weight is read once, which is what it takes the time for. A tile is a few groups of the weight's
 * rows.
 */
export function thinProgram(b: Builder, args: Args, shape: PackedShape): void {
  const { format, T, K, N, bias } = shape;
  const cut = cutOf(b.target, T);
  const blocks = K / BLOCK;
  const first = b.tile.times(GROUPS);
  const w = b.cursor(args.weight, first.times(blocks * format.groupBytes));
  const y = b.cursor(args.y, first.times(4 * GROUP));
  const offset = bias && b.cursor(args.bias, first.times(BYTES[bias] * GROUP));
  const some = (columns: number): void => {
    const sums = multiply(b, shape, cut, b.cursor(args.x), w, columns);
    for (const [v, { first, lanes }] of vectorsOf(b, columns).entries()) {
      const addend = offset && bias && loadFloat(offset, bias, BYTES[bias] * first, lanes);
      for (let t = 0; t < T; t++)
        y.store(4 * (t * N + first), addend ? b.add(sums[t][v], addend) : sums[t][v], lanes);
    }
    y.advance(4 * columns);
    if (offset && bias) offset.advance(BYTES[bias] * columns);
    w.advance((Math.ceil(columns / GROUP) - 1) * blocks * format.groupBytes);
  };
  const columns = GROUP * cut.together;
  const whole = Math.floor(N / columns);
  const each = GROUPS / cut.together;
  b.repeat(b.int(whole).minus(b.tile.times(each)).min(each), () => some(columns));
  if (N % columns > 0) b.if(b.tile, "==", Math.floor(whole / each), () => some(N % columns));
}

/** The products of all rows with the next columns. `w` ends behind the first group of them. */
function multiply(
  b: Builder,
  shape: PackedShape,
  cut: Cut,
  x: Cursor,
  w: Cursor,
  columns: number,
): Acc<"f32">[][] {
  const { format, T, K } = shape;
  const vectors = vectorsOf(b, columns);
  const sums = Array.from({ length: T }, () => vectors.map(() => b.accF32()));
  b.repeat(K / BLOCK, () => {
    for (let v = 0; v < vectors.length; v += cut.NV)
      for (let t = 0; t < T; t += cut.MR)
        blockProducts(
          b,
          shape,
          x,
          w,
          v,
          t,
          sums.slice(t, t + cut.MR).map((row) => row.slice(v, v + cut.NV)),
        );
    // One row is read as fast as memory gives it; with more, the products keep the processor from reading ahead.
    if (T > 1) prefetchBlock(w, shape, AHEAD, Math.ceil(columns / GROUP));
    w.advance(format.groupBytes);
    x.advance(QUANTISED_BYTES);
  });
  return sums;
}

/** Asks for the block that lies `ahead` blocks further on, in each of some groups. */
function prefetchBlock(w: Cursor, { format, K }: PackedShape, ahead: number, groups: number): void {
  for (let g = 0; g < groups; g++)
    for (let line = 0; line < format.groupBytes; line += 64)
      w.prefetch((g * (K / BLOCK) + ahead) * format.groupBytes + line);
}

/** One block of some vectors of the weight's rows, with some rows of the input. */
function blockProducts(
  b: Builder,
  { format, K }: PackedShape,
  x: Cursor,
  w: Cursor,
  firstVector: number,
  firstRow: number,
  sums: Acc<"f32">[][],
): void {
  const blocks = K / BLOCK;
  const rowAt = (m: number): number => (firstRow + m) * blocks * QUANTISED_BYTES;
  const row = (v: number): number => ((firstVector + v) * b.lanes) % GROUP;
  const groupAt = (v: number): number =>
    Math.floor(((firstVector + v) * b.lanes) / GROUP) * blocks * format.groupBytes;
  const dots = sums.map((vectors, m) =>
    vectors.map(() => blockSum(b, format, () => x.broadcastI32(rowAt(m) + BLOCK + 4))),
  );
  for (let j = 0; j < storedWords(format); j++) {
    const loaded = sums[0].map((_, v) =>
      wordsOf(b, format, j, w.loadBytes(groupAt(v) + 4 * row(v) + 64 * j)),
    );
    for (const [i, { word }] of loaded[0].entries())
      for (const [m, all] of dots.entries()) {
        const four = x.broadcastBytes(rowAt(m) + 4 * word);
        for (const [v, dot] of all.entries()) dot.step(loaded[v][i].codes, four);
      }
  }
  const scales = sums[0].map((_, v) => w.loadBf16(groupAt(v) + scalesAt(format) + 2 * row(v)));
  for (const [m, all] of dots.entries()) {
    const factor = x.broadcast(rowAt(m) + BLOCK);
    for (const [v, dot] of all.entries()) sums[m][v].fma(b.toF32(dot.finish()), b.mul(scales[v], factor));
  }
}
