import type { Cursor } from "../cursor.ts";
import type { Program } from "../instruction.ts";
import { type Builder, program } from "../ir.ts";
import type { Argument, Int } from "../scalar.ts";
import type { Target } from "../target.ts";
import type { Acc } from "../vector.ts";
import { inputPanel, VECTORS, weightPanel } from "./panels.ts";

/** Columns of the input that are multiplied in one go: so many rows of a weight panel stay in the nearest cache. */
const SLICE = 256;
/** Products are written out for so many columns, then repeated. */
const UNROLL = 4;

/** What the code of a product depends on. */
export interface MatmulShape {
  readonly N: number;
  readonly K: number;
  readonly bias: boolean;
}

/** How a product is divided among threads: for the slots `chunks` and `panels`, and the number of tiles. */
export interface MatmulWork {
  readonly tiles: number;
  readonly chunks: number;
  readonly panels: number;
  /** Bytes of scratch memory that each thread needs. */
  readonly scratchBytes: number;
}

/** Sums that a thread keeps at once: they should stay in its second-level cache. */
const SUMS_BYTES = 2 ** 18;
/** Tiles that each thread should have at least, so that all end at about the same time. */
const TILES_PER_THREAD = 4;

/** Divides the work of `matmul` on an input of `rows` rows. */
export function divideMatmul(target: Target, { N }: MatmulShape, rows: number, threads: number): MatmulWork {
  const [P, R] = [weightPanel(target), inputPanel(target)];
  const all = Math.ceil(rows / R);
  const columns = Math.ceil(N / P);
  const wanted = Math.ceil((threads * TILES_PER_THREAD) / columns);
  const most = Math.max(1, Math.floor(SUMS_BYTES / (4 * P * R)));
  const panels = Math.max(1, Math.min(most, Math.ceil(all / wanted)));
  const chunks = Math.ceil(all / panels);
  return { tiles: columns * chunks, chunks, panels, scratchBytes: panels * R * P * 4 };
}

/**
 * y = x W^T (+ bias), all f32: weight [N, K] and x [rows, K] in panels -> y [rows, N].
 *
 * Slots: weight, x, y, bias, rows, chunks, panels. A tile of work is a panel of weights with some panels of x; its sums
 * are made in scratch memory, slice by slice of K, and written out in the end.
 */
export function matmul(target: Target, shape: MatmulShape): Program {
  const { N, K } = shape;
  const [P, R] = [weightPanel(target), inputPanel(target)];
  const slots = ["weight", "x", "y", "bias", "rows", "chunks", "panels"] as const;
  return program("matmul", target, slots, (b, args) => {
    const chunks = args.chunks.read();
    const column = b.tile.dividedBy(chunks);
    const firstPanel = b.tile.modulo(chunks).times(args.panels.read());
    const firstRow = firstPanel.times(R);
    const rows = args.rows.read().minus(firstRow).min(args.panels.read().times(R));
    const panels = rows.plus(R - 1).dividedBy(R);
    const w = b.cursor(args.weight, column.times(P * K * 4));
    const x = b.cursor(args.x, firstRow.times(K * 4));
    const next = (k: number): void => {
      w.advance(k * P * 4);
      x.advance(k * R * 4);
    };
    const first = Math.min(SLICE, K);
    multiplySlice(b, { w, x, panels, K, length: first, begin: true });
    const left = K - first;
    b.repeat(Math.floor(left / SLICE), () => {
      next(SLICE);
      multiplySlice(b, { w, x, panels, K, length: SLICE, begin: false });
    });
    if (left % SLICE > 0) {
      next(SLICE);
      multiplySlice(b, { w, x, panels, K, length: left % SLICE, begin: false });
    }
    const y = b.cursor(args.y, firstRow.times(N * 4), column.times(P * 4));
    writeOut(b, shape, { column, rows, y, bias: args.bias });
  });
}

interface Slice {
  readonly w: Cursor;
  readonly x: Cursor;
  /** Panels of x. */
  readonly panels: Int;
  readonly K: number;
  /** Columns of x. */
  readonly length: number;
  /** There are no sums yet. */
  readonly begin: boolean;
}

/** Adds the products of one slice of K to the sums in scratch memory. */
function multiplySlice(b: Builder, { w, x, panels, K, length, begin }: Slice): void {
  const R = inputPanel(b.target);
  const sums = b.scratch();
  const from = x.copy();
  b.repeat(panels, () => {
    const weights = w.copy();
    const acc = grid(R, (m, v) => (begin ? b.accF32(0) : b.acc(sums.load(sumAt(b, m, v)))));
    const multiply = (columns: number): void => {
      for (let k = 0; k < columns; k++) multiplyColumn(b, acc, weights, from, k);
      weights.advance(columns * VECTORS * b.lanes * 4);
      from.advance(columns * R * 4);
    };
    b.repeat(Math.floor(length / UNROLL), () => multiply(UNROLL));
    if (length % UNROLL > 0) multiply(length % UNROLL);
    for (let m = 0; m < R; m++) for (let v = 0; v < VECTORS; v++) sums.store(sumAt(b, m, v), acc[m][v]);
    sums.advance(sumAt(b, R, 0));
    from.advance((K - length) * R * 4);
  });
}

