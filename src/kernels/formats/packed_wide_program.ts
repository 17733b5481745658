import type { Cursor } from "../../codegen/cursor.ts";
import type { Builder } from "../../codegen/ir.ts";
import type { Int } from "../../codegen/scalar.ts";
import type { Target } from "../../codegen/target.ts";
import { TILE_ROWS } from "../../codegen/tiles.ts";
import type { Acc, Vec } from "../../codegen/vector.ts";
import { BYTES } from "../../tensor/dtype.ts";
import { loadFloat } from "../floats.ts";
import { BLOCK, GROUP } from "./format.ts";
import {
  type Args,
  blockSum,
  eachWord,
  type PackedShape,
  scalesAt,
  vectorsOf,
  WORDS,
  wordOf,
} from "./packed_blocks.ts";
import { beginTiles, endTiles, multiplyTiles, TILE_LAYOUT } from "./packed_tiles.ts";
import { type Cut, type Layout, MOST_ROWS, NOTES, panelAt, sumsAt, type Work } from "./packed_work.ts";
import { QUANTISED_BYTES } from "./quantise_rows.ts";

function cutOf({ bytes, amx }: Target): Cut {
  if (amx) return { MR: 3, NV: 4, columns: 64, chunk: 8, layout: TILE_LAYOUT };
  return { MR: 3, NV: 3, columns: 48, chunk: 16, layout: wordByWord(3, bytes) };
}

/** The first words of NV vectors of columns, the second ones, and so on, then their scales. */
function wordByWord(NV: number, bytes: number): Layout {
  const codes = (vector: number, word: number): number => bytes * (word * NV + vector);
  return { block: bytes * NV * (WORDS + 1), codes, scales: (vector) => codes(vector, WORDS) };
}

/** How the rows are shared out among tiles of work, about evenly. */
export function wideTiles(target: Target, { T, N }: PackedShape): { tiles: number; height: number } {
  const { MR, columns } = cutOf(target);
  const together = target.amx ? TILE_ROWS : MR;
  const parts = Math.ceil(T / MOST_ROWS);
  const height = Math.ceil(T / parts / together) * together;
  return { tiles: Math.ceil(T / height) * Math.ceil(N / columns), height };
}

/**
 * Many input rows, by matrix tiles or in WebAssembly: a tile is some columns of y for up to `height` rows. A chunk of the
 * weight's columns is unpacked into the thread's own memory, then multiplied with all rows, whose sums wait there too.
 */
export function wideProgram(b: Builder, args: Args, shape: PackedShape): void {
  const { N, K, format } = shape;
  const cut = cutOf(b.target);
  const firstRow = findRows(b, args);
  const blocks = K / BLOCK;
  const compute = (columns: number): void => {
    const x = b.cursor(args.x, firstRow.times(blocks * QUANTISED_BYTES));
    const panel = b.scratch().readInt(NOTES.panel);
    const w = b.cursor(args.weight, panel.times((cut.columns / GROUP) * blocks * format.groupBytes));
    const work = { b, shape, cut, columns, x, w };
    if (b.target.amx) beginTiles(work);
    clearSums(work);
    b.repeat(Math.floor(blocks / cut.chunk), () => chunk(work, cut.chunk));
    if (blocks % cut.chunk > 0) chunk(work, blocks % cut.chunk);
    if (b.target.amx) endTiles(work);
    writeOut(work, args, firstRow);
  };
  const whole = Math.floor(N / cut.columns);
  if (N % cut.columns === 0) compute(cut.columns);
  else if (whole === 0) compute(N);
  else
    b.if(
      b.scratch().readInt(NOTES.panel),
      "<",
      whole,
      () => compute(cut.columns),
      () => compute(N % cut.columns),
    );
}

