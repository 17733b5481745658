import type { Value, WeightDType } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { normal } from "./cases.ts";
import { expectSize, f32, float32, widened } from "./host.ts";

/** The cubic's free number: -0.75 in PyTorch's `interpolate`. */
const A = -0.75;

const { fround } = Math;

/** One output index along an axis: the four inputs that it is mixed from, and their shares. */
interface Taps {
  from: number[];
  share: number[];
}

/** Cubic interpolation of `size` numbers to `target`, corners not aligned; beyond the ends the outermost count on. */
function cubicTaps(size: number, target: number): Taps[] {
  const scale = fround(size / target);
  return Array.from({ length: target }, (_, i) => {
    const centre = fround(fround(scale * fround(i + 0.5)) - 0.5);
    const first = Math.floor(centre);
    const t = centre - first;
    const near = (x: number): number => ((A + 2) * x - (A + 3)) * x * x + 1;
    const far = (x: number): number => ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
    return {
      from: [-1, 0, 1, 2].map((k) => Math.min(size - 1, Math.max(0, first + k))),
      share: [far(t + 1), near(t), near(1 - t), far(2 - t)],
    };
  });
}

/**
 * Stretches learned positions of a square grid to a grid of another size, bicubically and without antialiasing. The
 * first `kept` rows (a class token's) stay as they are.
 *
 * weight [kept + S*S, D] in any float type -> [kept + height*width, D]; rows of the grid by y, then x
 */
export const interpolatePositions = kernel<
  { weight: Value },
  { kept: number; height: number; width: number }
>({
  name: "interpolate_positions",
  shape({ weight }, { kept, height, width }) {
    const count = weight.shape[0] - kept;
    expectSize("interpolate_positions", "positions", Math.floor(Math.sqrt(count)) ** 2, count);
    return float32(kept + height * width, weight.shape[1]);
  },
  reference({ weight, y }, { kept, height, width }) {
    const [positions, D] = weight.shape;
    const side = Math.sqrt(positions - kept);
    const [input, output] = [widened(weight), f32(y)];
    output.set(input.subarray(0, kept * D));
    const columns = cubicTaps(side, width);
    let at = kept * D;
    for (const row of cubicTaps(side, height))
      for (const column of columns) {
        for (let d = 0; d < D; d++) {
          let sum = 0;
          for (const [i, y] of row.from.entries())
            for (const [j, x] of column.from.entries())
              sum += row.share[i] * column.share[j] * input[(kept + y * side + x) * D + d];
          output[at + d] = sum;
        }
        at += D;
      }
  },
  tolerance: 2e-6,
  cases: {
    list: [
      { side: 1, D: 1, kept: 0, height: 1, width: 2, dtype: "float32" },
      { side: 3, D: 7, kept: 1, height: 5, width: 2, dtype: "float32" },
      { side: 5, D: 24, kept: 1, height: 4, width: 7, dtype: "bfloat16" },
      { side: 4, D: 33, kept: 0, height: 9, width: 3, dtype: "float16", scale: 1e4 },
      { side: 6, D: 5, kept: 0, height: 6, width: 6, dtype: "float32", scale: 1e-4 },
    ] satisfies PositionsCase[],
    trial: ({ side, D, kept, height, width, dtype, scale }: PositionsCase, random) => ({
      tensors: { weight: normal(random, [kept + side * side, D], scale, dtype) },
      params: { kept, height, width },
      loaded: ["weight"],
    }),
  },
});

interface PositionsCase {
  side: number;
  D: number;
  kept: number;
  height: number;
  width: number;
  dtype: WeightDType;
  scale?: number;
}
