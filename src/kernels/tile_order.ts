import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import type { Acc } from "../codegen/vector.ts";
import { inputUnitBytes, type LinearShape, multiplyUnit, weightUnitBytes } from "./panel_units.ts";

/*
 * An AMX tile multiplies 16 pairs of columns at a time. As Intel's manual has it, the products of the first columns of
 * the pairs and those of the second are added up apart, from zero, each with one rounding; then both sums are added, and
 * the result is added to what the tile held. Vectors do the same in the same order, so that a row gives the same numbers
 * alone, where vectors are faster, and among others.
 */

/** Pairs of columns in a tile. */
export const TILE_PAIRS = 16;

/** Rows up to which vectors multiply: the sums of four rows, two vectors each, have registers. Tiles take 16 at once. */
export const VECTOR_ROWS = 4;

/** A panel of weights and its sums. */
export interface Part {
  readonly w: Cursor;
  readonly acc: Acc<"f32">[][];
}

/** Pairs that are written out. */
const UNROLL = 4;

/** Multiplies `count` pairs of columns of x and of some panels, as tiles do. The cursors then stand behind them. */
export function multiplyInTileOrder(
  b: Builder,
  shape: LinearShape,
  parts: readonly Part[],
  x: Cursor,
  count: number,
): void {
  const xBytes = inputUnitBytes(b.target, shape, parts[0].acc.length);
  const wBytes = weightUnitBytes(b.target, shape);
  const tile = (pairs: number): void => {
    const zeros = (): Acc<"f32">[][][] =>
      parts.map(({ acc }) => acc.map((row) => row.map(() => b.accF32(0))));
    const [firsts, seconds] = [zeros(), zeros()];
    const some = (length: number): void => {
      for (let u = 0; u < length; u++)
        for (const [i, { w }] of parts.entries()) multiplyUnit(b, shape, firsts[i], w, x, u, seconds[i]);
      for (const { w } of parts) w.advance(length * wBytes);
      x.advance(length * xBytes);
    };
    b.repeat(Math.floor(pairs / UNROLL), () => some(UNROLL));
    if (pairs % UNROLL > 0) some(pairs % UNROLL);
    for (const [i, { acc }] of parts.entries())
      for (const [m, row] of acc.entries())
        for (const [v, sum] of row.entries()) sum.add(b.add(firsts[i][m][v], seconds[i][m][v]));
  };
  b.repeat(Math.floor(count / TILE_PAIRS), () => tile(TILE_PAIRS));
  if (count % TILE_PAIRS > 0) tile(count % TILE_PAIRS);
}
