import type { Cursor } from "../../codegen/cursor.ts";
import type { Builder } from "../../codegen/ir.ts";
import type { Int } from "../../codegen/scalar.ts";
import type { Target } from "../../codegen/target.ts";
import type { Acc, Vec } from "../../codegen/vector.ts";
import { BYTES } from "../../tensor/dtype.ts";
import { loadFloat } from "../linear_program.ts";
import { BLOCK, GROUP, type WeightFormat } from "./format.ts";
import {
  type Args,
  blockSum,
  eachWord,
  type PackedShape,
  scalesAt,
  vectorsOf,
  WORDS,
} from "./packed_blocks.ts";
import { QUANTISED_BYTES } from "./quantise_rows.ts";

/** How a product of many rows is cut up. */
interface Cut {
  /** Rows and vectors of columns whose sums are in registers together. */
  MR: number;
  NV: number;
  /** Columns of y that a tile of work computes. */
  columns: number;
  /** Blocks of the weight that are unpacked at once: with the input's they stay in the nearest cache. */
  chunk: number;
}

function cutOf({ registers, lanes, byteDot }: Target, { codeBits }: WeightFormat): Cut {
  if (registers === 32) return { MR: 3, NV: 4, columns: 64, chunk: 8 };
  // Where products of whole bytes take several instructions they need registers of their own.
  const few = lanes === 4 || (byteDot !== "vnni" && codeBits === 8);
  return { MR: few ? 2 : 3, NV: 2, columns: 32, chunk: 16 };
}

/** Input rows that a tile goes through at most: their sums stay in the thread's second cache. */
const MOST_ROWS = 192;

/** How the rows are shared out among tiles, about evenly. */
export function wideTiles(target: Target, { format, T, N }: PackedShape): { tiles: number; height: number } {
  const { MR, columns } = cutOf(target, format);
  const parts = Math.ceil(T / MOST_ROWS);
  const height = Math.ceil(T / parts / MR) * MR;
  return { tiles: Math.ceil(T / height) * Math.ceil(N / columns), height };
}

/**
 * Many input rows: a tile is some columns of y for up to `height` rows. A chunk of the weight's columns is unpacked into
 * the thread's own memory, then multiplied with all rows, whose sums wait there too.
 */
export function wideProgram(b: Builder, args: Args, shape: PackedShape): void {
  const { N, K, format } = shape;
  const cut = cutOf(b.target, format);
  const height = args.height.read();
  const rowTiles = args.rows.read().plus(height).minus(1).dividedBy(height);
  const firstRow = b.variable(b.tile.modulo(rowTiles).times(height));
  const panel = b.variable(b.tile.dividedBy(rowTiles));
  const rows = b.variable(args.rows.read().minus(firstRow).min(args.height.read()));
  const blocks = K / BLOCK;
  const compute = (columns: number): void => {
    const x = b.cursor(args.x, firstRow.times(blocks * QUANTISED_BYTES));
    const w = b.cursor(args.weight, panel.times((cut.columns / GROUP) * blocks * format.groupBytes));
    const work = { b, shape, cut, columns, rows, x, w };
    const first = Math.min(cut.chunk, blocks);
    chunk(work, first, true);
    b.repeat(Math.floor((blocks - first) / cut.chunk), () => chunk(work, cut.chunk, false));
    const rest = (blocks - first) % cut.chunk;
    if (rest > 0) chunk(work, rest, false);
    const y = b.cursor(args.y, firstRow.times(4 * N), panel.times(4 * cut.columns));
    writeOut(work, args, panel, y);
  };
  const whole = Math.floor(N / cut.columns);
  if (N % cut.columns === 0) compute(cut.columns);
  else if (whole === 0) compute(N);
  else
    b.if(
      panel,
      "<",
      whole,
      () => compute(cut.columns),
      () => compute(N % cut.columns),
    );
}

/** A tile of work, and how far it is. */
interface Work {
  b: Builder;
  shape: PackedShape;
  cut: Cut;
  /** Columns of y. */
  columns: number;
  rows: Int;
  /** The input and the weight, at the next chunk. */
  x: Cursor;
  w: Cursor;
}

/** Multiplies the next `blocks` blocks. */
function chunk(work: Work, blocks: number, begin: boolean): void {
  unpackChunk(work, blocks);
  multiplyChunk(work, blocks, begin);
  work.x.advance(blocks * QUANTISED_BYTES);
  work.w.advance(blocks * work.shape.format.groupBytes);
}

/** Bytes of an unpacked block of a vector of columns, or several: the codes as bytes, then the scales as f32. */
function unpackedBytes({ b, cut }: Work): number {
  return (WORDS + 1) * 4 * cut.NV * b.lanes;
}

/** Panels of NV vectors that a tile's columns take. */
function panelsOf({ b, cut, columns }: Work): number {
  return Math.ceil(columns / (cut.NV * b.lanes));
}

/** Where in scratch memory the sums begin. */
function sumsAt(work: Work): number {
  return (work.cut.columns / (work.cut.NV * work.b.lanes)) * work.cut.chunk * unpackedBytes(work);
}

