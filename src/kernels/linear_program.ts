import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import { PANEL_VECTORS, panelBytes, panelRows } from "../codegen/panels.ts";
import type { Argument, Int } from "../codegen/scalar.ts";
import type { Target } from "../codegen/target.ts";
import type { VectorForm } from "../devices/kernel.ts";
import { BYTES } from "../tensor/dtype.ts";
import { floatPanels } from "./float_panels.ts";
import { loadFloat } from "./floats.ts";
import { inputForm } from "./panel_input_program.ts";
import {
  inputPanel,
  inputUnitBytes,
  type LinearShape,
  multipliesTiles,
  multiplyUnit,
  unitColumns,
  units,
  weightUnitBytes,
} from "./panel_units.ts";
import type { Args } from "./row_programs.ts";
import { multiplyInTileOrder, type Part, VECTOR_ROWS } from "./tile_order.ts";
import { tileForm } from "./tile_product.ts";

/** Units that are multiplied in one go: so much of a weight panel stays in the nearest cache. */
const SLICE = 256;
/** Columns that products are written out for, then repeated. */
const UNROLL = 4;
/** Panels of the input in a tile of many rows, at most. */
const CHUNK = 16;
/** Panels of weights in a tile of few rows. */
const THIN_PANELS = 4;

/** y = x W^T (+ bias) for a weight in panels. */
export function linearForm(target: Target, shape: LinearShape, rows: number): VectorForm {
  const { K, N, weight, bias, rounded } = shape;
  const key = `${K} ${N} ${weight} ${bias} ${rounded}`;
  const tiles = multipliesTiles(target, shape);
  if (tiles && rows > VECTOR_ROWS)
    return tileForm(target, { K, N, bias, panels: floatPanels(target, shape) }, rows);
  const first = inputForm(target, shape, rows);
  const R = inputPanel(target);
  if (rows <= R)
    return {
      key: `${key} ${rows} ${first !== undefined}`,
      first,
      tiles: Math.ceil(N / (THIN_PANELS * panelRows(target))),
      build: (b, args) => thinProgram(b, args, shape, rows),
    };
  const all = Math.ceil(rows / R);
  const chunks = Math.ceil(all / CHUNK);
  return {
    key,
    first,
    tiles: Math.ceil(N / panelRows(target)) * chunks,
    numbers: { rows, chunks, panels: Math.ceil(all / chunks) },
    build: (b, args) => wideProgram(b, args, shape),
  };
}

/**
 * Many rows. A tile of work is a panel of weights with some panels of x; its sums are made in scratch memory, slice by
 * slice of K, and written out in the end.
 */
function wideProgram(b: Builder, args: Args, shape: LinearShape): void {
  const { N } = shape;
  const U = units(shape);
  const [P, R] = [panelRows(b.target), inputPanel(b.target)];
  const [wBytes, xBytes] = [weightUnitBytes(b.target, shape), inputUnitBytes(b.target, shape, R)];
  const chunks = args.chunks.read();
  const column = b.tile.dividedBy(chunks);
  const firstPanel = b.tile.modulo(chunks).times(args.panels.read());
  const firstRow = firstPanel.times(R);
  const rows = args.rows.read().minus(firstRow).min(args.panels.read().times(R));
  const panels = rows.plus(R - 1).dividedBy(R);
  const w = b.cursor(args.weight, column.times(panelBytes(b.target, shape.weight, shape.K)));
  const x = b.cursor(args.work, firstPanel.times(U * xBytes));
  const slice = (length: number, begin: boolean): void => {
    multiplySlice(b, shape, { w, x, panels, length, begin });
    w.advance(length * wBytes);
    x.advance(length * xBytes);
  };
  slice(Math.min(SLICE, U), true);
  const left = Math.max(0, U - SLICE);
  b.repeat(Math.floor(left / SLICE), () => slice(SLICE, false));
  if (left % SLICE > 0) slice(left % SLICE, false);
  const y = b.cursor(args.y, firstRow.times(N * 4), column.times(P * 4));
  writeOut(b, shape, { column, rows, y, bias: args.bias });
}

interface Slice {
  readonly w: Cursor;
  readonly x: Cursor;
  /** Panels of x. */
  readonly panels: Int;
  /** Units. */
  readonly length: number;
  /** There are no sums yet. */
  readonly begin: boolean;
}

/** Adds the products of one slice of K to the sums in scratch memory. */
function multiplySlice(b: Builder, shape: LinearShape, { w, x, panels, length, begin }: Slice): void {
  const R = inputPanel(b.target);
  const sums = b.scratch();
  const from = x.copy();
  b.repeat(panels, () => {
    const weights = w.copy();
    const acc = grid(R, (m, v) => (begin ? b.accF32(0) : b.acc(sums.load(sumAt(b, m, v)))));
    multiply(b, shape, [{ w: weights, acc }], from, length);
    for (let m = 0; m < R; m++) for (let v = 0; v < PANEL_VECTORS; v++) sums.store(sumAt(b, m, v), acc[m][v]);
    sums.advance(sumAt(b, R, 0));
    from.advance((units(shape) - length) * inputUnitBytes(b.target, shape, R));
  });
}

