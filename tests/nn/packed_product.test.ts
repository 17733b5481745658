import { expect, test } from "vitest";
import { avx512 } from "../../src/codegen/target.ts";
import { normal } from "../../src/kernels/cases.ts";
import { expandedLinear } from "../../src/kernels/formats/expanded_linear.ts";
import { FORMATS } from "../../src/kernels/formats/formats.ts";
import { packedLinear, packedNormal } from "../../src/kernels/formats/packed_linear.ts";
import { quantiseRows } from "../../src/kernels/formats/quantise_rows.ts";
import { Linear } from "../../src/nn/layers.ts";
import { interpretedDevice } from "../kernels/interpreted_device.ts";
import { sourceOf } from "../kernels/trial.ts";
import { seeded } from "../random.ts";

const [N, K, T] = [45, 96, 19];

test.each([
  [true, true],
  [true, false],
  [false, true],
])("tiles: %j, prompt: %j: the product that belongs to it", async (tiles, prompt) => {
  const device = interpretedDevice(avx512({ vnni: true, bf16: true, fp16: true, amx: tiles }));
  expect(device.multipliesExpanded).toBe(tiles);
  const random = seeded("packed product");
  const layer = new Linear(K, N, false);
  const packed = packedNormal(random, FORMATS.q4, N, K);
  layer.weight.value = await device.load(sourceOf(packed), "uint8");
  layer.weight.format = "q4";
  const x = normal(random, [T, K]);
  const params = { format: "q4", N } as const;
  const [got, expanded, rounded] = await device.step(
    () => {
      const input = device.upload(x);
      const weight = layer.weight.value;
      const rows = device.run(quantiseRows, { x: input }, { zero: FORMATS.q4.zero });
      return [
        layer.forward(input),
        device.run(expandedLinear, { x: input, weight }, params),
        device.run(packedLinear, { x: rows, weight }, params),
      ];
    },
    { prompt },
  );
  expect(expanded.data).not.toEqual(rounded.data);
  expect(got.data).toEqual((tiles && prompt ? expanded : rounded).data);
  // Outside of steps nothing is expanded.
  expect(device.expands).toBe(false);
  device.free(layer.weight.value);
  await device.dispose();
});
