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

/** Positions whose angles are kept at most. */
const POSITIONS = 2 ** 16;

/** Tables for frequencies that never change: a position's angles are computed once, which takes longer than to note kernels down. */
export class PositionTables {
  readonly #frequencies: RotaryFrequencies;
  /** By position: cosines, then sines, [2F]. */
  readonly #kept = new Map<number, Float32Array>();

  constructor(frequencies: RotaryFrequencies) {
    this.#frequencies = frequencies;
  }

  /** Inside a step: those of rows at these positions. */
  at(device: Device, positions: readonly number[]): Rotary {
    const F = this.#frequencies.inv_freq.length;
    const cos = new Float32Array(positions.length * F);
    const sin = new Float32Array(positions.length * F);
    for (const [t, position] of positions.entries()) {
      const row = this.#row(position);
      cos.set(row.subarray(0, F), t * F);
      sin.set(row.subarray(F), t * F);
    }
    const upload = (data: Float32Array): Value =>
      device.upload(new Tensor("float32", [positions.length, F], data));
    return { cos: upload(cos), sin: upload(sin) };
  }

  #row(position: number): Float32Array {
    const known = this.#kept.get(position);
    if (known) return known;
    const { inv_freq, attention_scaling } = this.#frequencies;
    const angles = inv_freq.map((frequency) => position * frequency);
    const row = new Float32Array(2 * angles.length);
    for (const [j, angle] of angles.entries()) {
      row[j] = Math.cos(angle) * attention_scaling;
      row[angles.length + j] = Math.sin(angle) * attention_scaling;
    }
    if (this.#kept.size >= POSITIONS) this.#kept.clear();
    this.#kept.set(position, row);
    return row;
  }
}

/** Turns each head of a row by the row's angles. [T, H*d] -> [T, H*d] */
export function rotate(x: Value, heads: number, { cos, sin }: Rotary): Value {
  return x.device.run(rope, { x, cos, sin }, { heads });
}
