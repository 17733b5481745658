import { expect } from "vitest";
import { LlavaError, ShapeError } from "../../src/base/errors.ts";
import type { Value } from "../../src/devices/device.ts";
import { copyPool } from "../../src/kernels/cache.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { bytesHeld, kept, numbersOf, type On, plus, poolOf, read, reasonOf, row, write } from "./support.ts";

/** In what order things are computed. */
export function steps(on: On): void {
  on("a step gives the numbers of what it returns, in that order", async (device) => {
    const results = await device.step(() => {
      const [a, b] = [device.upload(row(1, 2, 3)), device.upload(row(10, 20, 30))];
      const sum = plus(a, b);
      return [plus(sum, b), sum, a, sum];
    });
    expect(results.map(numbersOf)).toEqual([
      [21, 42, 63],
      [11, 22, 33],
      [1, 2, 3],
      [11, 22, 33],
    ]);
    expect(results[0].shape).toEqual([1, 3]);
    expect(results[0].dtype).toBe("float32");
    expect(await device.step(() => [])).toEqual([]);
  });

  on("a step is recorded before its call returns", async (device) => {
    const order: string[] = [];
    const step = device.step(() => {
      order.push("recorded");
      return [];
    });
    order.push("called");
    await step;
    expect(order).toEqual(["recorded", "called"]);
  });

  on("steps are computed in the order of their calls", async (device) => {
    const pool = poolOf(device);
    const first = device.step(() => [write(pool, 1, 5)]);
    const second = device.step(() => [pool]);
    const third = device.step(() => [write(pool, 1, 7), write(pool, 0, 2)]);
    const fourth = device.step(() => [pool]);
    const [a, b, c, d] = await Promise.all([first, second, third, fourth]);
    expect(numbersOf(a[0])).toEqual([0, 5, 0]);
    expect(numbersOf(b[0])).toEqual([0, 5, 0]);
    expect(numbersOf(c[0])).toEqual([2, 7, 0]);
    expect(numbersOf(d[0])).toEqual([2, 7, 0]);
  });

  on("kernels of a step see what those before them wrote in place", async (device) => {
    const pool = poolOf(device);
    const copy = device.allocate({ dtype: "float32", shape: [1, 1, 3, 1] });
    await device.step(() => {
      write(pool, 0, 4);
      device.run(copyPool, { target: copy, source: pool }, {});
      write(pool, 0, 9);
      return [];
    });
    expect(await read(device, copy)).toEqual([4, 0, 0]);
    expect(await read(device, pool)).toEqual([9, 0, 0]);
  });

  on("a value is there as long as something still needs it", async (device) => {
    // A chain in which each value is needed again at the very end, with values of other sizes between.
    const [result] = await device.step(() => {
      const chain = [device.upload(row(1, 2, 3, 4, 5))];
      for (let i = 1; i <= 20; i++) {
        const other = device.upload(new Tensor("float32", [i, 1], new Float32Array(i).fill(1e6)));
        plus(plus(other, other), other);
        chain.push(plus(chain[i - 1], chain[0]));
      }
      return [chain.reduceRight((sum, value) => plus(sum, value))];
    });
    const times = (21 * 22) / 2;
    expect(numbersOf(result)).toEqual([1, 2, 3, 4, 5].map((number) => number * times));
  });

  on("what nothing needs does no harm, what is written in place is written", async (device) => {
    const pool = poolOf(device);
    const [sum] = await device.step(() => {
      const x = device.upload(row(1, 2));
      plus(plus(x, x), x);
      write(pool, 2, 8);
      plus(x, x);
      return [plus(x, x)];
    });
    expect(numbersOf(sum)).toEqual([2, 4]);
    expect(await read(device, pool)).toEqual([0, 0, 8]);
  });
}

