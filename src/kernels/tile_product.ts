import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import { panelRows } from "../codegen/panels.ts";
import type { Int } from "../codegen/scalar.ts";
import type { Target } from "../codegen/target.ts";
import {
  configureTiles,
  releaseTiles,
  TILE_BYTES,
  TILE_CONFIG_BYTES,
  TILE_ROW_BYTES,
  TILE_ROWS,
  Tile,
  tileConfig,
} from "../codegen/tiles.ts";
import type { VectorForm } from "../devices/kernel.ts";
import { BYTES, type DType } from "../tensor/dtype.ts";
import { loadFloat } from "./floats.ts";
import { vectorsOf } from "./formats/packed_blocks.ts";
import type { Args } from "./row_programs.ts";
import { SLICE, TILE_COLUMNS, type TileCut, tileInput } from "./tile_input_program.ts";

/*
 * Products of bfloat16 by AMX. The weight comes in panels: 16 pairs of columns of a panel's 32 rows are two tiles that lie
 * beside each other, 128 bytes from row to row. Two tiles of x and two of the weight are multiplied at a time, into four
 * of sums.
 */

/** Tiles of rows of a chunk at most: their sums and a slice of the input stay in the thread's second cache. */
const MOST_TILES = 38;

/** Up to so many tiles of rows, panels in memory are read once, for all columns: there is nothing to keep in a cache. */
const FEW_TILES = 2;

/** Panels that a tile of work multiplies at most. The more there are, the less often the input is fetched. */
const MOST_PANELS = 8;

/** Tiles of work that there should be at least, if only for several threads. */
const ENOUGH_WORK = 16;

/** How far ahead a weight is fetched where it is read once, in bytes. */
const AHEAD = 4096;

/** Lines of the cache, of 64 bytes, of the next panel that are fetched with two tiles of rows. */
const PANEL_LINES = 16;

const LINE = 64;

/** Bytes of two tiles of a panel. */
export const PAIR_BYTES = 2 * TILE_BYTES;

/** Scratch memory: some numbers, the configuration, a slice of a panel, the sums [panels][tiles of rows][2] tiles. */
const NOTES = { count: 0, first: 4, group: 8, panels: 12, done: 16, left: 20 } as const;
const CONFIG = 64;
const PANEL = CONFIG + TILE_CONFIG_BYTES;
const SUMS = PANEL + SLICE * PAIR_BYTES;

/** Where a weight's panels come from. */
export interface TilePanels {
  /** Names all that is built in. */
  readonly key: string;
  /** They lie in memory as tiles are loaded. Otherwise a slice is made in scratch memory when it is needed. */
  readonly ready: boolean;
  /** Bytes of a panel, and of those of its columns that a tile has. */
  readonly bytes: number;
  readonly tileBytes: number;
  /**
   * Makes what does not lie in memory as it is to be loaded.
   *
   * @param w the slice of the panel
   * @param to scratch memory of a slice
   * @returns how many of the last tiles of the slice lie there, and not in the panel
   */
  make(b: Builder, w: Cursor, slice: Slice, to: Cursor, left: () => Int): number;
}

/** A product with panels. */
export interface TileShape {
  readonly K: number;
  readonly N: number;
  /** undefined: no bias. */
  readonly bias: DType | undefined;
  readonly panels: TilePanels;
}

/** What a program is built for. */
interface TileWork {
  readonly b: Builder;
  readonly args: Args;
  readonly shape: TileShape;
  readonly cut: TileCut;
  /** Panels of a tile of work; the last may have fewer. */
  readonly group: number;
}

/** y = x W^T (+ bias), x rounded to bfloat16. */
export function tileForm(target: Target, shape: TileShape, rows: number): VectorForm {
  const { K, N, bias, panels } = shape;
  const columns = Math.ceil(K / TILE_COLUMNS);
  const tiles = Math.ceil(rows / TILE_ROWS);
  const once = panels.ready && tiles <= FEW_TILES;
  const chunks = Math.ceil(tiles / MOST_TILES);
  const height = Math.ceil(tiles / chunks);
  const all = Math.ceil(N / panelRows(target));
  const group = Math.max(1, Math.min(MOST_PANELS, Math.floor(all / ENOUGH_WORK)));
  const cut = { K, columns, slice: once ? columns : SLICE, rows: tiles, height };
  return {
    key: `tiles ${K} ${N} ${panels.key} ${bias} ${once}`,
    first: tileInput(cut, rows),
    tiles: Math.ceil(all / group) * Math.ceil(tiles / height),
    numbers: { rows, height },
    build: (b, args) => tileProgram({ b, args, shape, cut, group }),
  };
}

