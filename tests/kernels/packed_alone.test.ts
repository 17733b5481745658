import { expect } from "vitest";
import { packedLinear } from "../../src/kernels/formats/packed_linear.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { seeded } from "../random.ts";
import { describeDevices } from "./devices.ts";
import { sourceOf } from "./trial.ts";

/** Rows that are multiplied together: alone, and as many as go with and without unpacking first. */
const TOGETHER = [1, 5, 13, 17];
const ROWS = 40;

await describeDevices((test, open) => {
  for (const format of ["q8", "q4"] as const)
    test(`a row gets the same bits alone and among others, in ${format}`, async () => {
      const N = 83;
      const device = await open();
      const { tensors } = packedLinear.cases.trial(
        { format, T: ROWS, K: 288, N, bias: true },
        seeded(`packed alone ${format}`),
      );
      const x = tensors.x as Tensor;
      const weight = await device.load(sourceOf(tensors.weight as Tensor), "uint8");
      const bias = await device.load(sourceOf(tensors.bias as Tensor, "bias"), "bfloat16");
      const multiply = async (T: number): Promise<number[]> => {
        const [y] = await device.step(() => {
          const some = new Tensor("uint8", [T, x.shape[1]], x.data.slice(0, T * x.shape[1]));
          return [device.run(packedLinear, { x: device.upload(some), weight, bias }, { format, N })];
        });
        return Array.from(y.data, Number);
      };
      const all = await multiply(ROWS);
      for (const T of TOGETHER) expect(await multiply(T), `${T} rows`).toEqual(all.slice(0, T * N));
      await device.dispose();
    });
});
