import type { Cursor } from "../codegen/cursor.ts";
import { dotBf16 } from "../codegen/dots.ts";
import type { Builder } from "../codegen/ir.ts";
import { PANEL_VECTORS } from "../codegen/panels.ts";
import type { Target } from "../codegen/target.ts";
import type { Acc, Vec } from "../codegen/vector.ts";
import type { WeightDType } from "../devices/device.ts";
import type { DType } from "../tensor/dtype.ts";

/*
 * A product goes through weights and input unit by unit: a column, or the pair of columns that a bfloat16 weight keeps
 * together. `codegen/panels.ts` says how weights lie; an input [T, K] lies in panels of R rows:
 *
 *   "singles"   [T / R][K][R] float32; K even where the weight keeps pairs
 *   "pairs"     [T / R][K / 2][R][2] bfloat16
 */

/** A product with a weight in panels as a program sees it. */
export interface LinearShape {
  /** Columns of x and of the weight. */
  K: number;
  /** Rows of the weight: columns of y. */
  N: number;
  weight: WeightDType;
  /** undefined: no bias. */
  bias: DType | undefined;
  /** x is rounded to bfloat16. */
  rounded: boolean;
}

/** Rows of x whose sums have registers, two vectors each: as many are in a panel. */
export function inputPanel(target: Target): number {
  return target.registers === 32 ? 12 : target.name === "avx2" ? 6 : 4;
}

/** Whether many rows are multiplied by matrix tiles, and few in the same order. */
export function multipliesTiles(target: Target, { weight, rounded }: LinearShape): boolean {
  return rounded && weight === "bfloat16" && target.bf16Tiles;
}

/** Whether products are of pairs of bfloat16, by the processor's own instruction. */
export function multipliesPairs(target: Target, shape: LinearShape): boolean {
  return shape.rounded && shape.weight === "bfloat16" && target.bf16Dot && !multipliesTiles(target, shape);
}

/** Columns of a unit. */
export function unitColumns({ weight }: LinearShape): number {
  return weight === "bfloat16" ? 2 : 1;
}

/** Units of a row. */
export function units(shape: LinearShape): number {
  return Math.ceil(shape.K / unitColumns(shape));
}

/** Bytes of a unit of a panel of weights. */
export function weightUnitBytes(target: Target, { weight }: LinearShape): number {
  return PANEL_VECTORS * target.lanes * (weight === "float16" ? 2 : 4);
}

/** Bytes of a unit of a panel of R rows of input. */
export function inputUnitBytes(target: Target, shape: LinearShape, R: number): number {
  return R * (multipliesPairs(target, shape) ? 4 : 4 * unitColumns(shape));
}

/** The sums of some rows: acc[m][v] is vector v of row m. */
export type Sums = readonly (readonly Acc<"f32">[])[];

/**
 * acc[m][v] += the products of unit `u`, counted from where the cursors stand.
 *
 * @param second where the second column of a pair is added, if not to the same sums
 */
export function multiplyUnit(
  b: Builder,
  shape: LinearShape,
  acc: Sums,
  w: Cursor,
  x: Cursor,
  u: number,
  second: Sums = acc,
): void {
  const R = acc.length;
  const at = (v: number): number => u * weightUnitBytes(b.target, shape) + v * b.lanes * 4;
  const from = u * inputUnitBytes(b.target, shape, R);
  if (multipliesPairs(b.target, shape)) {
    const pairs = vectors((v) => w.loadBytes(at(v), "bf16"));
    for (const [m, row] of acc.entries()) {
      const pair = x.broadcastBytes(from + 4 * m, "bf16");
      for (const [v, sum] of row.entries()) dotBf16(b, sum, pairs[v], pair);
    }
    return;
  }
  const column = (sums: Sums, weights: readonly Vec<"f32">[], first: number): void => {
    for (const [m, row] of sums.entries()) {
      const factor = x.broadcast(first + 4 * m);
      for (const [v, sum] of row.entries()) sum.fma(weights[v], factor);
    }
  };
  if (shape.weight !== "bfloat16") {
    const half = shape.weight === "float16";
    const offset = (v: number): number => (half ? at(0) + v * b.lanes * 2 : at(v));
    column(
      acc,
      vectors((v) => (half ? w.loadF16(offset(v)) : w.load(offset(v)))),
      from,
    );
    return;
  }
  // Of the two halves of a word, the upper one is a float32 without its lower bits.
  column(
    acc,
    vectors((v) => b.as("f32", b.shl(w.loadI32(at(v)), 16))),
    from,
  );
  column(
    second,
    vectors((v) => b.as("f32", b.and(w.loadI32(at(v)), b.i32(0xffff0000)))),
    from + 4 * R,
  );
}

function vectors<T>(make: (v: number) => T): T[] {
  return Array.from({ length: PANEL_VECTORS }, (_, v) => make(v));
}
