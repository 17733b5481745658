import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { expectSize, f32, float32, i32 } from "./host.ts";

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
  tolerance: 2e-6,
});