/** Notes the tile's columns and how many rows it has; gives the first row. */
function findRows(b: Builder, args: Args): Int {
  const height = args.height.read();
  const tiles = args.rows.read().plus(height).minus(1).dividedBy(height);
  const firstRow = b.variable(b.tile.modulo(tiles).times(height));
  const notes = b.scratch();
  notes.writeInt(NOTES.panel, b.tile.dividedBy(tiles));
  notes.writeInt(NOTES.rows, args.rows.read().minus(firstRow).min(height));
  return firstRow;
}

/** Rows of the tile. */
function rowsOf({ b }: Work): Int {
  return b.scratch().readInt(NOTES.rows);
}

/** Multiplies the next `blocks` blocks. */
function chunk(work: Work, blocks: number): void {
  unpackChunk(work, blocks);
  multiplyChunk(work, blocks);
  work.x.advance(blocks * QUANTISED_BYTES);
  work.w.advance(blocks * work.shape.format.groupBytes);
}

/** Does something for each panel of NV vectors that a tile's columns take, given how many of them are its. */
function eachPanel({ b, cut, columns }: Work, body: (columns: number) => void): void {
  const NR = cut.NV * b.lanes;
  if (columns >= 2 * NR) b.repeat(Math.floor(columns / NR), () => body(NR));
  else if (columns >= NR) body(NR);
  if (columns % NR > 0) body(columns % NR);
}

/** Sets the sums of all rows to zero. */
function clearSums(work: Work): void {
  const { b, cut } = work;
  const sums = b.scratch(sumsAt(work));
  const zero = b.f32(0);
  eachPanel(work, () =>
    b.repeat(rowsOf(work), () => {
      for (let v = 0; v < cut.NV; v++) sums.store(b.target.bytes * v, zero);
      sums.advance(b.target.bytes * cut.NV);
    }),
  );
}

/** Unpacks `blocks` blocks into scratch memory: for each panel of columns block after block. */
function unpackChunk(work: Work, blocks: number): void {
  const { b, shape, cut, columns } = work;
  const { format, K } = shape;
  const [w, out] = [work.w.copy(), b.scratch()];
  b.repeat(blocks, () => {
    for (let column = 0; column < Math.ceil(columns / GROUP) * GROUP; column += b.lanes) {
      const at = Math.floor(column / GROUP) * (K / BLOCK) * format.groupBytes;
      const row = column % GROUP;
      const vector = column / b.lanes;
      const to = panelAt(work, Math.floor(vector / cut.NV));
      const { codes, scales } = cut.layout;
      eachWord(b, format, w, at + 4 * row, (word, four) =>
        out.store(to + codes(vector % cut.NV, word), four),
      );
      out.store(to + scales(vector % cut.NV), w.loadBf16(at + scalesAt(format) + 2 * row));
    }
    w.advance(format.groupBytes);
    out.advance(cut.layout.block);
  });
}

/** Adds the products of the unpacked blocks to the sums. */
function multiplyChunk(work: Work, blocks: number): void {
  const { b, cut, columns } = work;
  const sums = b.scratch(sumsAt(work));
  const first = (): Cursor => b.scratch(panelAt(work, 0));
  // Where there is one panel only, no register need hold where it begins.
  const panel = columns > cut.NV * b.lanes ? first() : undefined;
  eachPanel(work, (part) => {
    const weight = (): Cursor => panel?.copy() ?? first();
    multiplyPanel(work, { weight, sums, blocks, vectors: Math.ceil(part / b.lanes) });
    panel?.advance(cut.chunk * cut.layout.block);
  });
}

/** An unpacked panel of a chunk, and where its sums are: `sums` walks on. */
interface Panel {
  /** Where it begins. */
  weight(): Cursor;
  sums: Cursor;
  blocks: number;
  /** Vectors of columns. */
  vectors: number;
}

