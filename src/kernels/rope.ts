import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { Tensor } from "../tensor/tensor.ts";
import { integers, normal } from "./cases.ts";
import { expectSize, f32, float32, i32 } from "./host.ts";
import { ropeProgram } from "./rope_program.ts";

/**
 * Rotary position embedding, the half-split form: of each head's first 2F numbers, number j and number j + F are
 * turned by position * inv_freq[j]; numbers past 2F stay.
 *
 * x [T, H*d], positions int32 [T], inv_freq [F] -> [T, H*d]. Angles are float32 products, as in Transformers.
 */
export const rope = kernel<
  { x: Value; positions: Value; inv_freq: Value },
  { heads: number; scaling: number }
>({
  name: "rope",
  shape({ x, positions }, { heads }) {
    expectSize("rope", "positions", positions.shape[0], x.shape[0]);
    expectSize("rope", "columns of x over heads", x.shape[1] % heads, 0);
    return float32(...x.shape);
  },
  reference({ x, positions, inv_freq, y }, { heads, scaling }) {
    const [T, D] = x.shape;
    const [input, output, at, inverse] = [f32(x), f32(y), i32(positions), f32(inv_freq)];
    const F = inverse.length;
    const cosine = new Float32Array(F);
    const sine = new Float32Array(F);
    output.set(input);
    for (let t = 0; t < T; t++) {
      for (let j = 0; j < F; j++) {
        const angle = Math.fround(at[t] * inverse[j]);
        cosine[j] = Math.cos(angle) * scaling;
        sine[j] = Math.sin(angle) * scaling;
      }
      for (let h = 0; h < heads; h++) {
        const base = t * D + h * (D / heads);
        for (let j = 0; j < F; j++) {
          const [a, b] = [input[base + j], input[base + F + j]];
          output[base + j] = a * cosine[j] - b * sine[j];
          output[base + F + j] = b * cosine[j] + a * sine[j];
        }
      }
    }
  },
  vector({ x, inv_freq }, { heads, scaling }) {
    const [T, D] = x.shape;
    const F = inv_freq.shape[0];
    return {
      key: `${D} ${heads} ${F} ${scaling}`,
      tiles: T,
      build: (b, args) => ropeProgram(b, args, heads, D / heads, F, scaling),
    };
  },
  tolerance: 2e-6,
  cases: {
    list: [
      { T: 1, heads: 1, dim: 2, F: 1, positions: 2 },
      { T: 1, heads: 3, dim: 10, F: 5, positions: 100 },
      { T: 7, heads: 2, dim: 10, F: 3, positions: 4096 },
      { T: 45, heads: 3, dim: 64, F: 32, positions: 4096 },
      { T: 5, heads: 2, dim: 80, F: 40, positions: 300, scaling: 1.19 },
      { T: 17, heads: 1, dim: 128, F: 64, positions: 40_000 },
      { T: 4, heads: 5, dim: 36, F: 9, positions: 131_072, scaling: 0.83 },
      { T: 3, heads: 2, dim: 24, F: 12, positions: 50, scale: 1e4 },
      { T: 3, heads: 2, dim: 24, F: 12, positions: 50, scale: 1e-4 },
    ] satisfies RopeCase[],
    trial({ T, heads, dim, F, positions, scaling = 1, scale }: RopeCase, random) {
      const inverse = Float32Array.from({ length: F }, (_, j) => 1 / 50_000 ** (j / F));
      return {
        tensors: {
          x: normal(random, [T, heads * dim], scale),
          positions: integers(random, T, 0, positions),
          inv_freq: new Tensor("float32", [F], inverse),
        },
        params: { heads, scaling },
      };
    },
  },
});

/** `positions` are below the number given; `scale` is the magnitude of `x`. */
interface RopeCase {
  T: number;
  heads: number;
  dim: number;
  F: number;
  positions: number;
  scaling?: number;
  scale?: number;
}
