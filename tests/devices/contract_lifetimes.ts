import { expect } from "vitest";
import { LlavaError } from "../../src/base/errors.ts";
import type { Value } from "../../src/devices/device.ts";
import {
  bytesHeld,
  bytesOf,
  kept,
  numbersOf,
  type On,
  plus,
  poolOf,
  read,
  reasonOf,
  recordedBytes,
  recordedSource,
  row,
  SOURCE_TYPES,
  WEIGHT_TYPES,
  write,
} from "./support.ts";

/** How long Values live, and what they hold. */
export function lifetimes(on: On): void {
  on("what a step makes ends with it", async (device, held) => {
    let upload: Value | undefined;
    let output: Value | undefined;
    await device.step(() => {
      upload = device.upload(row(1, 2));
      output = plus(upload, upload);
      return [output];
    });
    expect(device.bytes).toBe(held);
    for (const value of [upload, output] as Value[]) {
      expect(await reasonOf(device.step(() => [value]))).toBeInstanceOf(LlavaError);
      expect(await reasonOf(device.step(() => [plus(value, value)]))).toBeInstanceOf(LlavaError);
    }
    expect(await device.step(() => [plus(device.upload(row(3)), device.upload(row(4)))])).toEqual([row(7)]);
  });

  on("what is kept lives until it is freed", async (device, held) => {
    const values: Value[] = [];
    await device.step(() => {
      const x = device.upload(row(1, 2));
      const sum = plus(x, x);
      values.push(device.keep(x), device.keep(plus(sum, x)));
      expect(values[0]).toBe(x);
      return [sum];
    });
    const [x, sum] = values;
    expect(device.bytes).toBeGreaterThanOrEqual(held + 16);
    expect(await read(device, x)).toEqual([1, 2]);
    expect(numbersOf((await device.step(() => [plus(sum, x)]))[0])).toEqual([4, 8]);
    device.free(x);
    expect(await reasonOf(device.step(() => [x]))).toBeInstanceOf(LlavaError);
    expect(await read(device, sum)).toEqual([3, 6]);
    device.free(sum);
    expect(await bytesHeld(device)).toBe(held);
  });

  on("what one step keeps, the next can use before it is computed", async (device, held) => {
    const values: Value[] = [];
    const first = device.step(() => {
      values.push(device.keep(plus(device.upload(row(1, 2)), device.upload(row(5, 5)))));
      return [];
    });
    const second = device.step(() => [plus(values[0], values[0])]);
    device.free(values[0]);
    expect(numbersOf((await second)[0])).toEqual([12, 14]);
    await first;
    expect(await bytesHeld(device)).toBe(held);
  });

  on("what is allocated is zero, and counted until it is freed", async (device, held) => {
    const values = [1, 45, 64, 1000].map((size) => device.allocate({ dtype: "float32", shape: [1, size] }));
    expect(device.bytes).toBeGreaterThanOrEqual(held + 4 * 1110);
    for (const value of values)
      expect((await read(device, value)).every((number) => number === 0)).toBe(true);
    for (const value of values) device.free(value);
    expect(await bytesHeld(device)).toBe(held);
  });

  on("memory that was used before is zero again", async (device) => {
    for (let i = 0; i < 3; i++) {
      const pool = poolOf(device, 40);
      expect(await read(device, pool)).toEqual(Array(40).fill(0));
      await device.step(() => [write(pool, 7, 1), write(pool, 39, 2)]);
      device.free(pool);
    }
  });

  on("freeing waits for the steps that were called before", async (device, held) => {
    const x = await kept(device, row(1, 2));
    const steps = [device.step(() => [plus(x, x)]), device.step(() => [x])];
    device.free(x);
    const results = await Promise.all(steps);
    expect(results.map(([tensor]) => numbersOf(tensor))).toEqual([
      [2, 4],
      [1, 2],
    ]);
    expect(await bytesHeld(device)).toBe(held);
  });

  on("what is freed inside a step lives to its end", async (device, held) => {
    const x = await kept(device, row(1, 2));
    expect(device.bytes).toBeGreaterThanOrEqual(held + 8);
    const [sum] = await device.step(() => {
      device.free(x);
      return [plus(x, x)];
    });
    expect(numbersOf(sum)).toEqual([2, 4]);
    expect(device.bytes).toBe(held);
    expect(await reasonOf(device.step(() => [x]))).toBeInstanceOf(LlavaError);
  });

  on("nothing is left over by many steps", async (device) => {
    const weight = await kept(device, row(1, 2, 3));
    const held = device.bytes;
    for (let i = 0; i < 50; i++) {
      await device.step(() => [plus(plus(device.upload(row(i, i, i)), weight), weight)]);
      expect(device.bytes).toBe(held);
    }
    const again = await kept(device, row(4, 5, 6));
    device.free(again);
    expect(await bytesHeld(device)).toBe(held);
  });
}

/** Weights of a checkpoint. */
export function loads(on: On): void {
  for (const target of WEIGHT_TYPES)
    on(`a checkpoint's numbers of any type become ${target} as in PyTorch`, async (device, held) => {
      for (const source of SOURCE_TYPES) {
        const value = await device.load(recordedSource(source), target);
        expect({ dtype: value.dtype, shape: value.shape }).toEqual({ dtype: target, shape: [3, 7] });
        const [tensor] = await device.step(() => [value]);
        expect({ dtype: tensor.dtype, shape: tensor.shape }).toEqual({ dtype: target, shape: [3, 7] });
        expect(bytesOf(tensor), source).toEqual(recordedBytes(source, target));
        expect(device.bytes).toBeGreaterThanOrEqual(held + tensor.data.byteLength);
        device.free(value);
        expect(await bytesHeld(device)).toBe(held);
      }
    });

  on("a file that cannot be read leaves nothing behind", async (device, held) => {
    const reason = new Error("unreadable");
    const source = { ...recordedSource("float32"), read: () => Promise.reject(reason) };
    expect(await reasonOf(device.load(source, "float16"))).toBe(reason);
    expect(device.bytes).toBe(held);
  });

  on("weights can be loaded while steps are computed", async (device) => {
    const x = await kept(device, row(1, 2));
    const [weight, [sum]] = await Promise.all([
      device.load(recordedSource("bfloat16"), "bfloat16"),
      device.step(() => [plus(x, x)]),
    ]);
    expect(numbersOf(sum)).toEqual([2, 4]);
    const [tensor] = await device.step(() => [weight]);
    expect(bytesOf(tensor)).toEqual(recordedBytes("bfloat16", "bfloat16"));
  });
}
