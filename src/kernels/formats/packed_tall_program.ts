import type { Cursor } from "../../codegen/cursor.ts";
import type { Builder } from "../../codegen/ir.ts";
import type { Int } from "../../codegen/scalar.ts";
import type { Target } from "../../codegen/target.ts";
import type { Vec } from "../../codegen/vector.ts";
import { BYTES } from "../../tensor/dtype.ts";
import { loadFloat } from "../floats.ts";
import { BLOCK, GROUP, type WeightFormat } from "./format.ts";
import { type Args, type PackedShape, vectorsOf } from "./packed_blocks.ts";
import { multiplyGroup } from "./packed_thin_program.ts";
import { QUANTISED_BYTES } from "./quantise_rows.ts";

/*
 * Many input rows without unpacking the weight first: with 32 registers 12 rows are multiplied with a vector of columns
 * at once, with 16 registers 5 or 6, which is enough to unpack it anew for each so many.
 */

/** Groups of 16 rows of the weight in a tile of work. */
const GROUPS = 4;

/** Rows that are multiplied at once: about equal parts of all rows, from the fewest that this gives. */
function setsOf({ registers, byteDot }: Target, { codeBits }: WeightFormat): { least: number; most: number } {
  if (registers === 32) return { least: 8, most: 12 };
  // Products of signed bytes take registers of their own.
  return { least: 3, most: byteDot === "maddubs" && codeBits === 8 ? 5 : 6 };
}

/** What a tile's rows may be: at most so many, and where they are long so many bytes, that stay in the second cache. */
const TILE_ROWS = { most: 192, least: 48, bytes: 768 * 1024 };

/** Whether many rows are multiplied so. */
export function multipliesTall({ name, amx }: Target): boolean {
  return name !== "wasm" && !amx;
}

/** How the rows are shared out among tiles of work: evenly, so that each has enough to multiply at once. */
export function tallTiles({ T, K, N }: PackedShape): { tiles: number; parts: number } {
  const { most, least, bytes } = TILE_ROWS;
  const room = Math.max(least, Math.min(most, Math.floor(bytes / rowBytes(K))));
  const parts = Math.ceil(T / room);
  return { tiles: parts * Math.ceil(N / (GROUP * GROUPS)), parts };
}

function rowBytes(K: number): number {
  return (K / BLOCK) * QUANTISED_BYTES;
}

/** A tile is some groups of the weight with some of the rows: each group is multiplied with all of them. */
export function tallProgram(b: Builder, args: Args, shape: PackedShape): void {
  const { format, K, N, bias } = shape;
  const firstRow = findRows(b, args, format);
  const panel = b.tile.dividedBy(args.parts.read());
  const firstGroup = b.variable(panel.times(GROUPS));
  const groupBytes = (K / BLOCK) * format.groupBytes;
  const { least, most } = setsOf(b.target, format);
  const group = (columns: number): void => {
    for (const [vector, { first, lanes }] of vectorsOf(b, columns).entries()) {
      const w = b.cursor(args.weight, firstGroup.times(groupBytes));
      const x = b.cursor(args.x, firstRow.times(rowBytes(K)));
      const y = b.cursor(args.y, firstRow.times(4 * N), firstGroup.times(4 * GROUP), 4 * first);
      const from = bias && b.cursor(args.bias, firstGroup.times(BYTES[bias] * GROUP));
      const offset = from && bias && loadFloat(from, bias, BYTES[bias] * first, lanes);
      for (let rows = least; rows <= most; rows++)
        b.repeat(b.scratch().readInt(4 * rows), () =>
          multiplyRows(b, shape, { x, w, y, rows, vector, lanes, offset }),
        );
    }
    firstGroup.add(1);
  };
  const whole = Math.floor(N / GROUP);
  b.repeat(b.int(whole).minus(firstGroup).min(GROUPS), () => group(GROUP));
  if (N % GROUP > 0) b.if(panel, "==", Math.floor(whole / GROUPS), () => group(N % GROUP));
}

/** Gives the tile's first row, and notes how often which number of rows is multiplied at once. */
function findRows(b: Builder, args: Args, format: WeightFormat): Int {
  const { least, most } = setsOf(b.target, format);
  const parts = args.parts.read();
  const part = b.variable(b.tile.modulo(parts));
  const each = args.rows.read().dividedBy(parts);
  const extra = args.rows.read().modulo(parts);
  const firstRow = b.variable(part.times(each).plus(part.min(extra)));
  const rows = part.plus(1).times(each).plus(part.plus(1).min(extra)).minus(firstRow);
  const sets = rows.plus(most - 1).dividedBy(most);
  const notes = b.scratch();
  for (let n = least; n <= most; n++) notes.writeInt(4 * n, b.int(0));
  const larger = rows.modulo(sets);
  const own = b.cursor(notes.pointer, rows.dividedBy(sets).times(4));
  own.writeInt(0, sets.minus(larger));
  own.writeInt(4, larger);
  return firstRow;
}

/** Rows and a vector of columns that are multiplied at once. */
interface RowSet {
  /** The first row of the input, and of the output where the columns begin; both walk on. */
  x: Cursor;
  y: Cursor;
  /** The group, and the vector in it. */
  w: Cursor;
  vector: number;
  rows: number;
  lanes: number;
  /** The bias. */
  offset: Vec<"f32"> | undefined;
}

function multiplyRows(
  b: Builder,
  shape: PackedShape,
  { x, y, w, vector, rows, lanes, offset }: RowSet,
): void {
  // What the first vector asks for, the others find.
  const part = { x, w: w.copy(), rows, vectors: [vector], ahead: vector === 0 };
  const sums = multiplyGroup(b, shape, part);
  for (const [m, [sum]] of sums.entries()) y.store(4 * m * shape.N, offset ? b.add(sum, offset) : sum, lanes);
  x.advance((rows - 1) * rowBytes(shape.K));
  y.advance(4 * rows * shape.N);
}
