import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import { sumLanes } from "../codegen/math.ts";
import type { Argument, Int } from "../codegen/scalar.ts";
import type { Target } from "../codegen/target.ts";
import type { Acc, Vec } from "../codegen/vector.ts";
import { BYTES, type DType } from "../tensor/dtype.ts";

/** A matrix product as a program sees it. */
export interface LinearShape {
  /** Columns of x and of the weight. */
  K: number;
  /** Rows of the weight: columns of y. */
  N: number;
  weight: DType;
  /** undefined: no bias. */
  bias: DType | undefined;
}

/** Rows of x and columns of y that one tile of work computes at most. */
export const TILE = { rows: 48, columns: 64 } as const;

type Args = Readonly<Record<string, Argument>>;

/** Rows and columns of y whose sums are kept in registers together. */
function registerBlock(target: Target): { MR: number; NR: number } {
  return target.registers === 32 ? { MR: 6, NR: 4 } : { MR: 3, NR: 3 };
}

/** Tiles of `rows` rows of x. */
export function linearTiles(rows: number, N: number): number {
  return Math.ceil(rows / TILE.rows) * Math.ceil(N / TILE.columns);
}

/**
 * y = x W^T + b, as dot products of rows: no packing, weights are read as the checkpoint has them. A tile computes up to
 * TILE.rows x TILE.columns numbers; within it each block of MR x NR sums stays in registers over all of K.
 */
export function linearProgram(b: Builder, args: Args, shape: LinearShape): void {
  const { N } = shape;
  const { MR, NR } = registerBlock(b.target);
  const rowTiles = args.rows
    .read()
    .plus(TILE.rows - 1)
    .dividedBy(TILE.rows);
  const firstRow = b.tile.modulo(rowTiles).times(TILE.rows);
  const firstColumn = b.tile.dividedBy(rowTiles).times(TILE.columns);
  const rows = args.rows.read().minus(firstRow).min(TILE.rows);
  const columns = firstColumn.times(-1).plus(N).min(TILE.columns);
  const column = new Columns(b, args, shape, firstRow, firstColumn);
  const group = (count: number): void => {
    column.begin();
    b.repeat(rows.dividedBy(MR), () => column.block(MR, count));
    b.repeat(rows.modulo(MR), () => column.block(1, count));
    column.next(count);
  };
  b.repeat(columns.dividedBy(NR), () => group(NR));
  b.repeat(columns.modulo(NR), () => group(1));
}

/** Walks over the columns of a tile, and for each group of columns over its rows. */
class Columns {
  readonly #b: Builder;
  readonly #shape: LinearShape;
  /** The weight's row that belongs to the first column of the group. */
  readonly #weight: Cursor;
  readonly #bias: Cursor | undefined;
  readonly #xFirst: Int;
  readonly #yFirst: Cursor;
  readonly #x: Cursor;
  readonly #y: Cursor;

  constructor(b: Builder, args: Args, shape: LinearShape, firstRow: Int, firstColumn: Int) {
    const { K, N, weight, bias } = shape;
    this.#b = b;
    this.#shape = shape;
    this.#weight = b.cursor(args.weight, firstColumn.times(K * BYTES[weight]));
    this.#bias = bias && b.cursor(args.bias, firstColumn.times(BYTES[bias]));
    this.#xFirst = args.x.read().plus(firstRow.times(K * 4));
    this.#yFirst = b.cursor(args.y, firstRow.times(N * 4), firstColumn.times(4));
    this.#x = b.cursor(this.#xFirst);
    this.#y = b.cursor(this.#yFirst.pointer);
  }

  /** Goes back to the tile's first row. */
  begin(): void {
    this.#x.pointer.set(this.#xFirst);
    this.#y.pointer.set(this.#yFirst.pointer);
  }

  /** Computes `MR` rows of `NR` columns, and goes on to the next rows. */
  block(MR: number, NR: number): void {
    const b = this.#b;
    const { K, N, weight } = this.#shape;
    const size = BYTES[weight];
    const sums = Array.from({ length: MR }, () => Array.from({ length: NR }, () => b.accF32()));
    const [x, w] = [this.#x, this.#weight.copy()];
    b.elements(
      K,
      (i, lanes) => {
        const columns = Array.from({ length: NR }, (_, c) => loadFloat(w, weight, (c * K + i) * size, lanes));
        for (let r = 0; r < MR; r++) {
          const row = x.load((r * K + i) * 4, lanes);
          for (let c = 0; c < NR; c++) sums[r][c].fma(row, columns[c]);
        }
      },
      (k) => {
        x.advance(k * 4);
        w.advance(k * size);
      },
    );
    x.advance((MR - 1) * K * 4);
    this.#store(sums);
    this.#y.advance(MR * N * 4);
  }

  #store(sums: Acc<"f32">[][]): void {
    const b = this.#b;
    const { N, bias } = this.#shape;
    for (const [r, row] of sums.entries())
      for (const [c, acc] of row.entries()) {
        let sum: Vec<"f32"> = sumLanes(b, acc);
        if (this.#bias && bias) sum = b.add(sum, broadcastFloat(this.#bias, bias, c * BYTES[bias]));
        this.#y.store((r * N + c) * 4, sum, 1);
      }
  }

  /** Goes on by `count` columns. */
  next(count: number): void {
    const { K, weight, bias } = this.#shape;
    this.#weight.advance(count * K * BYTES[weight]);
    if (this.#bias && bias) this.#bias.advance(count * BYTES[bias]);
    this.#yFirst.advance(count * 4);
  }
}

/** Floats of any type that weights are kept in, widened. */
export function loadFloat(from: Cursor, dtype: DType, offset: number, lanes: number): Vec<"f32"> {
  if (dtype === "float16") return from.loadF16(offset, lanes);
  if (dtype === "bfloat16") return from.loadBf16(offset, lanes);
  return from.load(offset, lanes);
}

/** One float of any type that weights are kept in, in every lane. */
export function broadcastFloat(from: Cursor, dtype: DType, offset: number): Vec<"f32"> {
  if (dtype === "float16") return from.broadcastF16(offset);
  if (dtype === "bfloat16") return from.broadcastBf16(offset);
  return from.broadcast(offset);
}
