import { expect } from "vitest";
import { LlavaError, OptionError, ShapeError } from "../../src/base/errors.ts";
import type { Device, Value } from "../../src/devices/device.ts";
import { linear } from "../../src/kernels/linear.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { sourceOf } from "../kernels/trial.ts";
import { seeded } from "../random.ts";
import { bytesHeld, kept, numbersOf, type On, plus, poolOf, read, reasonOf, row, write } from "./support.ts";

/** What is refused, and what then is left. */
export function failures(on: On): void {
  on("kernels, uploads and keeping belong inside a step", async (device) => {
    const x = device.allocate({ dtype: "float32", shape: [1, 2] });
    expect(() => plus(x, x)).toThrow(OptionError);
    expect(() => device.upload(row(1))).toThrow(OptionError);
    expect(() => device.keep(x)).toThrow(OptionError);
  });

  on("a throw while recording leaves nothing behind", async (device) => {
    const pool = poolOf(device);
    const x = await kept(device, row(1, 2));
    const held = device.bytes;
    const reason = new Error("while recording");
    let lost: Value | undefined;
    const step = device.step(() => {
      write(pool, 0, 9);
      lost = device.keep(plus(x, x));
      device.free(x);
      throw reason;
    });
    expect(await reasonOf(step)).toBe(reason);
    expect(await bytesHeld(device)).toBe(held);
    expect(await read(device, pool)).toEqual([0, 0, 0]);
    expect(await read(device, x)).toEqual([1, 2]);
    expect(await reasonOf(device.step(() => [lost as Value]))).toBeInstanceOf(LlavaError);
  });

  on("inputs that do not fit are refused when they are given", async (device) => {
    const step = device.step(() => [plus(device.upload(row(1, 2)), device.upload(row(1, 2, 3)))]);
    expect(await reasonOf(step)).toBeInstanceOf(ShapeError);
  });

  on("a step inside another is refused, and the other goes on", async (device) => {
    let inner: Promise<unknown> | undefined;
    const [sum] = await device.step(() => {
      inner = reasonOf(device.step(() => []));
      return [plus(device.upload(row(1)), device.upload(row(2)))];
    });
    expect(await inner).toBeInstanceOf(OptionError);
    expect(numbersOf(sum)).toEqual([3]);
  });

  on("a step that fails does not hinder those after it", async (device) => {
    let ended: Value | undefined;
    await device.step(() => {
      ended = device.upload(row(1));
      return [];
    });
    const failing = reasonOf(device.step(() => [plus(ended as Value, ended as Value)]));
    const next = device.step(() => [plus(device.upload(row(1)), device.upload(row(2)))]);
    expect(await failing).toBeInstanceOf(LlavaError);
    expect(numbersOf((await next)[0])).toEqual([3]);
  });
}

/** Signals. */
export function aborts(on: On): void {
  on("an aborted signal refuses a step before it is recorded", async (device) => {
    const reason = { why: "no longer wanted" };
    let recorded = false;
    const step = device.step(
      () => {
        recorded = true;
        return [];
      },
      { signal: AbortSignal.abort(reason) },
    );
    expect(await reasonOf(step)).toBe(reason);
    expect(recorded).toBe(false);
  });

  on("a step that waits is dropped when it is aborted, but frees what it was to free", async (device) => {
    const pool = poolOf(device);
    const x = await kept(device, row(1, 2));
    const held = device.bytes;
    const [controller, reason] = [new AbortController(), new Error("no longer wanted")];
    const before = device.step(() => [write(pool, 0, 1)]);
    const dropped = device.step(
      () => {
        write(pool, 1, 2);
        device.free(x);
        return [device.keep(plus(x, x))];
      },
      { signal: controller.signal },
    );
    const after = device.step(() => [pool]);
    controller.abort(reason);
    expect(await reasonOf(dropped)).toBe(reason);
    await before;
    expect(numbersOf((await after)[0])).toEqual([1, 0, 0]);
    expect(await bytesHeld(device)).toBeLessThan(held);
    expect(await reasonOf(device.step(() => [x]))).toBeInstanceOf(LlavaError);
  });

  on("a step is left between kernels when it is aborted, and the device goes on", async (device, held) => {
    const [controller, reason] = [new AbortController(), new Error("no longer wanted")];
    const weight = await device.load(sourceOf(randomNumbers(256)), "float32", "panels");
    const step = reasonOf(device.step(() => longChain(device, weight), { signal: controller.signal }));
    const next = device.step(() => [plus(device.upload(row(1)), device.upload(row(2)))]);
    setTimeout(() => controller.abort(reason), 5);
    expect(await step).toBe(reason);
    expect(numbersOf((await next)[0])).toEqual([3]);
    device.free(weight);
    await device.step(() => []);
    expect(device.bytes).toBe(held);
  });

  on("also between those that are computed by their reference", async (device) => {
    const [controller, reason] = [new AbortController(), new Error("no longer wanted")];
    const step = reasonOf(
      device.step(() => longChain(device, device.upload(randomNumbers(256))), { signal: controller.signal }),
    );
    setTimeout(() => controller.abort(reason), 5);
    expect(await step).toBe(reason);
  });
}

function randomNumbers(rows: number): Tensor {
  const random = seeded("chain");
  return new Tensor(
    "float32",
    [rows, 256],
    Float32Array.from({ length: rows * 256 }, () => (random() - 0.5) / 5),
  );
}

/** A chain of matrix products that takes every device far longer than a few ms. */
function longChain(device: Device, weight: Value): Value[] {
  let x = device.upload(randomNumbers(64));
  for (let i = 0; i < 4000; i++) x = device.run(linear, { x, weight }, {});
  return [x];
}
