import type { Device, Value, WeightDType, WeightSource } from "../../src/devices/device.ts";
import { cacheWrite } from "../../src/kernels/cache.ts";
import { add } from "../../src/kernels/rows.ts";
import type { DType } from "../../src/tensor/dtype.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import recorded from "../fixtures/tensor/dtypes.json" with { type: "json" };

/**
 * Defines a test.
 *
 * @param body is given a device that other tests use too, and the bytes that it holds
 */
export type On = (title: string, body: (device: Device, held: number) => Promise<void>) => void;

/** One row of numbers: [1, n] */
export function row(...numbers: number[]): Tensor {
  return new Tensor("float32", [1, numbers.length], numbers);
}

export function numbersOf(tensor: Tensor): number[] {
  return Array.from(tensor.data, Number);
}

/** x + other, noted down on the device that x is on. */
export function plus(x: Value, other: Value): Value {
  return x.device.run(add, { x, other }, {});
}

/** Writes a number into the pool [1, 1, n, 1]. */
export function write(pool: Value, slot: number, number: number): Value {
  const { device } = pool;
  const slots = device.upload(new Tensor("int32", [1], [slot]));
  return device.run(cacheWrite, { pool, x: device.upload(row(number)), slots }, { part: "values" });
}

export function poolOf(device: Device, slots = 3): Value {
  return device.allocate({ dtype: "float32", shape: [1, 1, slots, 1] });
}

/** The numbers of a Value that lives. */
export async function read(device: Device, value: Value): Promise<number[]> {
  const [tensor] = await device.step(() => [value]);
  return numbersOf(tensor);
}

/** A Value that lives, with the given numbers. */
export async function kept(device: Device, tensor: Tensor): Promise<Value> {
  const values: Value[] = [];
  await device.step(() => {
    values.push(device.keep(device.upload(tensor)));
    return [];
  });
  return values[0];
}

/** The bytes held, when all that was called before is done. */
export async function bytesHeld(device: Device): Promise<number> {
  await device.step(() => []);
  return device.bytes;
}

/** A promise's reason, where it is rejected. */
export async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (reason) {
    return reason;
  }
  throw new Error("it was not rejected");
}

/** The types of a checkpoint's tensors that PyTorch's conversions were recorded for. */
export const SOURCE_TYPES = Object.keys(recorded.converted) as (keyof typeof recorded.converted)[];
export const WEIGHT_TYPES: readonly WeightDType[] = ["float32", "float16", "bfloat16"];

/** The recorded matrix [3, 7] as a tensor of a checkpoint. Its bytes begin at an odd address. */
export function recordedSource(dtype: DType & keyof typeof recorded.converted): WeightSource {
  const bytes = Buffer.from(recorded.converted[dtype].source, "base64");
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  return { name: `${dtype}.weight`, dtype, shape: [3, 7], read: async () => shifted.subarray(1) };
}

/** What PyTorch makes of it. */
export function recordedBytes(dtype: keyof typeof recorded.converted, target: WeightDType): Buffer {
  return Buffer.from(recorded.converted[dtype][target], "base64");
}

export function bytesOf({ data }: Tensor): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
