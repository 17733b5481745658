import { describe, expect, it } from "vitest";
import { program } from "../../src/codegen/ir.ts";
import { avx512, type Target } from "../../src/codegen/target.ts";
import { lowerX64 } from "../../src/codegen/x64/lower.ts";
import { FORMATS } from "../../src/kernels/formats/formats.ts";
import { packedLinear } from "../../src/kernels/formats/packed_linear.ts";
import { packedLinearForm } from "../../src/kernels/formats/packed_linear_program.ts";
import { candidates, type Machine, runProgram } from "../codegen/support/machines.ts";
import { seeded } from "../random.ts";
import { referenceOf } from "./trial.ts";

const FULL = { vnni: true, bf16: true, fp16: true };
const SCRATCH = 2 ** 18;

/** Rows around 16 and its multiples; blocks that do not fill a pair, nor a chunk; columns that do not fill a panel. */
const SHAPES = [
  { format: "q4", T: 16, K: 32, N: 16 },
  { format: "q8", T: 17, K: 96, N: 45, bias: true },
  { format: "q4", T: 35, K: 352, N: 70, bias: true },
  { format: "q8", T: 48, K: 288, N: 64 },
] as const;

function machineOf(target: Target): Machine {
  const found = candidates().find(
    (c): c is Machine => "run" in c && c.name.startsWith("interpreter, avx512 with"),
  );
  if (!found) throw new Error("there is no interpreter");
  return { ...found, target };
}

function formOf(target: Target, shape: (typeof SHAPES)[number]) {
  const { format, T, K, N } = shape;
  const bias = "bias" in shape ? ("bfloat16" as const) : undefined;
  return packedLinearForm(target, { format: FORMATS[format], T, K, N, bias });
}

/** The output of all tiles of work. */
function compute(
  machine: Machine,
  shape: (typeof SHAPES)[number],
): { y: Float32Array; expected: Float32Array } {
  const { T, N } = shape;
  const trial = packedLinear.cases.trial(shape, seeded(JSON.stringify(shape)));
  const { x, weight, bias } = trial.tensors as never as Record<string, { data: Uint8Array } | undefined>;
  const form = formOf(machine.target, shape);
  const y = new Float32Array(T * N).fill(Number.NaN);
  const inputs: Record<string, Uint8Array | Float32Array | number> = {
    ...{ x: x!.data, weight: weight!.data },
    ...(bias && { bias: bias.data }),
    ...{ y, ...form.numbers },
  };
  const built = program("packed_linear", machine.target, Object.keys(inputs), (b, args) =>
    form.build(b, args),
  );
  for (let tile = 0; tile < form.tiles; tile++)
    runProgram(machine, built, inputs, { tile, scratch: SCRATCH });
  return { y, expected: referenceOf(packedLinear as never, trial as never).data as Float32Array };
}

describe("packed products by matrix tiles", () => {
  for (const shape of SHAPES)
    it(`give what other instructions give: ${JSON.stringify(shape)}`, () => {
      const { y, expected } = compute(machineOf(avx512({ ...FULL, amx: true })), shape);
      const plain = compute(machineOf(avx512(FULL)), shape).y;
      expect([...y]).toEqual([...plain]);
      const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      const worst = expected.reduce((most, v, i) => Math.max(most, Math.abs(v - y[i])), 0);
      expect(worst).toBeLessThanOrEqual(packedLinear.tolerance * largest);
    });

  it("use tiles from 16 rows on, and fit the registers", () => {
    const target = avx512({ ...FULL, amx: true });
    const tiles = (T: number): boolean => {
      const shape = { format: FORMATS.q4, T, K: 512, N: 80, bias: undefined };
      const form = packedLinearForm(target, shape);
      const slots = ["x", "weight", "y", ...Object.keys(form.numbers ?? {})];
      const built = program("packed_linear", target, slots, (b, args) => form.build(b, args));
      expect(lowerX64(built).bytes.length).toBeGreaterThan(0);
      return built.instructions.some(({ op }) => op === "tileDot");
    };
    expect([8, 16, 40].map(tiles)).toEqual([false, true, true]);
  });
});
