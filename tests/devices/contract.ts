import { afterAll, expect } from "vitest";
import { OptionError } from "../../src/base/errors.ts";
import type { Device } from "../../src/devices/device.ts";
import type { DeviceTest } from "../kernels/devices.ts";
import { aborts, failures } from "./contract_failures.ts";
import { lifetimes, loads } from "./contract_lifetimes.ts";
import { repeats } from "./contract_repeats.ts";
import { host, steps, views } from "./contract_steps.ts";
import { bytesHeld, kept, numbersOf, type On, plus, read, reasonOf, row } from "./support.ts";

/** What src/devices/device.ts promises. */
export function deviceContract(test: DeviceTest, open: () => Promise<Device>): void {
  let device: Promise<Device> | undefined;
  afterAll(async () => (await device)?.dispose());
  const on: On = (title, body) =>
    test(title, async () => {
      device ??= open();
      await body(await device, await bytesHeld(await device));
    });
  steps(on);
  repeats(on);
  views(on);
  host(on);
  lifetimes(on);
  loads(on);
  failures(on);
  aborts(on);
  ends(test, open);
}

function ends(test: DeviceTest, open: () => Promise<Device>): void {
  test("disposing waits for the steps that were called, then refuses others", async () => {
    const device = await open();
    const x = await kept(device, row(1, 2));
    const step = device.step(() => [plus(x, x)]);
    const disposed = device.dispose();
    expect(numbersOf((await step)[0])).toEqual([2, 4]);
    await disposed;
    expect(device.bytes).toBe(0);
    expect(await reasonOf(device.step(() => []))).toBeInstanceOf(OptionError);
    await device.dispose();
  });

  test("a value of another device is refused", async () => {
    const [device, other] = [await open(), await open()];
    const foreign = await kept(other, row(1, 2));
    const run = device.step(() => [plus(device.upload(row(1, 2)), foreign)]);
    expect(await reasonOf(run)).toBeInstanceOf(OptionError);
    expect(await reasonOf(device.step(() => [foreign]))).toBeInstanceOf(OptionError);
    expect(await read(other, foreign)).toEqual([1, 2]);
    await device.dispose();
    expect(await read(other, foreign)).toEqual([1, 2]);
    await other.dispose();
  });
}
