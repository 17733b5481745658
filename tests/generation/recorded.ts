import { readFileSync } from "node:fs";
import { Tensor } from "../../src/tensor/tensor.ts";

/** Numbers as the recordings have them: infinities and NaN are strings. */
export type RecordedNumber = number | string;

export function recorded<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/generation/${name}`, import.meta.url), "utf8"));
}

export function toNumber(value: RecordedNumber): number {
  return value === "inf"
    ? Number.POSITIVE_INFINITY
    : value === "-inf"
      ? Number.NEGATIVE_INFINITY
      : Number(value);
}

export function scoresTensor(rows: readonly (readonly RecordedNumber[])[]): Tensor {
  return new Tensor("float32", [rows.length, rows[0].length], rows.flat().map(toNumber));
}

/** Recorded arguments, with tensors in their place. */
export function argumentOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("tensor" in value)) return value;
  return Tensor.fromNested(value.tensor as number[]);
}

/** The largest difference, relative to the larger magnitude; infinities and NaN must be the same. */
export function worst(got: ArrayLike<number>, expected: readonly RecordedNumber[]): number {
  let largest = got.length === expected.length ? 0 : Number.POSITIVE_INFINITY;
  for (const [i, value] of expected.entries()) {
    const e = toNumber(value);
    if (Object.is(got[i], e) || got[i] === e) continue;
    const difference = Math.abs(got[i] - e) / Math.max(1, Math.abs(e));
    largest = Math.max(largest, Number.isFinite(difference) ? difference : Number.POSITIVE_INFINITY);
  }
  return largest;
}
