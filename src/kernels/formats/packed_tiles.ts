import type { Cursor } from "../../codegen/cursor.ts";
import {
  configureTiles,
  TILE_ROW_BYTES as ROW,
  releaseTiles,
  TILE_CONFIG_BYTES,
  TILE_ROWS,
  Tile,
  tileConfig,
  TILE_BYTES as WHOLE,
} from "../../codegen/tiles.ts";
import type { Acc } from "../../codegen/vector.ts";
import { BLOCK } from "./format.ts";
import { WORDS } from "./packed_blocks.ts";
import { freeAt, type Layout, panelAt, type Work } from "./packed_work.ts";
import { QUANTISED_BYTES } from "./quantise_rows.ts";

/*
 * Products of packed weights by AMX. A tile multiplies 64 bytes of 16 rows: two blocks of the input, of which each has
 * scales of its own and must be summed alone. So the input's tile holds both, and the weight's tile has zeros for the
 * other one: its 8 rows of words lie between 8 rows of zeros before and behind. Sums of a block are the same integers as
 * anywhere else, and are scaled and added up in the same order: results are equal to the last bit.
 */

/** Bytes of 8 rows of a tile. */
const HALF = 8 * ROW;

/** A vector's words between zeros, then its scales. */
const VECTOR = 3 * HALF + ROW;
const VECTORS = 4;

export const TILE_LAYOUT: Layout = {
  block: VECTORS * VECTOR,
  codes: (vector, word) => vector * VECTOR + HALF + ROW * word,
  scales: (vector) => vector * VECTOR + 3 * HALF,
};

/** Scratch memory of its own: the configuration, two tiles of sums, the input's tiles of a chunk. */
function placesOf(work: Work): { config: number; sums: number; input: number } {
  const config = Math.ceil(freeAt(work) / ROW) * ROW;
  return { config, sums: config + TILE_CONFIG_BYTES, input: config + TILE_CONFIG_BYTES + 2 * WHOLE };
}

/** Makes tiles usable, and writes the zeros around the words. */
export function beginTiles(work: Work): void {
  const { b, cut } = work;
  const { config } = placesOf(work);
  const words = new Int32Array(tileConfig().buffer);
  b.scratch(config).store(0, b.lanesI32([...words]));
  configureTiles(b, b.scratch(config));
  const zero = b.acc(b.i32(0));
  const at = b.scratch(panelAt(work, 0));
  b.repeat(cut.chunk * VECTORS, () => {
    for (let row = 0; row < WORDS; row++) for (const half of [0, 2]) at.store(half * HALF + row * ROW, zero);
    at.advance(VECTOR);
  });
}

export function endTiles({ b }: Work): void {
  releaseTiles(b);
}

/** 16 rows of the input, and where their sums are. */
interface TileRows {
  row: Cursor;
  sums: Cursor;
  /** Where the unpacked weight begins. */
  weight(): Cursor;
  /** Bytes from one row to the next. */
  rowBytes: number;
  /** Vectors of columns. */
  vectors: number;
  blocks: number;
}

/** Adds the products of an unpacked chunk with 16 rows. */
export function multiplyTiles(work: Work, rows: TileRows): void {
  const { b, cut } = work;
  packInput(work, rows);
  const w = rows.weight();
  const sums = rows.sums.copy();
  const at = (m: number): number => m * cut.NV * ROW;
  b.repeat(rows.vectors, () => {
    const acc = Array.from({ length: TILE_ROWS }, (_, m) => b.acc(sums.load(at(m))));
    for (let i = 0; i < rows.blocks; i += 2) multiplyPair(work, rows, w, i, acc);
    for (const [m, sum] of acc.entries()) sums.store(at(m), sum);
    sums.advance(ROW);
    w.advance(VECTOR);
  });
}

/** Writes the codes of a chunk as tiles of two blocks. */
function packInput(work: Work, { row, rowBytes, blocks }: TileRows): void {
  const { b } = work;
  const to = b.scratch(placesOf(work).input);
  for (let i = 0; i < blocks; i++)
    for (let m = 0; m < TILE_ROWS; m++) {
      const codes = row.loadI32(m * rowBytes + i * QUANTISED_BYTES, WORDS);
      to.store(Math.floor(i / 2) * WHOLE + m * ROW + (i % 2) * BLOCK, codes, WORDS);
    }
}

/** Blocks `first` and, if there is one, the next. */
function multiplyPair(work: Work, rows: TileRows, w: Cursor, first: number, acc: Acc<"f32">[]): void {
  const { b, cut } = work;
  const { row, rowBytes, blocks } = rows;
  const places = placesOf(work);
  const own = b.scratch(places.sums);
  const stride = b.int(ROW);
  const x = new Tile(b).load(own, places.input - places.sums + (first / 2) * WHOLE, stride);
  const pair = first + 1 < blocks ? [0, 1] : [0];
  for (const i of pair) {
    const zerosFirst = i === 1;
    const at = (first + i) * cut.layout.block + (zerosFirst ? 0 : HALF);
    const products = new Tile(b).zero().dot("su", x, new Tile(b).load(w, at, stride));
    products.store(own, i * WHOLE, stride);
  }
  for (const i of pair) {
    const scale = w.load((first + i) * cut.layout.block + 3 * HALF);
    for (const [m, sum] of acc.entries()) {
      const block = m * rowBytes + (first + i) * QUANTISED_BYTES;
      const dot = b.add(own.loadI32(i * WHOLE + m * ROW), row.broadcastI32(block + BLOCK + 4));
      sum.fma(b.toF32(dot), b.mul(scale, row.broadcast(block + BLOCK)));
    }
  }
}
