import { roundHalfEven } from "../tensor/dtype.ts";
import { FILTERS, type Filter, type Windows, windows } from "./filters.ts";
import { allocateLike, type PixelArray, pickPlaces, type Size } from "./pixels.ts";
import { fixedPoint, resizeColumns, resizeRows } from "./resample.ts";

/** The modes that torchvision resizes tensors with. */
export type TorchvisionMode = "bilinear" | "bicubic" | "lanczos" | "nearest-exact";

/**
 * Resizes planes as `torchvision.transforms.v2.functional.resize(antialias=True)` does on the CPU.
 *
 * 8-bit pictures are resized in 16-bit fixed point, bit for bit; whole numbers go through float32 and are
 * rounded; floats stay floats and are not clipped.
 *
 * @param data [planes, height, width]
 * @returns [planes, new height, new width]
 */
export function resizeTorchvision<A extends PixelArray>(
  data: A,
  planes: number,
  from: Size,
  to: Size,
  mode: TorchvisionMode,
): A {
  if (from[0] === to[0] && from[1] === to[1]) return data;
  if (mode === "nearest-exact") {
    return pickPlaces(data, planes, from, nearestExact(from[0], to[0]), nearestExact(from[1], to[1]));
  }
  const filter: Filter = FILTERS[mode];
  if (data instanceof Uint8Array) return resizeBytes(data, planes, from, to, filter) as A;
  return resizeNumbers(data, planes, from, to, filter) as A;
}

function nearestExact(input: number, output: number): Int32Array {
  const scale = Math.fround(input / output);
  return Int32Array.from({ length: output }, (_, i) =>
    Math.min(input - 1, Math.floor(Math.fround((i + 0.5) * scale))),
  );
}

function resizeBytes(data: Uint8Array, planes: number, from: Size, to: Size, filter: Filter): Uint8Array {
  let out = data;
  if (to[1] !== from[1]) {
    const across = windows(filter, from[1], to[1]);
    out = resizeRows(out, planes * from[0], fixedPoint(across, precision(across)));
  }
  if (to[0] !== from[0]) {
    const down = windows(filter, from[0], to[0]);
    out = resizeColumns(out, planes, to[1], fixedPoint(down, precision(down)));
  }
  return out;
}

/** The most bits behind the point, at most 22, with which the largest weight still fits into 16 signed bits. */
function precision({ weights }: Windows): number {
  const largest = weights.reduce((max, weight) => Math.max(max, weight), 0);
  let bits = 0;
  while (bits < 22 && Math.trunc(0.5 + largest * 2 ** (bits + 1)) < 2 ** 15) bits++;
  return bits;
}

function resizeNumbers(
  data: Exclude<PixelArray, Uint8Array>,
  planes: number,
  from: Size,
  to: Size,
  filter: Filter,
): PixelArray {
  const whole = data instanceof Int32Array;
  let out: Float32Array | Float64Array = whole ? Float32Array.from(data) : data;
  if (to[1] !== from[1]) {
    out = weigh(out, planes * from[0], from[1], 1, windows(filter, from[1], to[1]));
  }
  if (to[0] !== from[0]) out = weigh(out, planes, from[0], to[1], windows(filter, from[0], to[0]));
  return whole ? Int32Array.from(out, roundHalfEven) : out;
}

/** Resizes the middle axis. [outer, input, inner] -> [outer, output, inner] */
function weigh<A extends Float32Array | Float64Array>(
  source: A,
  outer: number,
  input: number,
  inner: number,
  { starts, counts, weights, stride }: Windows,
): A {
  const output = starts.length;
  const target = allocateLike(source, outer * output * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < output; i++) {
      const to = (o * output + i) * inner;
      for (let x = 0; x < inner; x++) {
        let sum = 0;
        for (let j = 0; j < counts[i]; j++) {
          sum += source[(o * input + starts[i] + j) * inner + x] * weights[i * stride + j];
        }
        target[to + x] = sum;
      }
    }
  }
  return target;
}
