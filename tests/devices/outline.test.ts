import { describe, expect, test } from "vitest";
import { Value } from "../../src/devices/device.ts";
import type { Kernel, KernelInputs } from "../../src/devices/kernel.ts";
import type { Recording } from "../../src/devices/recording_device.ts";
import { RecordingDevice } from "../../src/devices/recording_device.ts";
import { type Outline, outlineOf, sameMarks } from "../../src/devices/vector/outline.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

/** Computes nothing: notes down the outline of the latest step. */
class Notes extends RecordingDevice {
  readonly kind = "notes";
  readonly description = "computes nothing";
  readonly threads = 1;
  readonly multipliesPairs = false;
  readonly multipliesExpanded = false;
  readonly bytes = 0;
  outline: Outline = { marks: [], numbers: new Map() };

  allocate({ dtype, shape }: { dtype: "float32"; shape: readonly number[] }): Value {
    return new Value(this, dtype, shape);
  }

  load(): Promise<Value> {
    throw new Error("there is nothing to load");
  }

  protected override async compute(recording: Recording, outputs: readonly Value[]): Promise<Tensor[]> {
    this.outline = outlineOf(recording, outputs, (value) => this.origin(value));
    return [];
  }

  protected override release(): void {}

  protected override close(): void {}
}

const device = new Notes();

/** A kernel of any inputs and parameters that gives a row. */
function kernelOf(name: string, inPlace?: string): Kernel<KernelInputs, Record<string, unknown>> {
  return {
    name,
    inPlace,
    shape: () => ({ dtype: "float32", shape: [1, 3] }),
    reference: () => {},
    tolerance: 0,
    cases: { list: [], trial: () => ({ tensors: {}, params: {} }) },
  };
}

const [one, other, writer] = [kernelOf("one"), kernelOf("other"), kernelOf("writer", "pool")];
const [weight, twin, pool] = [1, 2, 3].map(() => device.allocate({ dtype: "float32", shape: [1, 3] }));
const upload = (length = 3, dtype: "float32" | "int32" = "float32"): Value =>
  device.upload(new Tensor(dtype, [1, length], Array(length).fill(Math.random())));

async function marksOf(record: () => Value[]): Promise<Outline["marks"]> {
  await device.step(record);
  return device.outline.marks;
}

describe("the outline of a step", () => {
  test("numbers uploads, then outputs, and no Value that lives beyond it", async () => {
    const values: Value[] = [];
    await device.step(() => {
      const [x, unused, z] = [upload(), upload(), upload()];
      values.push(x, z, unused);
      values.push(device.run(one, { x, weight }, {}));
      device.run(writer, { pool, x: values[3] }, {});
      values.push(device.run(one, { x: device.view(z, [3, 1]) }, {}));
      return [values[4], values[3]];
    });
    const { numbers } = device.outline;
    expect(values.map((value) => numbers.get(value))).toEqual([0, 2, 1, 3, 4]);
    expect([weight, pool].map((value) => numbers.get(value))).toEqual([undefined, undefined]);
  });

  const same: [what: string, record: () => Value[]][] = [
    ["a chain", () => [device.run(one, { x: device.run(one, { x: upload() }, {}) }, { eps: 1e-5 })]],
    ["a weight and an absent input", () => [device.run(one, { x: upload(), weight, bias: undefined }, {})]],
    ["a view", () => [device.run(one, { x: device.view(weight, [3, 1]) }, { act: "silu", window: 0 })]],
    ["a pool", () => [device.run(writer, { pool, x: upload() }, {})]],
    ["not a number", () => [device.run(one, { x: upload() }, { factor: Number.NaN })]],
  ];
  test.each(same)("is the same when it comes again: %s", async (_, record) => {
    expect(sameMarks(await marksOf(record), await marksOf(record))).toBe(true);
  });

  const apart: [what: string, a: () => Value[], b: () => Value[]][] = [
    ["kernels", () => [device.run(one, { x: upload() }, {})], () => [device.run(other, { x: upload() }, {})]],
    [
      "parameters",
      () => [device.run(one, { x: upload() }, { eps: 1e-5 })],
      () => [device.run(one, { x: upload() }, { eps: 1e-6 })],
    ],
    [
      "the sign of zero",
      () => [device.run(one, { x: upload() }, { at: 0 })],
      () => [device.run(one, { x: upload() }, { at: -0 })],
    ],
    [
      "parameters that are no plain ones",
      () => [device.run(one, { x: upload() }, { sizes: [1, 2] })],
      () => [device.run(one, { x: upload() }, { sizes: [1, 2] })],
    ],
    [
      "weights",
      () => [device.run(one, { x: upload(), weight }, {})],
      () => [device.run(one, { x: upload(), weight: twin }, {})],
    ],
    [
      "what is left out",
      () => [device.run(one, { x: upload(), weight }, {})],
      () => [device.run(one, { x: upload() }, {})],
    ],
    [
      "names",
      () => [device.run(one, { x: upload(), weight }, {})],
      () => [device.run(one, { x: upload(), bias: weight }, {})],
    ],
    [
      "which upload",
      () => crossed((a, b) => ({ x: a, weight: b })),
      () => crossed((a, b) => ({ x: b, weight: a })),
    ],
    [
      "which output",
      () => chained((a, b) => ({ x: a, weight: b })),
      () => chained((a, b) => ({ x: b, weight: a })),
    ],
    [
      "shapes of uploads",
      () => [device.run(one, { x: upload(3) }, {})],
      () => [device.run(one, { x: upload(4) }, {})],
    ],
    [
      "types of uploads",
      () => [device.run(one, { x: upload(3) }, {})],
      () => [device.run(one, { x: upload(3, "int32") }, {})],
    ],
    [
      "shapes of views",
      () => [device.run(one, { x: device.view(weight, [3, 1]) }, {})],
      () => [device.run(one, { x: device.view(weight, [1, 3]) }, {})],
    ],
    [
      "results",
      () => chained((x, weight) => ({ x, weight })),
      () => chained((x, weight) => ({ x, weight })).reverse(),
    ],
    [
      "what is kept",
      () => [device.run(one, { x: upload() }, {})],
      () => [device.keep(device.run(one, { x: upload() }, {}))],
    ],
  ];
  test.each(apart)("tells apart steps that differ in %s", async (_, a, b) => {
    expect(sameMarks(await marksOf(a), await marksOf(b))).toBe(false);
  });
});

/** Two uploads, used in one or the other way. */
function crossed(inputs: (a: Value, b: Value) => KernelInputs): Value[] {
  const [a, b] = [upload(), upload()];
  return [device.run(one, inputs(a, b), {})];
}

/** Two outputs, likewise. */
function chained(inputs: (a: Value, b: Value) => KernelInputs): Value[] {
  const x = upload();
  const [a, b] = [device.run(one, { x }, {}), device.run(one, { x, weight }, {})];
  return [device.run(one, inputs(a, b), {}), b];
}
