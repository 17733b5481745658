// Numbers as Python and NumPy print, round, add and read them.

import { asciiDigits, strip } from "./text.ts";

/**
 * `f"{x:.{digits}f}"`: the exact binary value rounded, ties to the even digit. (`toFixed` rounds ties up: 3.125 is
 * 3.12 here and 3.13 there.)
 */
export function fixed(x: number, digits: number): string {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  const sign = x < 0 || Object.is(x, -0) ? "-" : "";
  const { mantissa, exponent } = parts(Math.abs(x));
  const scaled = mantissa * 10n ** BigInt(digits);
  const whole = exponent >= 0 ? scaled << BigInt(exponent) : shiftToEven(scaled, BigInt(-exponent));
  const text = whole.toString().padStart(digits + 1, "0");
  if (digits === 0) return sign + text;
  return `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** A positive double as mantissa * 2^exponent. */
function parts(x: number): { mantissa: bigint; exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const biased = Number(bits >> 52n);
  const fraction = bits & 0xfffffffffffffn;
  return biased === 0
    ? { mantissa: fraction, exponent: -1074 }
    : { mantissa: fraction | 0x10000000000000n, exponent: biased - 1075 };
}

/** value / 2^shift, rounded, ties to even. */
function shiftToEven(value: bigint, shift: bigint): bigint {
  const quotient = value >> shift;
  const twice = (value - (quotient << shift)) * 2n;
  const one = 1n << shift;
  const up = twice > one || (twice === one && (quotient & 1n) === 1n);
  return up ? quotient + 1n : quotient;
}

/** `repr(float)`: the shortest text that reads back; whole numbers keep ".0". */
export function repr(x: number): string {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  const sign = x < 0 || Object.is(x, -0) ? "-" : "";
  const [mantissa, power] = Math.abs(x).toExponential().split("e");
  const digits = mantissa.replace(".", "");
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
    const size = String(Math.abs(exponent)).padStart(2, "0");
    return `${sign}${digits[0]}${fraction}e${exponent < 0 ? "-" : "+"}${size}`;
  }
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}

/** Python's `round(x, digits)`. */
export function round(x: number, digits: number): number {
  return Number.isFinite(x) ? Number(fixed(x, digits)) : x;
}

/** NumPy's `round(x, 1)`: x * 10, half to even, / 10. Not the same as Python's: 39.65 is 39.6, 55.55 is 55.6. */
export function numpyRound(x: number): number {
  const tenfold = x * 10;
  const below = Math.floor(tenfold);
  const rest = tenfold - below;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 !== 0);
  const nearest = up ? below + 1 : below;
  return nearest === 0 && x < 0 ? -0 : nearest / 10;
}

/** Python's `sum` of floats: from the left. */
export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** NumPy's sum of a row: eight running sums from 8 values on, halves above 128. */
export function numpySum(values: readonly number[]): number {
  const n = values.length;
  if (n < 8) return sum(values);
  if (n > 128) {
    const half = Math.floor(n / 2);
    const cut = half - (half % 8);
    return numpySum(values.slice(0, cut)) + numpySum(values.slice(cut));
  }
  const r = values.slice(0, 8);
  let i = 8;
  for (; i < n - (n % 8); i += 8) for (let j = 0; j < 8; j++) r[j] += values[i + j];
  let total = r[0] + r[1] + (r[2] + r[3]) + (r[4] + r[5] + (r[6] + r[7]));
  for (; i < n; i++) total += values[i];
  return total;
}

/** NumPy's population deviation. */
export function numpyStd(values: readonly number[]): number {
  const mean = numpySum(values) / values.length;
  return Math.sqrt(numpySum(values.map((value) => (value - mean) * (value - mean))) / values.length);
}

/** `float(text)`, or undefined where Python raises. */
export function parseFloatText(text: string): number | undefined {
  const plain = withoutUnderscores(asciiDigits(strip(text)));
  if (plain === undefined) return undefined;
  const word = /^([+-]?)(inf|infinity|nan)$/i.exec(plain);
  if (word) {
    if (/^nan$/i.test(word[2])) return Number.NaN;
    return word[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : undefined;
}

/** `int(text)`, or undefined where Python raises. A number where that is exact, else a bigint. */
export function parseIntText(text: string): number | bigint | undefined {
  const plain = withoutUnderscores(asciiDigits(strip(text)));
  if (plain === undefined || !/^[+-]?\d+$/.test(plain)) return undefined;
  const digits = plain.replace(/^[+-]/, "");
  if (digits.length > MAX_DIGITS) return undefined;
  const value = plain.startsWith("-") ? -BigInt(digits) : BigInt(digits);
  return narrow(value);
}

/** Python reads no integer of more digits than this from a text. */
export const MAX_DIGITS = 4300;

/** A number where that is exact. */
export function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Takes out single underscores between digits; undefined where one stands elsewhere. */
function withoutUnderscores(text: string): string | undefined {
  const plain = text.replace(/(?<=\d)_(?=\d)/g, "");
  return plain.includes("_") ? undefined : plain;
}
