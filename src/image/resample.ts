import type { Windows } from "./filters.ts";

/** Windows whose weights are whole numbers: weight * 2^shift. */
export interface FixedWindows extends Omit<Windows, "weights"> {
  readonly weights: Int32Array;
  readonly shift: number;
}

/** The windows with weights in fixed point, rounded half away from zero. */
export function fixedPoint(windows: Windows, shift: number): FixedWindows {
  const one = 2 ** shift;
  const weights = Int32Array.from(windows.weights, (w) => Math.trunc(w * one + (w < 0 ? -0.5 : 0.5)));
  return { ...windows, weights, shift };
}

/** Resizes each row by `windows`, clipping to 8 bits. [rows, input] -> [rows, output] */
export function resizeRows(source: Uint8Array, rows: number, windows: FixedWindows): Uint8Array {
  const { starts, counts, weights, stride, shift } = windows;
  const output = starts.length;
  const input = source.length / rows;
  const target = new Uint8ClampedArray(rows * output);
  const half = 1 << (shift - 1);
  for (let row = 0; row < rows; row++) {
    const from = row * input;
    const to = row * output;
    for (let i = 0; i < output; i++) {
      const first = from + starts[i];
      const firstWeight = i * stride;
      const count = counts[i];
      let sum = half;
      for (let j = 0; j < count; j++) sum += Math.imul(source[first + j], weights[firstWeight + j]);
      target[to + i] = sum >> shift;
    }
  }
  return new Uint8Array(target.buffer);
}

/** Resizes each column by `windows`, clipping to 8 bits. [planes, input, width] -> [planes, output, width] */
export function resizeColumns(
  source: Uint8Array,
  planes: number,
  width: number,
  windows: FixedWindows,
): Uint8Array {
  const { starts, counts, weights, stride, shift } = windows;
  const output = starts.length;
  const input = source.length / planes / width;
  const target = new Uint8ClampedArray(planes * output * width);
  const sums = new Int32Array(width);
  const half = 1 << (shift - 1);
  for (let plane = 0; plane < planes; plane++) {
    for (let i = 0; i < output; i++) {
      sums.fill(half);
      for (let j = 0; j < counts[i]; j++) {
        const weight = weights[i * stride + j];
        const from = (plane * input + starts[i] + j) * width;
        for (let x = 0; x < width; x++) sums[x] += Math.imul(source[from + x], weight);
      }
      const to = (plane * output + i) * width;
      for (let x = 0; x < width; x++) target[to + x] = sums[x] >> shift;
    }
  }
  return new Uint8Array(target.buffer);
}
