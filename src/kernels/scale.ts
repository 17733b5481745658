import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { normal } from "./cases.ts";
import { f32, float32 } from "./host.ts";
import { mapRow, rowOf } from "./row_programs.ts";

/** y = x * factor. [T, D] -> [T, D] */
export const scale = kernel<{ x: Value }, { factor: number }>({
  name: "scale",
  shape: ({ x }) => float32(...x.shape),
  reference({ x, y }, { factor }) {
    const [input, output, f] = [f32(x), f32(y), Math.fround(factor)];
    for (let i = 0; i < output.length; i++) output[i] = input[i] * f;
  },
  vector({ x }, { factor }) {
    const [T, D] = x.shape;
    return {
      key: `${D} ${factor}`,
      tiles: T,
      build(b, args) {
        const [from, to] = [rowOf(b, args.x, b.tile, D), rowOf(b, args.y, b.tile, D)];
        mapRow(b, D, [from], to, (v) => b.mul(v, b.f32(factor)));
      },
    };
  },
  tolerance: 1e-7,
  cases: {
    list: [
      { T: 1, D: 1, factor: 45.25 },
      { T: 3, D: 7, factor: Math.sqrt(7) },
      { T: 45, D: 65, factor: -0.3, scale: 1e4 },
      { T: 5, D: 130, factor: 1e-3, scale: 1e-4 },
    ] satisfies ScaleCase[],
    trial: ({ T, D, factor, scale }: ScaleCase, random) => ({
      tensors: { x: normal(random, [T, D], scale) },
      params: { factor },
    }),
  },
});

/** `scale` is the magnitude of `x`. */
interface ScaleCase {
  T: number;
  D: number;
  factor: number;
  scale?: number;
}