/**
 * Multiplies `count` units, on which the cursors stand and behind which they end. Each sum is made column by column,
 * however many rows there are: so a row gives the same numbers alone and among others.
 */
function multiply(b: Builder, shape: LinearShape, parts: readonly Part[], x: Cursor, count: number): void {
  if (multipliesTiles(b.target, shape)) {
    multiplyInTileOrder(b, shape, parts, x, count);
    return;
  }
  const xBytes = inputUnitBytes(b.target, shape, parts[0].acc.length);
  const some = (length: number): void => {
    for (let u = 0; u < length; u++) for (const { acc, w } of parts) multiplyUnit(b, shape, acc, w, x, u);
    for (const { w } of parts) w.advance(length * weightUnitBytes(b.target, shape));
    x.advance(length * xBytes);
  };
  const together = UNROLL / unitColumns(shape);
  b.repeat(Math.floor(count / together), () => some(together));
  if (count % together > 0) some(count % together);
}

/** Where a row's sums are. */
function sumAt(b: Builder, row: number, vector: number): number {
  return (row * PANEL_VECTORS + vector) * b.lanes * 4;
}

function grid<T>(rows: number, make: (m: number, v: number) => T): T[][] {
  return Array.from({ length: rows }, (_, m) => Array.from({ length: PANEL_VECTORS }, (_, v) => make(m, v)));
}

interface Output {
  /** Number of the weights' panel. */
  readonly column: Int;
  readonly rows: Int;
  readonly y: Cursor;
  readonly bias: Argument;
}

/** Writes the sums, which lie in scratch memory row by row, to the output. */
function writeOut(b: Builder, { N, bias }: LinearShape, out: Output): void {
  const P = panelRows(b.target);
  const write = (columns: number): void => {
    const sums = b.scratch();
    const vectors = pieces(columns, b.lanes);
    const at = bias && b.cursor(out.bias, out.column.times(P * BYTES[bias]));
    const offsets =
      at && bias && vectors.map((lanes, v) => loadFloat(at, bias, BYTES[bias] * v * b.lanes, lanes));
    b.repeat(out.rows, () => {
      for (const [v, lanes] of vectors.entries()) {
        const sum = sums.load(sumAt(b, 0, v));
        out.y.store(4 * v * b.lanes, offsets ? b.add(sum, offsets[v]) : sum, lanes);
      }
      sums.advance(sumAt(b, 1, 0));
      out.y.advance(N * 4);
    });
  };
  if (N % P === 0) write(P);
  else if (N < P) write(N);
  else
    b.if(
      out.column,
      "<",
      Math.floor(N / P),
      () => write(P),
      () => write(N % P),
    );
}

/** `n` lanes as vectors, of which the last may be a part. */
function pieces(n: number, lanes: number): number[] {
  return Array.from({ length: Math.ceil(n / lanes) }, (_, v) => Math.min(lanes, n - v * lanes));
}

/** Few rows: reads the weights once, which is what it takes the time for. A tile of work is some panels of weights. */
function thinProgram(b: Builder, args: Args, shape: LinearShape, rows: number): void {
  const { N, bias } = shape;
  const P = panelRows(b.target);
  const first = b.tile.times(THIN_PANELS);
  const oneBytes = panelBytes(b.target, shape.weight, shape.K);
  const w = b.cursor(args.weight, first.times(oneBytes));
  const y = b.cursor(args.y, first.times(P * 4));
  const offset = bias && b.cursor(args.bias, first.times(P * BYTES[bias]));
  const packed = inputForm(b.target, shape, rows) !== undefined;
  const some = (panels: number, columns: number): void => {
    const parts = Array.from({ length: panels }, (_, i) => ({
      w: w.copy(i * oneBytes),
      acc: grid(rows, () => b.accF32(0)),
    }));
    multiply(b, shape, parts, b.cursor(packed ? args.work : args.x), units(shape));
    for (const { acc } of parts) {
      for (const [v, lanes] of pieces(columns, b.lanes).entries()) {
        const addend = offset && bias && loadFloat(offset, bias, BYTES[bias] * v * b.lanes, lanes);
        for (let m = 0; m < rows; m++)
          y.store(4 * (m * N + v * b.lanes), addend ? b.add(acc[m][v], addend) : acc[m][v], lanes);
      }
      y.advance(P * 4);
      if (offset && bias) offset.advance(P * BYTES[bias]);
    }
    w.advance(panels * oneBytes);
  };
  // Sums that follow each other too closely would wait for each other: of a few rows several panels are made at once.
  const room = (multipliesTiles(b.target, shape) ? VECTOR_ROWS : inputPanel(b.target)) / rows;
  const together = room >= 4 ? 4 : room >= 2 ? 2 : 1;
  const whole = Math.floor(N / P);
  const count = b.variable(b.int(whole).minus(first).min(THIN_PANELS));
  b.repeat(count.dividedBy(together), () => some(together, P));
  if (together > 1) b.repeat(count.modulo(together), () => some(1, P));
  if (N % P > 0) b.if(b.tile, "==", Math.floor(whole / THIN_PANELS), () => some(1, N % P));
}