/** Unpacks `blocks` blocks into scratch memory: for each panel of columns block after block. */
function unpackChunk(work: Work, blocks: number): void {
  const { b, shape, cut, columns } = work;
  const { format, K } = shape;
  const NR = cut.NV * b.lanes;
  const [w, out] = [work.w.copy(), b.scratch()];
  b.repeat(blocks, () => {
    for (let column = 0; column < Math.ceil(columns / GROUP) * GROUP; column += b.lanes) {
      const at = Math.floor(column / GROUP) * (K / BLOCK) * format.groupBytes;
      const row = column % GROUP;
      const to = Math.floor(column / NR) * blocks * unpackedBytes(work) + 4 * (column % NR);
      eachWord(b, format, w, at + 4 * row, (word, codes) => out.store(to + 4 * word * NR, codes));
      out.store(to + 4 * WORDS * NR, w.loadBf16(at + scalesAt(format) + 2 * row));
    }
    w.advance(format.groupBytes);
    out.advance(unpackedBytes(work));
  });
}

/** Adds the products of the unpacked blocks to the sums: panel by panel, each [rows][NV] vectors. */
function multiplyChunk(work: Work, blocks: number, begin: boolean): void {
  const { b, shape, cut, columns, rows } = work;
  const { MR } = cut;
  const NR = cut.NV * b.lanes;
  const rowBytes = (shape.K / BLOCK) * QUANTISED_BYTES;
  const sums = b.scratch(sumsAt(work));
  for (let p = 0; p < panelsOf(work); p++) {
    const vectors = vectorsOf(b, Math.min(NR, columns - p * NR));
    const row = work.x.copy();
    const some = (count: number): void => {
      const w = b.scratch(p * blocks * unpackedBytes(work));
      const at = (m: number, v: number): number => 4 * (m * NR + v * b.lanes);
      const acc = Array.from({ length: count }, (_, m) =>
        vectors.map((_, v) => (begin ? b.accF32() : b.acc(sums.load(at(m, v))))),
      );
      b.repeat(blocks, () => {
        blockProducts(work, w, row, rowBytes, acc);
        w.advance(unpackedBytes(work));
        row.advance(QUANTISED_BYTES);
      });
      for (const [m, all] of acc.entries()) for (const [v, sum] of all.entries()) sums.store(at(m, v), sum);
      row.advance(count * rowBytes - blocks * QUANTISED_BYTES);
      sums.advance(4 * count * NR);
    };
    b.repeat(rows.dividedBy(MR), () => some(MR));
    const rest = rows.modulo(MR);
    for (let count = 1; count < MR; count++) b.if(rest, "==", count, () => some(count));
  }
}

/** One unpacked block with some rows of the input. */
function blockProducts(
  { b, shape, cut }: Work,
  w: Cursor,
  x: Cursor,
  rowBytes: number,
  sums: Acc<"f32">[][],
): void {
  const NR = cut.NV * b.lanes;
  const dots = sums.map((vectors, m) =>
    vectors.map(() => blockSum(b, shape.format, () => x.broadcastI32(m * rowBytes + BLOCK + 4))),
  );
  for (let word = 0; word < WORDS; word++) {
    const codes = sums[0].map((_, v) => w.loadBytes(4 * (word * NR + v * b.lanes)));
    for (const [m, row] of dots.entries()) {
      const four = x.broadcastBytes(m * rowBytes + 4 * word);
      for (const [v, dot] of row.entries()) dot.step(codes[v], four);
    }
  }
  for (const [m, row] of dots.entries()) {
    const factor = x.broadcast(m * rowBytes + BLOCK);
    for (const [v, dot] of row.entries())
      sums[m][v].fma(b.toF32(dot.finish()), b.mul(w.load(4 * (WORDS * NR + v * b.lanes)), factor));
  }
}

/** Writes the sums, and the bias with them, to y. */
function writeOut(work: Work, args: Args, panel: Int, to: Cursor): void {
  const { b, shape, cut, columns, rows } = work;
  const { bias, N } = shape;
  const NR = cut.NV * b.lanes;
  const offset = bias && b.cursor(args.bias, panel.times(BYTES[bias] * cut.columns));
  const sums = b.scratch(sumsAt(work));
  for (let p = 0; p < panelsOf(work); p++) {
    const vectors = vectorsOf(b, Math.min(NR, columns - p * NR));
    const addends: (Vec<"f32"> | undefined)[] = vectors.map(
      ({ first, lanes }) => offset && bias && loadFloat(offset, bias, BYTES[bias] * (p * NR + first), lanes),
    );
    const y = to.copy(4 * p * NR);
    b.repeat(rows, () => {
      for (const [v, { first, lanes }] of vectors.entries()) {
        const sum = sums.load(4 * first);
        const addend = addends[v];
        y.store(4 * first, addend ? b.add(sum, addend) : sum, lanes);
      }
      sums.advance(4 * NR);
      y.advance(4 * N);
    });
  }
}
