import type { Cursor } from "../codegen/cursor.ts";
import { packBf16 } from "../codegen/dots.ts";
import type { Builder } from "../codegen/ir.ts";
import type { Int } from "../codegen/scalar.ts";
import { TILE_BYTES, TILE_ROW_BYTES, TILE_ROWS } from "../codegen/tiles.ts";
import type { Vec } from "../codegen/vector.ts";
import type { FirstProgram } from "../devices/kernel.ts";
import type { Args } from "./row_programs.ts";

/*
 * The input of products by matrix tiles, rounded to bfloat16: tiles of 16 rows and 32 columns. Rows and columns that are
 * missing are zero. Rows are cut into chunks, columns into slices; a slice of a chunk lies together, one row of tiles
 * behind the other:
 *
 *   [chunks][slices][rows / 16 of the chunk][columns / 32 of the slice][16][32] bfloat16
 */

/** Columns of x in a tile. */
export const TILE_COLUMNS = 32;

/** Tiles of a slice: with the weights' they stay in the nearest cache. */
export const SLICE = 8;

/** How the input of a product is cut up, counted in tiles. */
export interface TileCut {
  /** Columns of x. */
  readonly K: number;
  /** Tiles that hold all columns. */
  readonly columns: number;
  /** Tiles of a slice: `SLICE`, or all. */
  readonly slice: number;
  /** Tiles that hold all rows. */
  readonly rows: number;
  /** Tiles of the rows of a chunk; the last may have fewer. */
  readonly height: number;
}

/** Lays the input out in `work`. A tile of work is 16 rows of `SLICE` tiles. */
export function tileInput(cut: TileCut, rows: number): FirstProgram {
  const { K, columns, slice, height } = cut;
  return {
    key: `tiles ${K} ${slice === columns}`,
    bytes: cut.rows * columns * TILE_BYTES,
    reads: "x",
    tiles: cut.rows * piecesOf(cut),
    numbers: { rows, height },
    build: (b, args) => packTiles(b, args, cut),
  };
}

function piecesOf({ columns }: TileCut): number {
  return Math.ceil(columns / SLICE);
}

function packTiles(b: Builder, args: Args, cut: TileCut): void {
  const { K } = cut;
  const pieces = piecesOf(cut);
  const row = b.variable(b.tile.dividedBy(pieces));
  const piece = b.variable(b.tile.modulo(pieces));
  const left = args.rows.read().minus(row.times(TILE_ROWS)).min(TILE_ROWS);
  const from = b.cursor(args.x, row.times(TILE_ROWS * 4 * K), piece.times(SLICE * TILE_COLUMNS * 4));
  const pack = (columns: number): void => {
    const to = placeOf(b, args, cut, { row, piece, tiles: Math.ceil(columns / TILE_COLUMNS) });
    b.repeat(left, () => {
      packRow(b, from, to, columns);
      from.advance(4 * K);
      to.advance(TILE_ROW_BYTES);
    });
    b.repeat(b.int(TILE_ROWS).minus(left), () => {
      for (let at = 0; at < columns; at += TILE_COLUMNS) to.store((at / TILE_COLUMNS) * TILE_BYTES, b.f32(0));
      to.advance(TILE_ROW_BYTES);
    });
  };
  const whole = pieces - 1;
  const rest = K - whole * SLICE * TILE_COLUMNS;
  if (whole === 0) pack(rest);
  else
    b.if(
      piece,
      "<",
      whole,
      () => pack(SLICE * TILE_COLUMNS),
      () => pack(rest),
    );
}

/** Where a piece of some tiles goes. */
function placeOf(
  b: Builder,
  args: Args,
  { columns, slice }: TileCut,
  { row, piece, tiles }: { row: Int; piece: Int; tiles: number },
): Cursor {
  // Where one slice has all columns, all rows are one chunk.
  if (slice === columns)
    return b.cursor(args.work, row.times(columns).plus(piece.times(SLICE)).times(TILE_BYTES));
  const height = args.height.read();
  const first = row.dividedBy(height).times(height);
  const count = args.rows
    .read()
    .plus(TILE_ROWS - 1)
    .dividedBy(TILE_ROWS)
    .minus(first)
    .min(height);
  const before = first.times(columns).plus(piece.times(count).times(SLICE));
  return b.cursor(args.work, before.plus(row.minus(first).times(tiles)).times(TILE_BYTES));
}

/** `columns` numbers of a row, as a row of as many tiles as they need. */
function packRow(b: Builder, from: Cursor, to: Cursor, columns: number): void {
  const half = (at: number): Vec<"f32"> => {
    const lanes = Math.min(b.lanes, columns - at);
    return lanes > 0 ? from.load(4 * at, lanes) : b.f32(0);
  };
  for (let at = 0; at < columns; at += TILE_COLUMNS)
    to.store((at / TILE_COLUMNS) * TILE_BYTES, packBf16(b, half(at), half(at + b.lanes)));
}
