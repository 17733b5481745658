import { expect } from "vitest";
import { LlavaError } from "../../src/base/errors.ts";
import type { Device, Value } from "../../src/devices/device.ts";
import { takeRows } from "../../src/kernels/rows.ts";
import { scale } from "../../src/kernels/scale.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { kept, numbersOf, type On, plus, poolOf, read, reasonOf, row, write } from "./support.ts";

/** The numbers of a step's first result. */
async function first(device: Device, record: () => Value[]): Promise<number[]> {
  return numbersOf((await device.step(record))[0]);
}

const times = (x: Value, factor: number): Value => x.device.run(scale, { x }, { factor });

/** Steps like others before, which a device may compute without making everything anew: nothing of that is seen. */
export function repeats(on: On): void {
  on("a step that comes again has its own numbers and writes to its own places", async (device) => {
    const [weight, pool] = [await kept(device, row(1, 2)), poolOf(device)];
    for (let i = 0; i < 6; i++) {
      const results = await device.step(() => {
        const x = device.upload(row(i, 10 * i));
        write(pool, i % 3, i);
        return [plus(plus(x, weight), x), x];
      });
      expect(results.map(numbersOf)).toEqual([
        [2 * i + 1, 20 * i + 2],
        [i, 10 * i],
      ]);
    }
    expect(await read(device, pool)).toEqual([3, 4, 5]);
  });

  on("steps that differ in one thing alone are told apart", async (device) => {
    const [a, b] = [await kept(device, row(1, 2)), await kept(device, row(30, 40))];
    const x = (): Value => device.upload(row(100, 200));
    const column = (): Value => device.upload(new Tensor("float32", [2, 1], [100, 200]));
    const index = (...rows: number[]): Value => device.upload(new Tensor("int32", [rows.length], rows));
    const take = (from: Value, ...rows: number[]): Value =>
      device.run(takeRows, { x: from, index: index(...rows) }, {});
    const cases: [record: () => Value[], expected: number[]][] = [
      [() => [plus(x(), a)], [101, 202]],
      [() => [plus(x(), b)], [130, 240]],
      [() => [plus(a, x())], [101, 202]],
      [() => [times(x(), 2)], [200, 400]],
      [() => [times(x(), -2)], [-200, -400]],
      [() => [plus(x(), x())], [200, 400]],
      [() => [plus(column(), column())], [200, 400]],
      [() => [take(column(), 0)], [100]],
      [() => [take(column(), 1)], [200]],
      [() => [take(column(), 1, 1, 0)], [200, 200, 100]],
      [() => [take(device.view(x(), [2, 1]), 1)], [200]],
      [() => [take(device.view(x(), [1, 2]), 0)], [100, 200]],
      [() => [take(device.view(a, [2, 1]), 1)], [2]],
      [() => [take(device.view(a, [1, 2]), 0)], [1, 2]],
    ];
    for (let round = 0; round < 2; round++)
      for (const [i, [record, expected]] of cases.entries())
        expect(await first(device, record), `case ${i}, round ${round}`).toEqual(expected);
  });

  on("the same kernels give what is asked for", async (device) => {
    const record = (pick: (x: Value, sum: Value, product: Value) => Value[]) => () => {
      const x = device.upload(row(3, 4));
      const sum = plus(x, x);
      return pick(x, sum, times(sum, 5));
    };
    for (let round = 0; round < 2; round++) {
      expect(
        await first(
          device,
          record((_, sum, product) => [product, sum]),
        ),
      ).toEqual([30, 40]);
      expect(
        await first(
          device,
          record((_, sum, product) => [sum, product]),
        ),
      ).toEqual([6, 8]);
      expect(
        await first(
          device,
          record((x, _, product) => [x, product]),
        ),
      ).toEqual([3, 4]);
    }
  });

  on("what a step that comes again keeps is its own", async (device) => {
    const values: Value[] = [];
    for (let i = 0; i < 3; i++)
      await device.step(() => {
        const x = device.upload(row(i, 1));
        values.push(device.keep(plus(x, x)));
        return [];
      });
    for (const [i, value] of values.entries()) expect(await read(device, value)).toEqual([2 * i, 2]);
    for (const value of values) device.free(value);
  });

  on("a step that comes again notices what has ended, and what has moved", async (device) => {
    for (let i = 1; i <= 3; i++) {
      const weight = await kept(device, row(i, i));
      const sum = (): Promise<number[]> => first(device, () => [plus(device.upload(row(10, 20)), weight)]);
      expect(await sum()).toEqual([10 + i, 20 + i]);
      // More memory than any step before it took: what lies there moves.
      const wide = new Tensor("float32", [1, 1e5 * i], new Float32Array(1e5 * i).fill(i));
      const [result] = await device.step(() => {
        const x = device.upload(wide);
        return [plus(plus(x, x), x)];
      });
      expect(result.data[1e5 * i - 1]).toBe(3 * i);
      expect(await sum()).toEqual([10 + i, 20 + i]);
      device.free(weight);
      expect(await reasonOf(sum())).toBeInstanceOf(LlavaError);
    }
  });

  on("a step that was left is computed whole when it comes again", async (device) => {
    const weight = await kept(device, new Tensor("float32", [64, 256], new Float32Array(64 * 256).fill(3)));
    const run = async (x: number, signal?: AbortSignal): Promise<number[]> => {
      const record = (): Value[] => {
        let sum = device.upload(
          new Tensor(
            "float32",
            [64, 256],
            Float32Array.from({ length: 64 * 256 }, (_, i) => x + (i % 7)),
          ),
        );
        for (let i = 0; i < 60; i++) sum = plus(sum, weight);
        return [sum];
      };
      return numbersOf((await device.step(record, { signal }))[0]);
    };
    const expected = (x: number): number[] => Array.from({ length: 64 * 256 }, (_, i) => x + (i % 7) + 180);
    const reason = new Error("no longer wanted");
    for (let i = 0; i < 6; i++) {
      const controller = new AbortController();
      const left = run(-1, controller.signal).catch((error) => error);
      setTimeout(() => controller.abort(reason), i / 3);
      // It may have been computed before.
      expect([expected(-1), reason]).toContainEqual(await left);
      expect(await run(i)).toEqual(expected(i));
    }
    device.free(weight);
  });
}
