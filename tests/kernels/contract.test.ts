import { afterAll, describe, expect, test } from "vitest";
import type { Device } from "../../src/devices/device.ts";
import type { AnyKernel } from "../../src/devices/recording_device.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { seeded } from "../random.ts";
import { describeDevices } from "./devices.ts";
import { allKernels } from "./kernels.ts";
import { type AnyTrial, difference, Prepared, referenceOf, type Tensors, tensorsOf } from "./trial.ts";

const KERNELS = await allKernels();

function trialOf({ name, cases }: AnyKernel, entry: object): AnyTrial {
  return cases.trial(entry, seeded(`${name} ${JSON.stringify(entry)}`));
}

function copies(tensors: Tensors): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, structuredClone(tensor)]));
}

function expectEqual(got: Tensor, expected: { data: ArrayLike<unknown> }, what: string): void {
  const i = Array.from(expected.data).findIndex((number, i) => !Object.is(number, got.data[i]));
  if (i >= 0) expect.fail(`${what}[${i}] was ${expected.data[i]} and is ${got.data[i]}`);
}

/** A kernel that gives a new Value. */
async function checkOutput(device: Device, kernel: AnyKernel, trial: AnyTrial): Promise<void> {
  const before = copies(tensorsOf(trial));
  const expected = referenceOf(kernel, trial);
  const prepared = await Prepared.on(device, kernel, trial);
  const [y] = await device.step(() => [device.run(kernel, prepared.inputs(), trial.params)]);
  expect({ dtype: y.dtype, shape: y.shape }).toEqual({ dtype: expected.dtype, shape: expected.shape });
  expect(difference(y, expected)).toBeLessThanOrEqual(kernel.tolerance);

  // Again, with the inputs as they stand on the device afterwards.
  const names = Object.keys(before);
  const [again, ...inputs] = await device.step(() => {
    const given = prepared.inputs();
    return [device.run(kernel, given, trial.params), ...names.map((name) => given[name])];
  });
  expectEqual(again, y, "y, computed a second time,");
  for (const [i, name] of names.entries()) {
    expectEqual(inputs[i], before[name], `${name} on the device`);
    expectEqual(tensorsOf(trial)[name], before[name], `${name} on the host`);
  }
  prepared.free();
}

/** A kernel that writes into one of its inputs. */
async function checkInPlace(device: Device, kernel: AnyKernel, trial: AnyTrial): Promise<void> {
  const target = kernel.inPlace as string;
  const before = copies(tensorsOf(trial));
  const expected = referenceOf(kernel, trial);
  const names = Object.keys(before).filter((name) => name !== target);
  const prepared = await Prepared.on(device, kernel, trial);
  const inputs = await device.step(() => {
    const given = prepared.inputs();
    device.run(kernel, given, trial.params);
    return names.map((name) => given[name]);
  });
  const [y] = await device.step(() => [prepared.living(target)]);
  expect({ dtype: y.dtype, shape: y.shape }).toEqual({ dtype: expected.dtype, shape: expected.shape });
  expect(difference(y, expected)).toBeLessThanOrEqual(kernel.tolerance);
  for (const [i, name] of names.entries()) expectEqual(inputs[i], before[name], `${name} on the device`);
  for (const [name, tensor] of Object.entries(before))
    expectEqual(tensorsOf(trial)[name], tensor, `${name} on the host`);
  prepared.free();
}

describe("the cases", () => {
  test("every kernel has some, under a name of its own", () => {
    expect(KERNELS.length).toBeGreaterThanOrEqual(20);
    expect(new Set(KERNELS.map(({ name }) => name)).size).toBe(KERNELS.length);
    for (const { name, cases } of KERNELS) expect(cases.list.length, name).toBeGreaterThanOrEqual(3);
  });

  test("the same seed gives the same numbers, another seed others", () => {
    for (const kernel of KERNELS) {
      const entry = kernel.cases.list[kernel.cases.list.length - 1];
      const [a, b] = [trialOf(kernel, entry), trialOf(kernel, entry)];
      expect(a, kernel.name).toEqual(b);
      expect(a, kernel.name).not.toEqual(kernel.cases.trial(entry, seeded("another")));
    }
  });

  test("each changes something, but for those of a single number, or of zeros, which may be left at zero", () => {
    for (const kernel of KERNELS)
      for (const entry of kernel.cases.list) {
        const trial = trialOf(kernel, entry);
        const { data } = referenceOf(kernel, trial);
        const zeros = Object.values(tensorsOf(trial)).every((tensor) =>
          tensor.data.every((n) => Number(n) === 0),
        );
        const before = kernel.inPlace === undefined ? undefined : tensorsOf(trial)[kernel.inPlace].data;
        const changed = Array.from(data, Number).some((number, i) => number !== Number(before?.[i] ?? 0));
        expect(changed || zeros || data.length === 1, `${kernel.name} ${JSON.stringify(entry)}`).toBe(true);
      }
  });
});

await describeDevices((test, open) => {
  let device: Promise<Device> | undefined;
  const shared = (): Promise<Device> => {
    device ??= open();
    return device;
  };
  afterAll(async () => (await device)?.dispose());

  for (const kernel of KERNELS)
    for (const entry of kernel.cases.list)
      test(`${kernel.name} ${JSON.stringify(entry)}`, async () => {
        const trial = trialOf(kernel, entry);
        await (kernel.inPlace === undefined ? checkOutput : checkInPlace)(await shared(), kernel, trial);
      });

  test("nothing is left over", async () => {
    const device = await shared();
    await device.step(() => []);
    expect(device.bytes).toBe(0);
  });
});
