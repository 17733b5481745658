import type { Device, Value, WeightDType, WeightSource } from "../../src/devices/device.ts";
import type { KernelInputs, Trial } from "../../src/devices/kernel.ts";
import type { AnyKernel } from "../../src/devices/recording_device.ts";
import { allocate, toFloat32 } from "../../src/tensor/dtype.ts";
import { sizeOf, Tensor } from "../../src/tensor/tensor.ts";

export type AnyTrial = Trial<KernelInputs, unknown>;
export type Tensors = Record<string, Tensor>;

/** The inputs that a trial has. */
export function tensorsOf(trial: AnyTrial): Tensors {
  const given = Object.entries(trial.tensors).filter(([, tensor]) => tensor !== undefined);
  return Object.fromEntries(given) as Tensors;
}

/** What the kernel's definition gives. */
export function referenceOf(kernel: AnyKernel, trial: AnyTrial): Tensor {
  const tensors = tensorsOf(trial);
  const spec = kernel.shape(tensors, trial.params);
  const data =
    kernel.inPlace === undefined
      ? allocate(spec.dtype, sizeOf(spec.shape))
      : tensors[kernel.inPlace].data.slice();
  const y = new Tensor(spec.dtype, spec.shape, data);
  kernel.reference({ ...tensors, y } as Parameters<AnyKernel["reference"]>[0], trial.params);
  return y;
}

/** The largest difference, as a part of the largest magnitude that is expected. Infinite where one is not a number. */
export function difference(got: Tensor, expected: Tensor): number {
  const [a, b] = [toFloat32(got.dtype, got.data), toFloat32(expected.dtype, expected.data)];
  let largest = 0;
  let furthest = 0;
  for (let i = 0; i < b.length; i++) {
    const distance = a[i] === b[i] ? 0 : Math.abs(a[i] - b[i]);
    if (Number.isNaN(distance)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, Math.abs(b[i]));
    furthest = Math.max(furthest, distance);
  }
  return furthest === 0 ? 0 : furthest / largest;
}

/** A tensor as if it stood in a checkpoint. */
export function sourceOf({ dtype, shape, data }: Tensor, name = "weight"): WeightSource {
  const { buffer, byteOffset, byteLength } = data;
  return { name, dtype, shape, read: async () => new Uint8Array(buffer, byteOffset, byteLength).slice() };
}

/** A kernel's inputs on a device: those that come from a checkpoint, and what it writes in place, live on. */
export class Prepared {
  readonly #device: Device;
  readonly #tensors: Tensors;
  readonly #living = new Map<string, Value>();

  private constructor(device: Device, tensors: Tensors) {
    this.#device = device;
    this.#tensors = tensors;
  }

  static async on(device: Device, kernel: AnyKernel, trial: AnyTrial): Promise<Prepared> {
    const prepared = new Prepared(device, tensorsOf(trial));
    for (const name of trial.loaded ?? []) {
      const tensor = prepared.#tensors[name];
      const layout = trial.panels?.includes(name) ? "panels" : undefined;
      if (tensor)
        prepared.#living.set(
          name,
          await device.load(sourceOf(tensor), tensor.dtype as WeightDType | "uint8", layout),
        );
    }
    if (kernel.inPlace !== undefined) {
      const name = kernel.inPlace;
      await device.step(() => {
        prepared.#living.set(name, device.keep(device.upload(prepared.#tensors[name])));
        return [];
      });
    }
    return prepared;
  }

  /** Inside a step. */
  inputs(): Record<string, Value> {
    const entries = Object.entries(this.#tensors).map(([name, tensor]): [string, Value] => [
      name,
      this.#living.get(name) ?? this.#device.upload(tensor),
    ]);
    return Object.fromEntries(entries);
  }

  living(name: string): Value {
    const value = this.#living.get(name);
    if (!value) throw new Error(`${name} does not live on`);
    return value;
  }

  free(): void {
    for (const value of this.#living.values()) this.#device.free(value);
  }
}
