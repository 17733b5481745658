import type { Builder } from "./ir.ts";
import type { LaneType, Vec } from "./vector.ts";

/*
 * Functions of f32 lanes. Coefficients are fitted by scripts/codegen/fit_functions.py.
 */

/**
 * Where `exp` stops falling: e^-60 = 9e-27 vanishes beside 1, and is still so large that what is multiplied with it
 * does not become a denormal number, which WebAssembly would compute with very slowly.
 */
const EXP_FLOOR = -60;
/** Above this, e^x would not be finite in the steps below. */
const EXP_CEILING = 88.37;

/** ln 2 in two parts, the first with so few bits that its multiples are exact. */
const [LN2_HIGH, LN2_LOW] = [0.693359375, -0.00021219444005469057];

/** (e^f - 1 - f) / f^2 for |f| <= ln 2 / 2, lowest power first. */
const EXP = [
  0.4999999403953552, 0.1666652113199234, 0.04166838899254799, 0.008368710055947304, 0.001381461275741458,
];

/** erf(x) = x P(x^2) / Q(x^2) for |x| <= 3.9, lowest power first. */
const ERF_P = [
  1.1283791065216064, 0.1896679401397705, 0.05266823247075081, 0.003738394705578685, 0.000285063375486061,
  2.066465867756051e-6,
];
const ERF_Q = [
  1, 0.5014216303825378, 0.113819420337677, 0.0149143747985363, 0.0011573880910873413, 3.8270005461527035e-5,
];
const ERF_END = 3.9;

/** Sum of coefficients[i] x^i. */
export function polynomial(b: Builder, x: Vec<"f32">, coefficients: readonly number[]): Vec<"f32"> {
  let sum = b.f32(coefficients[coefficients.length - 1]);
  for (let i = coefficients.length - 2; i >= 0; i--) sum = b.fma(sum, x, b.f32(coefficients[i]));
  return sum;
}

/**
 * e^x, to about one unit in the last place for x in [-60, 88.3]; beyond, the value at the nearer end. NaN stays.
 *
 * e^x = 2^n e^f with n the integer nearest to x / ln 2.
 */
export function exp(b: Builder, x: Vec<"f32">): Vec<"f32"> {
  const limited = b.min(b.f32(EXP_CEILING), b.max(b.f32(EXP_FLOOR), x));
  const n = b.round(b.mul(limited, b.f32(Math.LOG2E)));
  const f = b.fnma(n, b.f32(LN2_LOW), b.fnma(n, b.f32(LN2_HIGH), limited));
  const mantissa = polynomial(b, f, [1, 1, ...EXP]);
  return b.as("f32", b.add(b.as("i32", mantissa), b.shl(b.toI32(n), 23)));
}

/** 1 / (1 + e^-x) */
export function sigmoid(b: Builder, x: Vec<"f32">): Vec<"f32"> {
  const one = b.f32(1);
  return b.div(one, b.add(one, exp(b, b.negate(x))));
}

/** tanh x, to about 1e-7 of 1. */
export function tanh(b: Builder, x: Vec<"f32">): Vec<"f32"> {
  // 1 - 2 / (1 + e^2x)
  const one = b.f32(1);
  return b.sub(one, b.div(b.f32(2), b.add(one, exp(b, b.add(x, x)))));
}

/** The error function, to about 4e-7 of its value. */
export function erf(b: Builder, x: Vec<"f32">): Vec<"f32"> {
  const limited = b.min(b.f32(ERF_END), b.max(b.f32(-ERF_END), x));
  const square = b.mul(limited, limited);
  return b.div(b.mul(limited, polynomial(b, square, ERF_P)), polynomial(b, square, ERF_Q));
}

/** The sum of all lanes, in every lane. */
export function sumLanes(b: Builder, v: Vec<"f32">): Vec<"f32"> {
  return butterfly(b, v, (x, y) => b.add(x, y));
}

/** The largest of all lanes, in every lane. */
export function maxLanes(b: Builder, v: Vec<"f32">): Vec<"f32"> {
  return butterfly(b, v, (x, y) => b.max(x, y));
}

/** Combines lanes at ever smaller distances, so that in the end each has everything. */
export function butterfly<T extends LaneType>(
  b: Builder,
  v: Vec<T>,
  combine: (x: Vec<T>, y: Vec<T>) => Vec<T>,
): Vec<T> {
  let all = v;
  for (let distance = b.lanes >> 1; distance > 0; distance >>= 1) all = combine(all, b.swap(all, distance));
  return all;
}

/** Rows to columns: as many vectors as a vector has lanes; lane j of the result's i is lane i of the input's j. */
export function transpose<T extends LaneType>(b: Builder, rows: readonly Vec<T>[]): Vec<T>[] {
  if (rows.length !== b.lanes) throw b.error(`transpose: ${rows.length} vectors of ${b.lanes} lanes`);
  const result = [...rows];
  for (let distance = b.lanes >> 1; distance > 0; distance >>= 1) {
    const lower = b.as("mask", b.lanesI32(result.map((_, i) => (i & distance ? 0 : -1))));
    for (let i = 0; i < b.lanes; i++) {
      if (i & distance) continue;
      const [x, y] = [result[i], result[i + distance]];
      result[i] = b.select(lower, x, b.swap(y, distance));
      result[i + distance] = b.select(lower, b.swap(x, distance), y);
    }
  }
  return result;
}
