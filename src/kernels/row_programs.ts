import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import { sumLanes } from "../codegen/math.ts";
import { panelBytes, panelRows } from "../codegen/panels.ts";
import type { Argument, Int } from "../codegen/scalar.ts";
import type { Vec } from "../codegen/vector.ts";
import type { WeightDType } from "../devices/device.ts";
import { BYTES, type DType } from "../tensor/dtype.ts";
import { broadcastFloat, loadFloat } from "./floats.ts";

/*
 * Programs whose tile is one row. Sizes of rows are built in; how many rows there are is not.
 */

/** The arguments of a program, by name. */
export type Args = Readonly<Record<string, Argument>>;

/** The row of a matrix of `D` numbers a row. */
export function rowOf(b: Builder, matrix: Argument, row: Int, D: number, bytes = 4): Cursor {
  return b.cursor(matrix, row.times(D * bytes));
}

/** y[i] = f(x[i], ...) over a row of D numbers. */
export function mapRow(
  b: Builder,
  D: number,
  inputs: readonly Cursor[],
  y: Cursor,
  f: (...x: Vec<"f32">[]) => Vec<"f32">,
): void {
  b.elements(
    D,
    (i, lanes) => y.store(4 * i, f(...inputs.map((input) => input.load(4 * i, lanes))), lanes),
    (k) => {
      for (const cursor of [...inputs, y]) cursor.advance(4 * k);
    },
  );
}

/** The sum of f(x[i]) over a row of D numbers, in every lane. */
function sumRow(b: Builder, D: number, x: Cursor, f: (v: Vec<"f32">) => Vec<"f32">): Vec<"f32"> {
  const sum = b.accF32();
  const walk = x.copy();
  b.elements(
    D,
    (i, lanes) => {
      const value = f(walk.load(4 * i, lanes));
      // Lanes past the row's end hold f(0), which need not be zero.
      sum.add(lanes < b.lanes ? b.and(value, b.firstLanesMask(lanes)) : value);
    },
    (k) => walk.advance(4 * k),
  );
  return sumLanes(b, sum);
}

/** y = x / sqrt(mean(x²) + eps) * (weight + offset) */
export function rmsNormProgram(
  b: Builder,
  args: Args,
  D: number,
  eps: number,
  weight: DType,
  offset: number,
): void {
  const x = rowOf(b, args.x, b.tile, D);
  const y = rowOf(b, args.y, b.tile, D);
  const squares = sumRow(b, D, x, (v) => b.mul(v, v));
  const inverse = b.acc(inverseRoot(b, squares, D, eps));
  const w = b.cursor(args.weight);
  b.elements(
    D,
    (i, lanes) => {
      const scaled = b.mul(x.load(4 * i, lanes), inverse);
      const stored = loadFloat(w, weight, BYTES[weight] * i, lanes);
      const factor = offset === 0 ? stored : b.add(stored, b.f32(offset));
      y.store(4 * i, b.mul(scaled, factor), lanes);
    },
    (k) => {
      for (const cursor of [x, y]) cursor.advance(4 * k);
      w.advance(BYTES[weight] * k);
    },
  );
}

/** y = (x - mean) / sqrt(variance + eps) * weight + bias */
export function layerNormProgram(
  b: Builder,
  args: Args,
  D: number,
  eps: number,
  weight: DType,
  bias: DType,
): void {
  const x = rowOf(b, args.x, b.tile, D);
  const y = rowOf(b, args.y, b.tile, D);
  const mean = b.acc(
    b.mul(
      sumRow(b, D, x, (v) => v),
      b.f32(1 / D),
    ),
  );
  const squares = sumRow(b, D, x, (v) => {
    const rest = b.sub(v, mean);
    return b.mul(rest, rest);
  });
  const inverse = b.acc(inverseRoot(b, squares, D, eps));
  const [w, offset] = [b.cursor(args.weight), b.cursor(args.bias)];
  b.elements(
    D,
    (i, lanes) => {
      const scaled = b.mul(b.sub(x.load(4 * i, lanes), mean), inverse);
      const [factor, addend] = [
        loadFloat(w, weight, BYTES[weight] * i, lanes),
        loadFloat(offset, bias, BYTES[bias] * i, lanes),
      ];
      y.store(4 * i, b.fma(scaled, factor, addend), lanes);
    },
    (k) => {
      for (const cursor of [x, y]) cursor.advance(4 * k);
      w.advance(BYTES[weight] * k);
      offset.advance(BYTES[bias] * k);
    },
  );
}

/** 1 / sqrt(sum / D + eps) */
function inverseRoot(b: Builder, sum: Vec<"f32">, D: number, eps: number): Vec<"f32"> {
  return b.div(b.f32(1), b.sqrt(b.add(b.mul(sum, b.f32(1 / D)), b.f32(eps))));
}

/** y = x + other, a row of D numbers, `other` in any float type. */
export function addRow(b: Builder, D: number, x: Cursor, other: Cursor, dtype: DType, y: Cursor): void {
  b.elements(
    D,
    (i, lanes) => {
      const sum = b.add(x.load(4 * i, lanes), loadFloat(other, dtype, BYTES[dtype] * i, lanes));
      y.store(4 * i, sum, lanes);
    },
    (k) => {
      for (const cursor of [x, y]) cursor.advance(4 * k);
      other.advance(BYTES[dtype] * k);
    },
  );
}

/** Copies a row of D numbers of any float type, widened. */
export function copyRow(b: Builder, D: number, from: Cursor, dtype: DType, to: Cursor): void {
  b.elements(
    D,
    (i, lanes) => to.store(4 * i, loadFloat(from, dtype, BYTES[dtype] * i, lanes), lanes),
    (k) => {
      from.advance(BYTES[dtype] * k);
      to.advance(4 * k);
    },
  );
}

/** Vectors copied before counting on. */
const COPY_UNROLL = 4;

/** Copies bytes as they are. */
export function copyBytes(b: Builder, bytes: number, from: Cursor, to: Cursor): void {
  const words = Math.floor(bytes / 4);
  b.elements(
    words,
    (i, lanes) => to.store(4 * i, from.loadI32(4 * i, lanes), lanes),
    (k) => {
      from.advance(4 * k);
      to.advance(4 * k);
    },
    COPY_UNROLL,
  );
  const rest = bytes - 4 * words;
  if (rest > 0) to.storeI8(0, from.loadI8(0, rest), rest);
}

/** A row of a weight [V, D] that lies in panels: its numbers are far from each other. A tile is a row. */
export function panelRowProgram(b: Builder, args: Args, D: number, dtype: WeightDType): void {
  const P = panelRows(b.target);
  const id = b.cursor(args.ids, b.tile.times(4)).readInt();
  const word = dtype === "float16" ? 2 : 4;
  const from = b.cursor(
    args.weight,
    id.dividedBy(P).times(panelBytes(b.target, dtype, D)),
    id.modulo(P).times(word),
  );
  const y = b.cursor(args.y, b.tile.times(4 * D));
  const together = dtype === "bfloat16" ? 2 : 1;
  const step = (numbers: number): void => {
    if (dtype === "bfloat16") {
      const pair = from.broadcastI32();
      y.store(0, b.as("f32", b.shl(pair, 16)), 1);
      if (numbers > 1) y.store(4, b.as("f32", b.and(pair, b.i32(0xffff0000))), 1);
    } else y.store(0, broadcastFloat(from, dtype, 0), 1);
    from.advance(P * word);
    y.advance(4 * numbers);
  };
  b.repeat(Math.floor(D / together), () => step(together));
  if (D % together > 0) step(D % together);
}