/** Where a row's sums are. */
function sumAt(b: Builder, row: number, vector: number): number {
  return (row * VECTORS + vector) * b.lanes * 4;
}

function multiplyColumn(b: Builder, acc: Acc<"f32">[][], weights: Cursor, x: Cursor, k: number): void {
  const R = acc.length;
  const w = Array.from({ length: VECTORS }, (_, v) => weights.load((k * VECTORS + v) * b.lanes * 4));
  for (let m = 0; m < R; m++) {
    const factor = x.broadcast((k * R + m) * 4);
    for (let v = 0; v < VECTORS; v++) acc[m][v].fma(w[v], factor);
  }
}

function grid<T>(rows: number, make: (m: number, v: number) => T): T[][] {
  return Array.from({ length: rows }, (_, m) => Array.from({ length: VECTORS }, (_, v) => make(m, v)));
}

interface Output {
  /** Number of the weights' panel. */
  readonly column: Int;
  readonly rows: Int;
  readonly y: Cursor;
  readonly bias: Argument;
}

/** Writes the sums, which lie in scratch memory row by row, to the output. */
function writeOut(b: Builder, { N, bias }: MatmulShape, out: Output): void {
  const P = VECTORS * b.lanes;
  const write = (columns: number): void => {
    const sums = b.scratch();
    const vectors = pieces(columns, b.lanes);
    const at = bias ? b.cursor(out.bias, out.column.times(P * 4)) : undefined;
    const offsets = at && vectors.map((lanes, v) => at.load(4 * v * b.lanes, lanes));
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

/** The most rows that `matmulThin` takes. */
export function thinRows(target: Target): number {
  return inputPanel(target);
}

/** Panels of weights in a tile of `matmulThin`. */
const THIN_PANELS = 4;

/** Tiles of work of `matmulThin`. */
export function thinTiles(target: Target, { N }: MatmulShape): number {
  return Math.ceil(N / (THIN_PANELS * weightPanel(target)));
}

/**
 * The same for few rows, as they are: x [rows, K] is not in panels. Reads the weights once, which is what it takes the
 * time for.
 *
 * Slots: weight, x, y, bias. A tile of work is `THIN_PANELS` panels of weights.
 */
export function matmulThin(target: Target, shape: MatmulShape & { readonly rows: number }): Program {
  const { N, K, rows } = shape;
  const P = weightPanel(target);
  return program("matmul_thin", target, ["weight", "x", "y", "bias"], (b, args) => {
    const first = b.tile.times(THIN_PANELS);
    const w = b.cursor(args.weight, first.times(P * K * 4));
    const y = b.cursor(args.y, first.times(P * 4));
    const bias = shape.bias ? b.cursor(args.bias, first.times(P * 4)) : undefined;
    const panel = (columns: number): void => {
      const sums = multiplyThin(b, w, b.cursor(args.x), rows, K);
      for (const [v, lanes] of pieces(columns, b.lanes).entries()) {
        const at = 4 * v * b.lanes;
        const offset = bias?.load(at, lanes);
        for (let m = 0; m < rows; m++)
          y.store(m * N * 4 + at, offset ? b.add(sums[m][v], offset) : sums[m][v], lanes);
      }
      y.advance(P * 4);
      bias?.advance(P * 4);
    };
    const whole = Math.floor(N / P);
    b.repeat(b.int(whole).minus(first).min(THIN_PANELS), () => panel(P));
    if (N % P > 0) b.if(b.tile, "==", Math.floor(whole / THIN_PANELS), () => panel(N % P));
  });
}

/** The sums of one panel of weights, on which `w` stands and behind which it ends. */
function multiplyThin(b: Builder, w: Cursor, x: Cursor, rows: number, K: number): Acc<"f32">[][] {
  // Sums that follow each other too closely would wait for each other: a few rows get several sums each.
  const ways = Math.max(1, Math.min(UNROLL, Math.floor(thinRows(b.target) / rows)));
  const acc = Array.from({ length: ways }, () => grid(rows, () => b.accF32(0)));
  const multiply = (columns: number): void => {
    for (let k = 0; k < columns; k++) {
      const weights = Array.from({ length: VECTORS }, (_, v) => w.load((k * VECTORS + v) * b.lanes * 4));
      for (let m = 0; m < rows; m++) {
        const factor = x.broadcast((m * K + k) * 4);
        for (let v = 0; v < VECTORS; v++) acc[k % ways][m][v].fma(weights[v], factor);
      }
    }
    w.advance(columns * VECTORS * b.lanes * 4);
    x.advance(columns * 4);
  };
  b.repeat(Math.floor(K / UNROLL), () => multiply(UNROLL));
  if (K % UNROLL > 0) multiply(K % UNROLL);
  for (const other of acc.slice(1))
    for (let m = 0; m < rows; m++) for (let v = 0; v < VECTORS; v++) acc[0][m][v].add(other[m][v]);
  return acc[0];
}
