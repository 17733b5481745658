import { afterAll, describe, expect, it } from "vitest";
import { program } from "../../src/codegen/ir.ts";
import { avx512 } from "../../src/codegen/target.ts";
import { lowerX64 } from "../../src/codegen/x64/lower.ts";
import type { VectorForm, VectorProgram } from "../../src/devices/kernel.ts";
import type { AnyKernel } from "../../src/devices/recording_device.ts";
import { expandedLinear } from "../../src/kernels/formats/expanded_linear.ts";
import { expandedPanels } from "../../src/kernels/formats/expanded_panels.ts";
import { FORMATS } from "../../src/kernels/formats/formats.ts";
import { linear } from "../../src/kernels/linear.ts";
import { linearForm } from "../../src/kernels/linear_program.ts";
import { tileForm } from "../../src/kernels/tile_product.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { seeded } from "../random.ts";
import { interpretedDevice } from "./interpreted_device.ts";
import { type AnyTrial, difference, Prepared, referenceOf } from "./trial.ts";

/** An Intel server with AMX, whose instruction for pairs is slower than widening. */
const TARGET = avx512({ vnni: true, bf16: true, fp16: true, amx: true, bf16Dot: false });
const device = interpretedDevice(TARGET);
afterAll(() => device.dispose());

/** The cases of the kernel, and: tiles that are just full; more rows than a chunk has; columns of several slices. */
const FLOATS = [
  ...linear.cases.list.filter((entry) => "rounded" in entry && entry.rounded),
  { T: 16, K: 32, N: 32, dtype: "bfloat16", bias: false, rounded: true },
  { T: 33, K: 513, N: 64, dtype: "bfloat16", bias: true, rounded: true },
  { T: 48, K: 256, N: 1, dtype: "bfloat16", bias: true, rounded: true },
  { T: 49, K: 770, N: 70, dtype: "bfloat16", bias: false, rounded: true },
  { T: 5, K: 9, N: 1100, dtype: "bfloat16", bias: true, rounded: true },
  { T: 611, K: 259, N: 3, dtype: "bfloat16", bias: true, rounded: true },
];

const PACKED = [...expandedLinear.cases.list, { format: "q4", T: 611, K: 288, N: 17, bias: true }];

const KERNELS: readonly [AnyKernel, readonly object[]][] = [
  [linear as never, FLOATS],
  [expandedLinear as never, PACKED],
];

function trialOf(kernel: AnyKernel, entry: object): AnyTrial {
  return kernel.cases.trial(entry, seeded(`${kernel.name} ${JSON.stringify(entry)}`));
}

/** The product of some rows of a trial's input. */
async function multiply(kernel: AnyKernel, trial: AnyTrial, first = 0, rows?: number): Promise<Tensor> {
  const x = trial.tensors.x as Tensor;
  const [T, K] = x.shape;
  const some = new Tensor("float32", [rows ?? T, K], x.data.slice(first * K, (first + (rows ?? T)) * K));
  const prepared = await Prepared.on(device, kernel, { ...trial, tensors: { ...trial.tensors, x: some } });
  const [y] = await device.step(() => [device.run(kernel, prepared.inputs(), trial.params)]);
  prepared.free();
  return y;
}

/** How many tile products a program has, which is compiled for x86-64 on the way, too. */
function dotsOf(form: VectorForm): number {
  const compiled = (part: VectorProgram): number => {
    const slots = ["x", "weight", "bias", "y", "work", ...Object.keys(part.numbers ?? {})];
    const built = program("product", TARGET, slots, (b, args) => part.build(b, args));
    expect(lowerX64(built).bytes.length).toBeGreaterThan(0);
    return built.instructions.filter(({ op }) => op === "tileDot").length;
  };
  return (form.first ? compiled(form.first) : 0) + compiled(form);
}

describe("products of bfloat16 on a processor with matrix tiles", () => {
  for (const [kernel, entries] of KERNELS)
    for (const entry of entries)
      it(`keep the contract of ${kernel.name}: ${JSON.stringify(entry)}`, async () => {
        const trial = trialOf(kernel, entry);
        const y = await multiply(kernel, trial);
        expect(difference(y, referenceOf(kernel, trial))).toBeLessThanOrEqual(kernel.tolerance);
      });

  it.each([
    [linear as never as AnyKernel, { T: 50, K: 555, N: 37, dtype: "bfloat16", bias: true, rounded: true }],
    [expandedLinear as never as AnyKernel, { format: "q4", T: 50, K: 320, N: 37, bias: true }],
  ])("give a row the same numbers alone, among few, and among many: $name", async (kernel, entry) => {
    const { N } = entry;
    const trial = trialOf(kernel, entry);
    const all = await multiply(kernel, trial);
    for (const [first, rows] of [
      [49, 1],
      [14, 3],
      [7, 4],
      [20, 5],
      [3, 31],
    ]) {
      const some = await multiply(kernel, trial, first, rows);
      expect(some.data).toEqual(all.data.slice(first * N, (first + rows) * N));
    }
  });

  it("are made by tiles from five rows on, and fit the registers", () => {
    const dots = (rows: number, K: number, N: number): number =>
      dotsOf(linearForm(TARGET, { K, N, weight: "bfloat16", bias: "bfloat16", rounded: true }, rows));
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

  it.each(["q4", "q8"] as const)("are made by tiles from %s, and fit the registers", (name) => {
    for (const [rows, K, N] of [
      [1, 32, 16],
      [16, 4096, 11008],
      [577, 1024, 4112],
      [700, 2016, 5632],
    ]) {
      const panels = expandedPanels(FORMATS[name], N, K);
      expect(dotsOf(tileForm(TARGET, { K, N, bias: "float32", panels }, rows))).toBeGreaterThan(5);
    }
  });
});