/** Multiplies a panel with all rows. */
function multiplyPanel(work: Work, { weight, sums, blocks, vectors }: Panel): void {
  const { b, shape, cut } = work;
  const { MR } = cut;
  const NR = cut.NV * b.lanes;
  const rowBytes = (shape.K / BLOCK) * QUANTISED_BYTES;
  const row = work.x.copy();
  const some = (count: number): void => {
    const w = weight();
    const at = (m: number, v: number): number => 4 * (m * NR + v * b.lanes);
    const acc = Array.from({ length: count }, (_, m) =>
      Array.from({ length: vectors }, (_, v) => b.acc(sums.load(at(m, v)))),
    );
    b.repeat(blocks, () => {
      blockProducts(work, w, row, rowBytes, acc);
      w.advance(cut.layout.block);
      row.advance(QUANTISED_BYTES);
    });
    for (const [m, all] of acc.entries()) for (const [v, sum] of all.entries()) sums.store(at(m, v), sum);
    row.advance(count * rowBytes - blocks * QUANTISED_BYTES);
    sums.advance(4 * count * NR);
  };
  if (b.target.amx)
    b.repeat(rowsOf(work).dividedBy(TILE_ROWS), () => {
      multiplyTiles(work, { weight, row, sums, rowBytes, vectors, blocks });
      row.advance(TILE_ROWS * rowBytes);
      sums.advance(4 * TILE_ROWS * NR);
    });
  const left = b.target.amx ? rowsOf(work).modulo(TILE_ROWS) : rowsOf(work);
  b.repeat(left.dividedBy(MR), () => some(MR));
  const rest = left.modulo(MR);
  for (let count = 1; count < MR; count++) b.if(rest, "==", count, () => some(count));
}

/** One unpacked block with some rows of the input. */
function blockProducts(
  { b, shape, cut }: Work,
  w: Cursor,
  x: Cursor,
  rowBytes: number,
  sums: Acc<"f32">[][],
): void {
  const { layout } = cut;
  const dots = sums.map((vectors, m) =>
    vectors.map(() => blockSum(b, shape.format, () => x.broadcastI32(m * rowBytes + BLOCK + 4))),
  );
  for (let word = 0; word < WORDS; word++) {
    const codes = sums[0].map((_, v) => wordOf(b, shape.format, w.loadBytes(layout.codes(v, word))));
    for (const [m, row] of dots.entries()) {
      const four = x.broadcastBytes(m * rowBytes + 4 * word);
      for (const [v, dot] of row.entries()) dot.step(codes[v], four);
    }
  }
  for (const [m, row] of dots.entries()) {
    const factor = x.broadcast(m * rowBytes + BLOCK);
    for (const [v, dot] of row.entries())
      sums[m][v].fma(b.toF32(dot.finish()), b.mul(w.load(layout.scales(v)), factor));
  }
}

/** Writes the sums, and the bias with them, to y. */
function writeOut(work: Work, args: Args, firstRow: Int): void {
  const { b, shape, cut } = work;
  const { bias, N } = shape;
  const NR = cut.NV * b.lanes;
  const panel = b.scratch().readInt(NOTES.panel);
  const offset = bias && b.cursor(args.bias, panel.times(BYTES[bias] * cut.columns));
  const to = b.cursor(args.y, firstRow.times(4 * N), panel.times(4 * cut.columns));
  const sums = b.scratch(sumsAt(work));
  const write = (columns: number): void => {
    const vectors = vectorsOf(b, columns);
    const addends: (Vec<"f32"> | undefined)[] = vectors.map(
      ({ first, lanes }) => offset && bias && loadFloat(offset, bias, BYTES[bias] * first, lanes),
    );
    const y = to.copy();
    b.repeat(rowsOf(work), () => {
      for (const [v, { first, lanes }] of vectors.entries()) {
        const sum = sums.load(4 * first);
        const addend = addends[v];
        y.store(4 * first, addend ? b.add(sum, addend) : sum, lanes);
      }
      sums.advance(4 * NR);
      y.advance(4 * N);
    });
    to.advance(4 * NR);
    if (offset && bias) offset.advance(BYTES[bias] * NR);
  };
  eachPanel(work, write);
}
