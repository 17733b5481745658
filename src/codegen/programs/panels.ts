import type { Cursor } from "../cursor.ts";
import type { Program } from "../instruction.ts";
import { type Builder, program } from "../ir.ts";
import { transpose } from "../math.ts";
import type { Target } from "../target.ts";
import type { Vec } from "../vector.ts";

/*
 * Matrices are multiplied from panels: strips of a few rows, stored column by column, so that what is multiplied
 * together lies together. Rows that are missing in the last panel are zero.
 */

/** Vectors of columns of the output that a product works on at once. */
export const VECTORS = 2;

/** Rows of the weights in a panel: columns of the output. */
export function weightPanel(target: Target): number {
  return VECTORS * target.lanes;
}

/** Rows of the input in a panel: as many as their sums, two vectors each, have registers for. */
export function inputPanel(target: Target): number {
  return target.registers === 32 ? 12 : target.name === "avx2" ? 6 : 4;
}

/** Bytes of `rows` x K numbers of f32 in panels, with the room that `packInput` needs behind the last. */
export function panelBytes(target: Target, rows: number, K: number, panel: number): number {
  return Math.ceil(rows / panel) * panel * K * 4 + target.bytes;
}

/** Weights [N, K] to panels [N / P][K][P]. Slots: weight, panels. A tile of work is a panel. */
export function packWeights(target: Target, { N, K }: { N: number; K: number }): Program {
  const P = weightPanel(target);
  return program("pack_weights", target, ["weight", "panels"], (b, { weight, panels }) => {
    const from = b.cursor(weight, b.tile.times(P * K * 4));
    const to = b.cursor(panels, b.tile.times(P * K * 4));
    const pack = (rows: number): void => packPanel(b, from, to, rows, K);
    const last = Math.floor(N / P);
    if (N % P === 0) pack(P);
    else
      b.if(
        b.tile,
        "<",
        last,
        () => pack(P),
        () => pack(N % P),
      );
  });
}

/** One panel of weights, of which `rows` rows exist. */
function packPanel(b: Builder, from: Cursor, to: Cursor, rows: number, K: number): void {
  const P = VECTORS * b.lanes;
  const block = (lanes: number): void => {
    for (let v = 0; v < VECTORS; v++) {
      const columns = loadBlock(b, from, rows - v * b.lanes, v * b.lanes, K, lanes);
      for (let k = 0; k < lanes; k++) to.store(4 * (k * P + v * b.lanes), columns[k]);
    }
  };
  b.repeat(Math.floor(K / b.lanes), () => {
    block(b.lanes);
    from.advance(4 * b.lanes);
    to.advance(4 * P * b.lanes);
  });
  if (K % b.lanes > 0) block(K % b.lanes);
}

/** A square block of numbers, turned: `rows` rows from row `first` on, `lanes` of their columns. */
function loadBlock(
  b: Builder,
  from: Cursor,
  rows: number,
  first: number,
  K: number,
  lanes: number,
): Vec<"f32">[] {
  const zero = b.f32(0);
  const loaded = Array.from({ length: b.lanes }, (_, i) =>
    i < rows ? from.load(4 * (first + i) * K, lanes) : zero,
  );
  return transpose(b, loaded);
}

/**
 * An input [rows, K] to panels [rows / R][K][R]. Slots: x, panels, rows. A tile of work is a panel. Writes up to a
 * vector behind the last panel.
 */
export function packInput(target: Target, { K }: { K: number }): Program {
  const R = inputPanel(target);
  return program("pack_input", target, ["x", "panels", "rows"], (b, { x, panels, rows }) => {
    const first = b.tile.times(R);
    const from = b.cursor(x, first.times(K * 4));
    const to = b.cursor(panels, first.times(K * 4));
    const left = rows.read().minus(first);
    const walk = (load: (lanes: number) => Vec<"f32">[]): void => {
      b.repeat(Math.floor(K / b.lanes), () => {
        storeColumns(to, transpose(b, load(b.lanes)), R, b.lanes);
        from.advance(4 * b.lanes);
        to.advance(4 * R * b.lanes);
      });
      if (K % b.lanes > 0) storeColumns(to, transpose(b, load(K % b.lanes)), R, K % b.lanes);
    };
    const missing = Array.from({ length: b.lanes - R }, () => b.f32(0));
    b.if(
      left,
      ">=",
      R,
      () =>
        walk((lanes) => [...Array.from({ length: R }, (_, i) => from.load(4 * i * K, lanes)), ...missing]),
      () =>
        walk((lanes) => {
          const present = Array.from({ length: R }, (_, i) => {
            const row = b.accF32(0);
            b.if(left, ">", i, () => row.set(from.load(4 * i * K, lanes)));
            return row;
          });
          return [...present, ...missing];
        }),
    );
  });
}

/** Stores the first R lanes of each column, one behind the other. */
function storeColumns(to: Cursor, columns: readonly Vec<"f32">[], R: number, count: number): void {
  // Whole vectors, from the first to the last: what is too much of one is overwritten by the next. Only the last one
  // must be cut, as what follows it belongs to another thread.
  for (let k = 0; k < count - 1; k++) to.store(4 * k * R, columns[k]);
  to.store(4 * (count - 1) * R, columns[count - 1], R);
}
