import { expect, test } from "vitest";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import { rotaryOfAngles } from "../../src/nn/rotary.ts";
import { Recorded } from "../kernels/recorded.ts";
import { difference } from "../kernels/trial.ts";

const { tables } = await Recorded.read();

test("some tables are scaled", () => {
  expect(tables.some(({ scaling }) => scaling !== 1)).toBe(true);
});

test.each(tables)("cosine and sine of $what", async ({ angles, scaling, cos, sin }) => {
  const device = new ReferenceDevice();
  const got = await device.step(() => {
    const rotary = rotaryOfAngles(device, angles.data as Float32Array, angles.shape[1], scaling);
    return [rotary.cos, rotary.sin];
  });
  for (const [i, expected] of [cos, sin].entries()) {
    expect(got[i].shape).toEqual(expected.shape);
    expect(difference(got[i], expected)).toBeLessThanOrEqual(2e-7);
  }
});
