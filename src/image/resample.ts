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

/**
 * Resizes each row by `windows`, clipping to 8 bits. [rows, input] -> [rows, output]
 *
 * Four rows go side by side, so that a weight is fetched once for all; past the end they are the last row again.
 */
export function resizeRows(source: Uint8Array, rows: number, windows: FixedWindows): Uint8Array {
  const { starts, counts, weights, stride, shift } = windows;
  const output = starts.length;
  const input = source.length / rows;
  const target = new Uint8ClampedArray(rows * output);
  const half = 1 << (shift - 1);
  for (let a = 0; a < rows; a += 4) {
    const b = Math.min(a + 1, rows - 1);
    const c = Math.min(a + 2, rows - 1);
    const d = Math.min(a + 3, rows - 1);
    for (let i = 0; i < output; i++) {
      let fromA = a * input + starts[i];
      let fromB = b * input + starts[i];
      let fromC = c * input + starts[i];
      let fromD = d * input + starts[i];
      let [sumA, sumB, sumC, sumD] = [half, half, half, half];
      const end = i * stride + counts[i];
      for (let w = i * stride; w < end; w++) {
        const weight = weights[w];
        sumA = (sumA + Math.imul(source[fromA++], weight)) | 0;
        sumB = (sumB + Math.imul(source[fromB++], weight)) | 0;
        sumC = (sumC + Math.imul(source[fromC++], weight)) | 0;
        sumD = (sumD + Math.imul(source[fromD++], weight)) | 0;
      }
      target[a * output + i] = sumA >> shift;
      target[b * output + i] = sumB >> shift;
      target[c * output + i] = sumC >> shift;
      target[d * output + i] = sumD >> shift;
    }
  }
  return new Uint8Array(target.buffer);
}

/**
 * Resizes each column by `windows`, clipping to 8 bits. [planes, input, width] -> [planes, output, width]
 *
 * Four rows of a window are added at a time, so that a sum is fetched once for all; past the window's end weights are 0.
 */
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
      const count = counts[i];
      const first = plane * input + starts[i];
      const row = (j: number): number => (first + Math.min(j, count - 1)) * width;
      const weight = (j: number): number => (j < count ? weights[i * stride + j] : 0);
      sums.fill(half);
      for (let j = 0; j < count; j += 4) {
        const [a, b, c, d] = [row(j), row(j + 1), row(j + 2), row(j + 3)];
        const [wa, wb, wc, wd] = [weight(j), weight(j + 1), weight(j + 2), weight(j + 3)];
        for (let x = 0; x < width; x++) {
          const near = Math.imul(source[a + x], wa) + Math.imul(source[b + x], wb);
          const far = Math.imul(source[c + x], wc) + Math.imul(source[d + x], wd);
          sums[x] = (sums[x] + near + far) | 0;
        }
      }
      const to = (plane * output + i) * width;
      for (let x = 0; x < width; x++) target[to + x] = sums[x] >> shift;
    }
  }
  return new Uint8Array(target.buffer);
}
