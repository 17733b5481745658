import { expect, test } from "vitest";
import type { Value } from "../../src/devices/device.ts";
import { type Kernel, kernel } from "../../src/devices/kernel.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import { reasonOf, row } from "./support.ts";

/** A kernel that copies, and does `work` when it is computed. */
function working(work: () => void): Kernel<{ x: Value }, Record<never, never>> {
  return kernel<{ x: Value }>({
    name: "working",
    shape: ({ x }) => x,
    reference({ x, y }) {
      work();
      y.data.set(x.data as never);
    },
    tolerance: 0,
    cases: { list: [], trial: () => ({ tensors: { x: row(1) }, params: {} }) },
  });
}

test("what nothing needs is not computed", async () => {
  const device = new ReferenceDevice();
  const computed: string[] = [];
  const counted = (name: string): ReturnType<typeof working> => working(() => computed.push(name));
  await device.step(() => {
    const x = device.upload(row(1, 2));
    const a = device.run(counted("a"), { x }, {});
    const dead = device.run(counted("dead"), { x: a }, {});
    device.run(counted("deader"), { x: dead }, {});
    const b = device.run(counted("b"), { x: device.view(a, [2, 1]) }, {});
    device.keep(device.run(counted("kept"), { x }, {}));
    return [b];
  });
  expect(computed).toEqual(["a", "b", "kept"]);
});

test("a kernel that throws fails its step, which keeps nothing and frees what it was to free", async () => {
  const device = new ReferenceDevice();
  const freed = device.allocate({ dtype: "float32", shape: [10] });
  const reason = new Error("in a kernel");
  const failing = working(() => {
    throw reason;
  });
  const step = device.step(() => {
    device.free(freed);
    const x = device.keep(device.upload(row(1)));
    return [device.run(failing, { x }, {})];
  });
  expect(await reasonOf(step)).toBe(reason);
  expect(device.bytes).toBe(0);
  expect(await device.step(() => [device.upload(row(3))])).toEqual([row(3)]);
});

test("the event loop has its turn during a long step", async () => {
  const device = new ReferenceDevice();
  const slow = working(() => {
    const end = performance.now() + 3;
    while (performance.now() < end);
  });
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await device.step(() => {
    let x = device.upload(row(1));
    for (let i = 0; i < 30; i++) x = device.run(slow, { x }, {});
    return [x];
  });
  clearInterval(timer);
  expect(turns).toBeGreaterThanOrEqual(4);
});
