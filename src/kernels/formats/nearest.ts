import type { Builder } from "../../codegen/ir.ts";
import type { Vec } from "../../codegen/vector.ts";

/** Which whole numbers there are. */
interface Range {
  readonly least: number;
  readonly most: number;
}

/** Added to a number of moderate size, leaves no digits behind the point: rounded to nearest, halves to even. */
const WHOLE = 1.5 * 2 ** 52;

/** The nearest whole number of a range, halves to the even one; the least for NaN. Whole models go through here. */
export function nearest({ least, most }: Range, x: number): number {
  const above = x > least ? x : least;
  return (above < most ? above : most) + WHOLE - WHOLE;
}

/** The same in every lane. */
export function nearestCodes(b: Builder, { least, most }: Range, x: Vec<"f32">): Vec<"f32"> {
  return b.round(b.min(b.max(x, b.f32(least)), b.f32(most)));
}
