import type { Scanner } from "./grammar.ts";

/** Digits before and after the point that a number may have: as many as a float64 keeps apart. */
const WHOLE_DIGITS = 15;
const FRACTION_DIGITS = 12;
const SCALE = 10n ** BigInt(FRACTION_DIGITS);
const LARGEST = 10n ** BigInt(WHOLE_DIGITS) * SCALE - 1n;

export interface NumberBounds {
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  /** Of which a number is a multiple, with up to 12 digits after the point. */
  multipleOf?: number;
}

/** Numbers within bounds, written without an exponent. */
export class NumberScanner implements Scanner {
  readonly alphabet: string;
  /** In units of the last digit that is written. */
  readonly #least: bigint;
  readonly #most: bigint;
  readonly #fraction: number;
  readonly #step: bigint;

  constructor(bounds: NumberBounds, integer: boolean) {
    this.alphabet = integer ? "-0123456789" : "-.0123456789";
    this.#fraction = integer ? 0 : FRACTION_DIGITS;
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = bounds;
    this.#step = bounds.multipleOf === undefined ? 1n : scaled(bounds.multipleOf).units;
    this.#least = [ceiling(minimum), above(exclusiveMinimum)].reduce<bigint>(larger, -LARGEST);
    this.#most = [floor(maximum), below(exclusiveMaximum)].reduce<bigint>(smaller, LARGEST);
  }

  distance(text: string): number {
    if (text === "") return 1 + Math.min(...Array.from("-0123456789", (first) => this.distance(first)));
    const negative = text.startsWith("-");
    const digits = negative ? text.slice(1) : text;
    // Zero has no sign here.
    const least = negative ? larger(1n, -this.#most) : larger(0n, this.#least);
    const most = negative ? -this.#least : this.#most;
    if (digits === "") {
      return 1 + Math.min(...Array.from("0123456789", (first) => this.#toGo(first, least, most)));
    }
    return this.#toGo(digits, least, most);
  }

  /** Characters that are missing of a number between the bounds, which are not negative. */
  #toGo(digits: string, least: bigint, most: bigint): number {
    const parts = /^(0|[1-9][0-9]*)(?:\.([0-9]*))?$/.exec(digits);
    if (!parts || parts[1].length > WHOLE_DIGITS) return Number.POSITIVE_INFINITY;
    const [, whole, fraction] = parts;
    if (fraction !== undefined) return this.#fractionToGo(whole, fraction, least, most);
    const longest = whole === "0" ? 0 : WHOLE_DIGITS - whole.length;
    let best = Number.POSITIVE_INFINITY;
    for (let more = 0; more <= longest; more++) {
      const power = 10n ** BigInt(more);
      const from = BigInt(whole) * power * SCALE;
      const to = from + power * SCALE - 1n;
      best = Math.min(best, more + this.#finest(larger(from, least), smaller(to, most), 0));
    }
    return best;
  }

  #fractionToGo(whole: string, fraction: string, least: bigint, most: bigint): number {
    if (fraction.length > this.#fraction) return Number.POSITIVE_INFINITY;
    const unit = 10n ** BigInt(FRACTION_DIGITS - fraction.length);
    const from = BigInt(whole) * SCALE + BigInt(fraction || "0") * unit;
    const to = from + unit - 1n;
    return this.#finest(larger(from, least), smaller(to, most), fraction.length, true);
  }

  /**
   * Characters of a fraction that are needed for a number between two bounds.
   *
   * @param there digits of the fraction that are there
   * @param point whether the point is there, which wants a digit after it
   */
  #finest(from: bigint, to: bigint, there: number, point = false): number {
    if (from > to) return Number.POSITIVE_INFINITY;
    for (let places = point ? Math.max(there, 1) : there; places <= this.#fraction; places++) {
      const unit = commonMultiple(10n ** BigInt(FRACTION_DIGITS - places), this.#step);
      if (((from + unit - 1n) / unit) * unit > to) continue;
      return places - there + (point || places === 0 ? 0 : 1);
    }
    return Number.POSITIVE_INFINITY;
  }
}

function commonMultiple(a: bigint, b: bigint): bigint {
  let [divisor, rest] = [a, b];
  while (rest > 0n) [divisor, rest] = [rest, divisor % rest];
  return (a / divisor) * b;
}

/** Whether all digits of a number are among those that are written. */
export function isExact(bound: number): boolean {
  return scaled(bound).exact;
}

/** Of two numbers the larger; what is not there does not count. */
function larger(a: bigint, b: bigint | undefined): bigint {
  return b !== undefined && b > a ? b : a;
}

function smaller(a: bigint, b: bigint | undefined): bigint {
  return b !== undefined && b < a ? b : a;
}

/** A bound in units of the last digit, rounded down, and whether that is exact. */
function scaled(bound: number): { units: bigint; exact: boolean } {
  if (Math.abs(bound) >= 10 ** WHOLE_DIGITS) {
    return { units: bound > 0 ? LARGEST + 1n : -LARGEST - 1n, exact: true };
  }
  // The shortest digits that give this number, as whoever wrote the bound meant it.
  const [digits, exponent = "0"] = String(Math.abs(bound)).split("e");
  const [whole, fraction = ""] = digits.split(".");
  const shift = FRACTION_DIGITS + Number(exponent) - fraction.length;
  const all = BigInt(whole + fraction);
  const magnitude = shift >= 0 ? all * 10n ** BigInt(shift) : all / 10n ** BigInt(-shift);
  const exact = shift >= 0 || magnitude * 10n ** BigInt(-shift) === all;
  if (bound >= 0) return { units: magnitude, exact };
  return { units: exact ? -magnitude : -magnitude - 1n, exact };
}

function floor(bound: number | undefined): bigint | undefined {
  return bound === undefined ? undefined : scaled(bound).units;
}

function ceiling(bound: number | undefined): bigint | undefined {
  if (bound === undefined) return undefined;
  const { units, exact } = scaled(bound);
  return exact ? units : units + 1n;
}

function above(bound: number | undefined): bigint | undefined {
  return bound === undefined ? undefined : scaled(bound).units + 1n;
}

function below(bound: number | undefined): bigint | undefined {
  if (bound === undefined) return undefined;
  const { units, exact } = scaled(bound);
  return exact ? units - 1n : units;
}
