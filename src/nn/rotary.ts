import type { Device, Value } from "../devices/device.ts";
import { rope } from "../kernels/rope.ts";
import { Tensor } from "../tensor/tensor.ts";

/** Rotary frequencies, and the factor on cosine and sine. */
export interface RotaryFrequencies {
  inv_freq: Float32Array;
  attention_scaling: number;
}

/** Cosine and sine of the angles by which each row's heads are turned, each [T, F]. All layers share them. */
export interface Rotary {
  cos: Value;
  sin: Value;
}

/**
 * Inside a step: the tables of F angles a row.
 *
 * @param angles [T, F], row by row
 * @param scaling a factor on cosine and sine
 */
export function rotaryOfAngles(device: Device, angles: Float32Array, F: number, scaling = 1): Rotary {
  const shape = [angles.length / F, F];
  const table = (f: (angle: number) => number): Value =>
    device.upload(
      new Tensor(
        "float32",
        shape,
        angles.map((angle) => f(angle) * scaling),
      ),
    );
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

/** Turns each head of a row by the row's angles. [T, H*d] -> [T, H*d] */
export function rotate(x: Value, heads: number, { cos, sin }: Rotary): Value {
  return x.device.run(rope, { x, cos, sin }, { heads });
}
