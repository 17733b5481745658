import type { Cursor } from "../codegen/cursor.ts";
import { packBf16 } from "../codegen/dots.ts";
import type { Builder } from "../codegen/ir.ts";
import { transpose } from "../codegen/math.ts";
import type { Int } from "../codegen/scalar.ts";
import type { Target } from "../codegen/target.ts";
import type { Vec } from "../codegen/vector.ts";
import type { FirstProgram } from "../devices/kernel.ts";
import { inputPanel, inputUnitBytes, type LinearShape, multipliesPairs, units } from "./panel_units.ts";
import type { Args } from "./row_programs.ts";

/** Columns that a tile of work lays out where one panel holds all rows. */
const PIECE = 1024;

/**
 * Lays the input out for a product: x [rows, K] to panels in `work`. See `panel_units.ts`.
 *
 * @returns undefined, where it lies as it should
 */
export function inputForm(target: Target, shape: LinearShape, rows: number): FirstProgram | undefined {
  const { K, weight, rounded } = shape;
  if (rows === 1 && !rounded && (weight !== "bfloat16" || K % 2 === 0)) return undefined;
  const most = inputPanel(target);
  const R = Math.min(rows, most);
  const panel = units(shape) * inputUnitBytes(target, shape, R);
  // Columns are stored as whole vectors, so some bytes behind the last may be written.
  const bytes = Math.ceil(rows / R) * panel + target.bytes;
  const key = `input ${K} ${weight} ${rounded}`;
  if (rows <= most)
    return {
      key: `${key} ${rows}`,
      bytes,
      reads: "x",
      tiles: Math.ceil(K / PIECE),
      build: (b, args) => packPieces(b, args, shape, rows),
    };
  return {
    key,
    bytes,
    reads: "x",
    tiles: Math.ceil(rows / R),
    numbers: { rows },
    build: (b, args) => packPanel(b, args, shape, R),
  };
}

/** One panel: a tile is some of its columns. */
function packPieces(b: Builder, args: Args, shape: LinearShape, R: number): void {
  const { K } = shape;
  const pairs = multipliesPairs(b.target, shape);
  const from = b.cursor(args.x, b.tile.times(4 * PIECE));
  const to = b.cursor(args.work, b.tile.times(PIECE * R * (pairs ? 2 : 4)));
  const piece = (columns: number): void => packColumns(b, shape, from, to, R, columns);
  const whole = Math.floor(K / PIECE);
  if (K % PIECE === 0) piece(PIECE);
  else if (whole === 0) piece(K);
  else
    b.if(
      b.tile,
      "<",
      whole,
      () => piece(PIECE),
      () => piece(K % PIECE),
    );
}

/** One of many panels, of which the last may have fewer rows. */
function packPanel(b: Builder, args: Args, shape: LinearShape, R: number): void {
  const { K } = shape;
  const first = b.tile.times(R);
  const from = b.cursor(args.x, first.times(4 * K));
  const to = b.cursor(args.work, b.tile.times(units(shape) * inputUnitBytes(b.target, shape, R)));
  const left = args.rows.read().minus(first);
  b.if(
    left,
    ">=",
    R,
    () => packColumns(b, shape, from, to, R, K),
    () => packColumns(b, shape, from, to, R, K, left),
  );
}

/** Lays out `columns` columns from where `from` stands. `left`: how many of the R rows there are. */
function packColumns(
  b: Builder,
  shape: LinearShape,
  from: Cursor,
  to: Cursor,
  R: number,
  columns: number,
  left?: Int,
): void {
  const pairs = multipliesPairs(b.target, shape);
  const step = pairs ? 2 * b.lanes : b.lanes;
  const block = (count: number): void => {
    const load = (m: number): Vec<"f32"> => words(b, shape, from, 4 * m * shape.K, count);
    const rows = Array.from({ length: R }, (_, m) => {
      if (left === undefined) return load(m);
      const row = b.accF32(0);
      b.if(left, ">", m, () => row.set(load(m)));
      return row;
    });
    const even = shape.weight === "bfloat16" ? count + (count % 2) : count;
    storeColumns(b, to, rows, pairs ? even / 2 : even);
  };
  b.repeat(Math.floor(columns / step), () => {
    block(step);
    from.advance(4 * step);
    to.advance(4 * R * b.lanes);
  });
  if (columns % step > 0) block(columns % step);
}

/** A row's next `count` numbers, or pairs of them, as the words that panels are made of. */
function words(b: Builder, shape: LinearShape, from: Cursor, offset: number, count: number): Vec<"f32"> {
  const low = from.load(offset, Math.min(count, b.lanes));
  if (!multipliesPairs(b.target, shape)) {
    if (!shape.rounded) return low;
    return b.bf16BitsToF32(b.f32ToBf16Bits(low));
  }
  const high = count > b.lanes ? from.load(offset + 4 * b.lanes, count - b.lanes) : b.f32(0);
  return b.as("f32", packBf16(b, low, high));
}

/** Turns rows and stores them column by column. */
function storeColumns(b: Builder, to: Cursor, rows: readonly Vec<"f32">[], count: number): void {
  const R = rows.length;
  if (R === 1) {
    to.store(0, rows[0], count);
    return;
  }
  const missing = Array.from({ length: b.lanes - R }, () => b.f32(0));
  // Whole vectors, from the first to the last: what is too much of one is overwritten by the next. Only the last must
  // be cut, as what follows it belongs to another thread; narrow ones, of which several are too much, are all cut.
  const narrow = 2 * R < b.lanes;
  for (const [k, column] of transpose(b, [...rows, ...missing])
    .slice(0, count)
    .entries())
    to.store(4 * k * R, column, narrow || k === count - 1 ? R : b.lanes);
}