/** A tile of work is a chunk of rows and some panels. */
function tileProgram(work: TileWork): void {
  const { b, cut } = work;
  noteWork(work);
  b.scratch(CONFIG).store(0, b.lanesI32([...new Int32Array(tileConfig().buffer)]));
  configureTiles(b, b.scratch(CONFIG));
  const slice = (tiles: number, end: boolean): void => {
    multiplySlice(work, { tiles, begin: false, end });
    const notes = b.scratch();
    notes.writeInt(NOTES.done, notes.readInt(NOTES.done).plus(tiles));
  };
  const { columns, slice: most } = cut;
  if (columns <= most) multiplySlice(work, { tiles: columns, begin: true, end: true });
  else {
    multiplySlice(work, { tiles: most, begin: true, end: false });
    b.scratch().writeInt(NOTES.done, b.int(most));
    const left = columns - most;
    const last = left % most === 0 ? most : left % most;
    b.repeat((left - last) / most, () => slice(most, false));
    slice(last, true);
  }
  releaseTiles(b);
  writeOut(work);
}

/** There are not registers for all that is known of the work: it is noted. */
function noteWork({ b, args, shape, group }: TileWork): void {
  const height = args.height.read();
  const all = b.variable(
    args.rows
      .read()
      .plus(TILE_ROWS - 1)
      .dividedBy(TILE_ROWS),
  );
  const chunks = b.variable(all.plus(height).minus(1).dividedBy(height));
  const notes = b.scratch();
  const first = b.variable(b.tile.modulo(chunks).times(height));
  notes.writeInt(NOTES.first, first);
  notes.writeInt(NOTES.count, all.minus(first).min(height));
  const number = b.tile.dividedBy(chunks);
  notes.writeInt(NOTES.group, number);
  const panels = Math.ceil(shape.N / panelRows(b.target));
  notes.writeInt(NOTES.panels, b.int(panels).minus(number.times(group)).min(group));
  notes.writeInt(NOTES.done, b.int(0));
}

function note({ b }: TileWork, at: number): Int {
  return b.scratch().readInt(at);
}

/** Some columns of x, and what is known of them. */
export interface Slice {
  readonly tiles: number;
  /** There are no sums yet. */
  readonly begin: boolean;
  /** Nothing follows; the last tile may have fewer columns. */
  readonly end: boolean;
}

/** Adds the products of a slice of the columns to the sums in scratch memory. */
function multiplySlice(work: TileWork, slice: Slice): void {
  const { b, args, shape, group } = work;
  const { bytes, tileBytes, ready, make } = shape.panels;
  const { tiles, end } = slice;
  const before = note(work, NOTES.group).times(group);
  b.scratch().writeInt(NOTES.left, b.int(Math.ceil(shape.N / panelRows(b.target))).minus(before));
  const w = b.cursor(args.weight, before.times(bytes), note(work, NOTES.done).times(tileBytes));
  const sums = b.scratch(SUMS);
  const next = end ? undefined : inputAt(work, tiles);
  b.repeat(note(work, NOTES.panels), () => {
    const made = make(b, w, slice, b.scratch(PANEL), () => note(work, NOTES.left));
    const block = { w, x: inputAt(work), sums, next, ahead: ready ? w.copy(bytes) : undefined, made };
    b.repeat(note(work, NOTES.count).dividedBy(2), () => {
      multiplyBlock(work, slice, block, 2);
      block.x.advance(2 * tiles * TILE_BYTES);
      sums.advance(4 * TILE_BYTES);
      block.ahead?.advance(PANEL_LINES * LINE);
      next?.advance(inputLines(group) * LINE);
    });
    b.if(note(work, NOTES.count).modulo(2), "==", 1, () => {
      multiplyBlock(work, slice, block, 1);
      sums.advance(2 * TILE_BYTES);
    });
    w.advance(bytes);
    if (!ready) b.scratch().writeInt(NOTES.left, note(work, NOTES.left).minus(1));
  });
}

/** Where the chunk's input of this slice begins, or that of the next, which is `tiles` tiles further on. */
function inputAt(work: TileWork, tiles = 0): Cursor {
  const { b, args, cut } = work;
  const before = note(work, NOTES.first).times(cut.columns);
  const slices = note(work, NOTES.done).plus(tiles).times(note(work, NOTES.count));
  return b.cursor(args.work, before.plus(slices).times(TILE_BYTES));
}

/** Tiles that are multiplied with each other, and what is to be fetched meanwhile. */
interface Block {
  readonly w: Cursor;
  readonly x: Cursor;
  readonly sums: Cursor;
  /** The input's next slice. */
  readonly next: Cursor | undefined;
  /** The next panel, where it is not made. */
  readonly ahead: Cursor | undefined;
  /** How many of the last tiles lie in scratch memory. */
  readonly made: number;
}

