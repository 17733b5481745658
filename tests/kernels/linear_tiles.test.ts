import { afterAll, describe, expect, it } from "vitest";
import { program } from "../../src/codegen/ir.ts";
import { avx512 } from "../../src/codegen/target.ts";
import { lowerX64 } from "../../src/codegen/x64/lower.ts";
import type { VectorProgram } from "../../src/devices/kernel.ts";
import { linear } from "../../src/kernels/linear.ts";
import { linearForm } from "../../src/kernels/linear_program.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { seeded } from "../random.ts";
import { interpretedDevice } from "./interpreted_device.ts";
import { type AnyTrial, difference, Prepared, referenceOf } from "./trial.ts";

/** An Intel server with AMX, whose instruction for pairs is slower than widening. */
const TARGET = avx512({ vnni: true, bf16: true, fp16: true, amx: true, bf16Dot: false });
const device = interpretedDevice(TARGET);
afterAll(() => device.dispose());

/** The cases of the kernel, and: tiles that are just full; more rows than a chunk has; columns of several slices. */
const CASES = [
  ...linear.cases.list.filter((entry) => "rounded" in entry && entry.rounded),
  { T: 16, K: 32, N: 32, dtype: "bfloat16", bias: false, rounded: true },
  { T: 33, K: 513, N: 64, dtype: "bfloat16", bias: true, rounded: true },
  { T: 48, K: 256, N: 1, dtype: "bfloat16", bias: true, rounded: true },
  { T: 49, K: 770, N: 70, dtype: "bfloat16", bias: false, rounded: true },
  { T: 5, K: 9, N: 1100, dtype: "bfloat16", bias: true, rounded: true },
  { T: 611, K: 259, N: 3, dtype: "bfloat16", bias: true, rounded: true },
];

function trialOf(entry: object): AnyTrial {
  return linear.cases.trial(entry, seeded(`linear ${JSON.stringify(entry)}`)) as AnyTrial;
}

/** The product of some rows of a trial's input. */
async function multiply(trial: AnyTrial, first = 0, rows?: number): Promise<Tensor> {
  const x = trial.tensors.x as Tensor;
  const [T, K] = x.shape;
  const some = new Tensor("float32", [rows ?? T, K], x.data.slice(first * K, (first + (rows ?? T)) * K));
  const prepared = await Prepared.on(device, linear as never, {
    ...trial,
    tensors: { ...trial.tensors, x: some },
  });
  const [y] = await device.step(() => [device.run(linear as never, prepared.inputs(), trial.params)]);
  prepared.free();
  return y;
}

describe("products of bfloat16 on a processor with matrix tiles", () => {
  for (const entry of CASES)
    it(`keep the kernel's contract: ${JSON.stringify(entry)}`, async () => {
      const trial = trialOf(entry);
      const y = await multiply(trial);
      expect(difference(y, referenceOf(linear as never, trial))).toBeLessThanOrEqual(linear.tolerance);
    });

  it("give a row the same numbers alone, among few, and among many", async () => {
    const N = 37;
    const trial = trialOf({ T: 50, K: 555, N, dtype: "bfloat16", bias: true, rounded: true });
    const all = await multiply(trial);
    for (const [first, rows] of [
      [49, 1],
      [14, 3],
      [7, 4],
      [20, 5],
      [3, 31],
    ])
      expect((await multiply(trial, first, rows)).data).toEqual(
        all.data.slice(first * N, (first + rows) * N),
      );
  });

  it("use tiles from five rows on, and fit the registers", () => {
    const dots = (rows: number, K: number, N: number): number => {
      const shape = { K, N, weight: "bfloat16", bias: "bfloat16", rounded: true } as const;
      const form = linearForm(TARGET, shape, rows);
      const compiled = (part: VectorProgram) => {
        const slots = ["x", "weight", "bias", "y", "work", ...Object.keys(part.numbers ?? {})];
        const built = program("linear", TARGET, slots, (b, args) => part.build(b, args));
        expect(lowerX64(built).bytes.length).toBeGreaterThan(0);
        return built;
      };
      if (form.first) compiled(form.first);
      return compiled(form).instructions.filter(({ op }) => op === "tileDot").length;
    };
    expect([1, 2, 4].map((rows) => dots(rows, 2047, 2047))).toEqual([0, 0, 0]);
    for (const [rows, K, N] of [
      [5, 33, 70],
      [16, 4096, 11008],
      [33, 4096, 11008],
      [600, 200, 33],
      [700, 2049, 5632],
    ])
      expect(dots(rows, K, N)).toBeGreaterThan(10);
  });
});