/** The same numbers under other shapes. */
export function views(on: On): void {
  on("a view shows the same numbers, and what is written to them", async (device, held) => {
    const pool = device.allocate({ dtype: "float32", shape: [2, 1, 3, 1] });
    const flat = device.view(pool, [1, 6]);
    const again = device.view(flat, [3, 2]);
    await device.step(() => [write(pool, 4, 5)]);
    expect(await read(device, flat)).toEqual([0, 0, 0, 0, 5, 0]);
    const [tensor] = await device.step(() => [again]);
    expect(tensor.shape).toEqual([3, 2]);
    await device.step(() => [write(device.view(flat, [1, 1, 6, 1]), 1, 7)]);
    expect(await read(device, pool)).toEqual([0, 7, 0, 0, 5, 0]);
    device.free(again);
    expect(await bytesHeld(device)).toBe(held);
    expect(await reasonOf(device.step(() => [pool]))).toBeInstanceOf(LlavaError);
  });

  on("what a step makes can be viewed, and kept by its view", async (device) => {
    const values: Value[] = [];
    const [column] = await device.step(() => {
      const sum = plus(device.upload(row(1, 2)), device.upload(row(3, 3)));
      const view = device.view(sum, [2, 1]);
      values.push(device.keep(view), sum);
      return [plus(view, device.view(device.upload(row(10, 20)), [2, 1]))];
    });
    expect(column.shape).toEqual([2, 1]);
    expect(numbersOf(column)).toEqual([14, 25]);
    for (const value of values) expect(await read(device, value)).toEqual([4, 5]);
  });

  on("a view keeps what it shows from ending early", async (device) => {
    const [late] = await device.step(() => {
      const sum = plus(device.upload(row(1, 2)), device.upload(row(3, 3)));
      const view = device.view(sum, [2, 1]);
      let other = plus(device.upload(row(7, 7)), device.upload(row(8, 8)));
      for (let i = 0; i < 5; i++) other = plus(other, other);
      return [plus(view, device.view(other, [2, 1]))];
    });
    expect(numbersOf(late)).toEqual([484, 485]);
  });

  on("a view of another size is refused", async (device) => {
    const x = device.allocate({ dtype: "float32", shape: [2, 3] });
    expect(() => device.view(x, [2, 4])).toThrow(ShapeError);
    expect(() => device.view(x, [2, 4])).toThrow(/\[2,3\].*\[2,4\]/);
  });
}

/** What passes between host and device. */
export function host(on: On): void {
  on("an upload takes the numbers as they are when it is called", async (device) => {
    const tensor = row(1, 2);
    const pool = new Tensor("float32", [1, 1, 2, 1], Float32Array.from([5, 6]));
    const step = device.step(() => {
      const x = device.upload(tensor);
      return [plus(x, x), write(device.upload(pool), 0, 9)];
    });
    tensor.data.fill(100 as never);
    const [sum, written] = await step;
    expect(numbersOf(sum)).toEqual([2, 4]);
    expect(numbersOf(written)).toEqual([9, 6]);
    expect(numbersOf(pool)).toEqual([5, 6]);
  });

  on("what is read is a copy", async (device) => {
    const x = await kept(device, row(1, 2));
    const [first] = await device.step(() => [x]);
    first.data.fill(9 as never);
    expect(await read(device, x)).toEqual([1, 2]);
  });

  on("what is read stays as it was, whatever is computed later", async (device) => {
    const pool = poolOf(device);
    const [before] = await device.step(() => [write(pool, 0, 1)]);
    await device.step(() => [write(pool, 0, 2)]);
    for (let i = 0; i < 5; i++)
      await device.step(() => [plus(device.upload(row(7, 7, 7)), device.upload(row(1, 1, 1)))]);
    expect(numbersOf(before)).toEqual([1, 0, 0]);
  });

  on("kernels that need nothing of each other do not disturb each other", async (device) => {
    // So large that one thread is still at the first when another begins with the next.
    const shape = [16, 4096];
    const size = shape[0] * shape[1];
    const inputs = Array.from(
      { length: 6 },
      (_, i) =>
        new Tensor(
          "float32",
          shape,
          new Float32Array(size).map((_, j) => i * 4096 + (j % 4096)),
        ),
    );
    for (let round = 0; round < 3; round++) {
      const [result] = await device.step(() => {
        // Each input is used for the last time while others are still to come.
        const doubled = inputs.map((input) => device.upload(input)).map((x) => plus(x, x));
        return [doubled.reduce((a, b) => plus(a, b))];
      });
      const expected = Float32Array.from({ length: size }, (_, j) => 2 * 4096 * 15 + 12 * (j % 4096));
      expect(result.data.every((x, j) => x === expected[j])).toBe(true);
    }
  });
}