/** One or two tiles of rows with a panel. */
function multiplyBlock(work: TileWork, slice: Slice, block: Block, rows: 1 | 2): void {
  const { b } = work;
  const [stride, twice] = [b.int(TILE_ROW_BYTES), b.int(2 * TILE_ROW_BYTES)];
  const acc = Array.from({ length: 2 * rows }, (_, i) =>
    slice.begin ? new Tile(b).zero() : new Tile(b).load(block.sums, i * TILE_BYTES, stride),
  );
  const multiply = (x: Cursor, xAt: number, w: Cursor, wAt: number): void => {
    const load = (row: number): Tile =>
      new Tile(b).load(x, xAt + row * slice.tiles * TILE_BYTES, stride, true);
    const [upper, left] = [load(0), new Tile(b).load(w, wAt, twice)];
    acc[0].dot("bf16", upper, left);
    const right = new Tile(b).load(w, wAt + TILE_ROW_BYTES, twice);
    acc[1].dot("bf16", upper, right);
    if (rows === 1) return;
    const lower = load(1);
    acc[2].dot("bf16", lower, left);
    acc[3].dot("bf16", lower, right);
  };
  const whole = slice.tiles - block.made;
  let x = block.x;
  if (slice.tiles > SLICE) {
    const w = block.w.copy();
    x = block.x.copy();
    const some = (count: number): void => {
      for (let k = 0; k < count; k++) {
        multiply(x, k * TILE_BYTES, w, k * PAIR_BYTES);
        for (let at = 0; at < PAIR_BYTES; at += LINE) w.prefetch(AHEAD + k * PAIR_BYTES + at, "L2");
      }
      x.advance(count * TILE_BYTES);
      w.advance(count * PAIR_BYTES);
    };
    b.repeat(Math.floor(whole / SLICE), () => some(SLICE));
    if (whole % SLICE > 0) some(whole % SLICE);
  } else
    for (let k = 0; k < whole; k++) {
      multiply(x, k * TILE_BYTES, block.w, k * PAIR_BYTES);
      if (rows === 2) fetchNext(work, slice, block, k);
    }
  const own = b.scratch(PANEL);
  for (let k = 0; k < block.made; k++) {
    multiply(x, (slice.tiles > SLICE ? k : whole + k) * TILE_BYTES, own, k * PAIR_BYTES);
    if (rows === 2 && slice.tiles <= SLICE) fetchNext(work, slice, block, whole + k);
  }
  for (const [i, sum] of acc.entries()) sum.store(block.sums, i * TILE_BYTES, stride);
}

/** While tile `k` is multiplied: some lines of the next sums, of the next slice of the input, and of the next panel. */
function fetchNext({ group }: TileWork, slice: Slice, { sums, next, ahead }: Block, k: number): void {
  const share = (lines: number, fetch: (at: number) => void): void => {
    const to = Math.floor((lines * (k + 1)) / slice.tiles);
    for (let i = Math.floor((lines * k) / slice.tiles); i < to; i++) fetch(i * LINE);
  };
  if (!slice.begin) share((4 * TILE_BYTES) / LINE, (at) => sums.prefetch(4 * TILE_BYTES + at));
  if (next) share(inputLines(group), (at) => next.prefetch(at, "L2"));
  if (ahead) share(PANEL_LINES, (at) => ahead.prefetch(at, "L2"));
}

/** Lines of the input's next slice that are fetched with two tiles of rows, so that all are after `group` panels. */
function inputLines(group: number): number {
  return Math.ceil((2 * SLICE * TILE_BYTES) / LINE / group);
}

/** Writes the sums, and the bias with them, to y. */
function writeOut(work: TileWork): void {
  const { b, args, shape, group } = work;
  const { N, bias } = shape;
  const P = panelRows(b.target);
  const first = note(work, NOTES.group).times(group);
  const offset = bias && b.cursor(args.bias, first.times(P * BYTES[bias]));
  const y = b.cursor(args.y, note(work, NOTES.first).times(TILE_ROWS * 4 * N), first.times(4 * P));
  const sums = b.scratch(SUMS);
  const write = (columns: number): void => {
    const vectors = vectorsOf(b, columns);
    const addends = vectors.map(
      ({ first, lanes }) => offset && bias && loadFloat(offset, bias, BYTES[bias] * first, lanes),
    );
    const to = y.copy();
    const left = b.variable(args.rows.read().minus(note(work, NOTES.first).times(TILE_ROWS)));
    b.repeat(note(work, NOTES.count), () => {
      const row = sums.copy();
      b.repeat(left.min(TILE_ROWS), () => {
        for (const [v, { first, lanes }] of vectors.entries()) {
          const [sum, addend] = [row.load(v * TILE_BYTES), addends[v]];
          to.store(4 * first, addend ? b.add(sum, addend) : sum, lanes);
        }
        row.advance(TILE_ROW_BYTES);
        to.advance(4 * N);
      });
      left.add(-TILE_ROWS);
      sums.advance(2 * TILE_BYTES);
    });
    y.advance(4 * P);
    if (offset && bias) offset.advance(P * BYTES[bias]);
  };
  const whole = Math.floor(N / P);
  b.repeat(b.int(whole).minus(first).min(group), () => write(P));
  if (N % P > 0) b.if(note(work, NOTES.group), "==", Math.floor(whole / group), () => write(N % P));
}
