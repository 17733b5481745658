import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { Tensor } from "../tensor/tensor.ts";
import { normal } from "./cases.ts";
import { expectSize, f32, float32 } from "./host.ts";
import { ropeProgram } from "./rope_program.ts";

/**
 * Rotary position embedding, the half-split form: of each head's first 2F numbers, number j and number j + F are
 * turned by the row's j-th angle; numbers past 2F stay. Angles come as cosine and sine, because all layers share them,
 * and because sines of large angles are not exact on every device.
 *
 * x [T, H*d], cos and sin [T, F] -> [T, H*d]
 */
export const rope = kernel<{ x: Value; cos: Value; sin: Value }, { heads: number }>({
  name: "rope",
  shape({ x, cos, sin }, { heads }) {
    expectSize("rope", "rows of cos", cos.shape[0], x.shape[0]);
    expectSize("rope", "rows of sin", sin.shape[0], x.shape[0]);
    expectSize("rope", "columns of sin", sin.shape[1], cos.shape[1]);
    expectSize("rope", "columns of x over heads", x.shape[1] % heads, 0);
    const beyond = Math.max(0, 2 * cos.shape[1] - x.shape[1] / heads);
    expectSize("rope", "angles beyond a head", beyond, 0);
    return float32(...x.shape);
  },
  reference({ x, cos, sin, y }, { heads }) {
    const [T, D] = x.shape;
    const F = cos.shape[1];
    const [input, output, cosines, sines] = [f32(x), f32(y), f32(cos), f32(sin)];
    output.set(input);
    for (let t = 0; t < T; t++)
      for (let h = 0; h < heads; h++) {
        const base = t * D + h * (D / heads);
        for (let j = 0; j < F; j++) {
          const [a, b] = [input[base + j], input[base + F + j]];
          const [cosine, sine] = [cosines[t * F + j], sines[t * F + j]];
          output[base + j] = a * cosine - b * sine;
          output[base + F + j] = b * cosine + a * sine;
        }
      }
  },
  vector({ x, cos }, { heads }) {
    const [T, D] = x.shape;
    const F = cos.shape[1];
    return {
      key: `${D} ${heads} ${F}`,
      tiles: T,
      rows: true,
      build: (b, args) => ropeProgram(b, args, heads, D / heads, F),
    };
  },
  tolerance: 2e-6,
  cases: {
    list: [
      { T: 1, heads: 1, dim: 2, F: 1 },
      { T: 1, heads: 3, dim: 10, F: 5 },
      { T: 7, heads: 2, dim: 10, F: 3 },
      { T: 45, heads: 3, dim: 64, F: 32 },
      { T: 5, heads: 2, dim: 80, F: 40, scaling: 1.19 },
      { T: 17, heads: 1, dim: 128, F: 64 },
      { T: 4, heads: 5, dim: 36, F: 9, scaling: 0.83 },
      { T: 3, heads: 2, dim: 24, F: 12, scale: 1e4 },
      { T: 3, heads: 2, dim: 24, F: 12, scale: 1e-4 },
    ] satisfies RopeCase[],
    trial({ T, heads, dim, F, scaling = 1, scale }: RopeCase, random) {
      const angles = Float32Array.from({ length: T * F }, () => 2 * Math.PI * random());
      const cos = new Tensor(
        "float32",
        [T, F],
        angles.map((angle) => Math.cos(angle) * scaling),
      );
      const sin = new Tensor(
        "float32",
        [T, F],
        angles.map((angle) => Math.sin(angle) * scaling),
      );
      return { tensors: { x: normal(random, [T, heads * dim], scale), cos, sin }, params: { heads } };
    },
  },
});

/** `scaling` is the factor on cosine and sine, `scale` the magnitude of `x`. */
interface RopeCase {
  T: number;
  heads: number;
  dim: number;
  F: number;
  scaling?: number;
  scale?: number;
}
