import { allocate, BYTES, type DType, type TypedArray } from "../tensor/dtype.ts";
import type { Cursor } from "./cursor.ts";
import type { Program } from "./instruction.ts";
import { type Builder, program } from "./ir.ts";
import { transpose } from "./math.ts";
import type { Target } from "./target.ts";
import type { Vec } from "./vector.ts";

/*
 * Weights [N, K] are multiplied from panels: strips of P rows, stored column by column, so that what is multiplied
 * together lies together. Rows that the last panel has not are zero, and so is the column that makes K even where a
 * number has 16 bits.
 *
 *   float32, float16   [N / P][K][P]
 *   bfloat16           [N / P][K / 2][P][2]: pairs of columns, as products of pairs take them
 */

/** Vectors of rows in a panel. */
export const PANEL_VECTORS = 2;

/** Rows of the weight in a panel: columns of the output. */
export function panelRows(target: Target): number {
  return PANEL_VECTORS * target.lanes;
}

/** Columns of a panel. */
export function panelColumns(dtype: DType, K: number): number {
  return BYTES[dtype] === 2 ? 2 * Math.ceil(K / 2) : K;
}

/** Bytes of a panel. */
export function panelBytes(target: Target, dtype: DType, K: number): number {
  return panelRows(target) * panelColumns(dtype, K) * BYTES[dtype];
}

/** Where the number of a row and a column stands, counted in numbers. */
export function panelPlace(target: Target, dtype: DType, K: number, n: number, k: number): number {
  const P = panelRows(target);
  const first = Math.floor(n / P) * P * panelColumns(dtype, K);
  if (dtype !== "bfloat16") return first + k * P + (n % P);
  return first + ((k >> 1) * P + (n % P)) * 2 + (k & 1);
}

/** The rows of a weight [N, K] that lies in panels. */
export function rowsOfPanels(
  target: Target,
  dtype: DType,
  N: number,
  K: number,
  panels: TypedArray,
): TypedArray {
  const rows = allocate(dtype, N * K);
  const step = panelRows(target) * (dtype === "bfloat16" ? 2 : 1);
  const together = dtype === "bfloat16" ? 2 : 1;
  for (let n = 0; n < N; n++) {
    let at = panelPlace(target, dtype, K, n, 0);
    for (let k = 0; k < K; k += together, at += step) {
      rows[n * K + k] = panels[at];
      if (together === 2 && k + 1 < K) rows[n * K + k + 1] = panels[at + 1];
    }
  }
  return rows;
}

/**
 * Rows to panels. Slots: rows, panels. A tile of work is a panel; all its rows are there, each of `panelColumns` numbers.
 */
export function packPanels(target: Target, dtype: DType, K: number): Program {
  const P = panelRows(target);
  const words = (panelColumns(dtype, K) * BYTES[dtype]) / 4;
  return program("pack_panels", target, ["rows", "panels"], (b, { rows, panels }) => {
    const from = b.cursor(rows, b.tile.times(P * words * 4));
    const to = b.cursor(panels, b.tile.times(P * words * 4));
    const block = (lanes: number): void => {
      for (let v = 0; v < PANEL_VECTORS; v++) {
        const loaded = Array.from({ length: b.lanes }, (_, i) =>
          from.loadI32(4 * (v * b.lanes + i) * words, lanes),
        );
        for (const [i, column] of transpose(b, loaded).slice(0, lanes).entries())
          storeColumn(b, to, dtype, i, v, column);
      }
    };
    b.repeat(Math.floor(words / b.lanes), () => {
      block(b.lanes);
      from.advance(4 * b.lanes);
      to.advance(4 * P * b.lanes);
    });
    if (words % b.lanes > 0) block(words % b.lanes);
  });
}

/** Stores 32 bits of each of a vector of rows: a number, or two that follow each other. */
function storeColumn(b: Builder, to: Cursor, dtype: DType, i: number, v: number, column: Vec<"i32">): void {
  const P = PANEL_VECTORS * b.lanes;
  if (dtype !== "float16") {
    to.store(4 * (i * P + v * b.lanes), column);
    return;
  }
  const at = 2 * (2 * i * P + v * b.lanes);
  to.storeU16(at, b.and(column, b.i32(0xffff)));
  to.storeU16(at + 2 * P, b.shr(column, 16));
}
