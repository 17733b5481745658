import { expect, it } from "vitest";
import { program } from "../../src/codegen/ir.ts";
import { packPanels, panelColumns, panelPlace, panelRows, rowsOfPanels } from "../../src/codegen/panels.ts";
import { rmsNorm, siluMul } from "../../src/codegen/programs/elementwise.ts";
import type { VectorProgram } from "../../src/devices/kernel.ts";
import { linearForm } from "../../src/kernels/linear_program.ts";
import { fromFloat32, toFloat32 } from "../../src/tensor/dtype.ts";
import { describeMachines, Random, runProgram } from "./support/machines.ts";

/** [rows, N, K] of products: parts of panels in every direction, slices of K, one row and few. */
const SHAPES = [
  [1, 33, 65],
  [25, 35, 67],
  [3, 64, 19],
  [61, 64, 300],
] as const;

const DTYPES = ["float32", "float16", "bfloat16"] as const;

/** Numbers as a weight has them. */
function stored(dtype: (typeof DTYPES)[number], numbers: Float32Array): Float32Array | Uint16Array {
  const data = fromFloat32(dtype, numbers);
  if (data instanceof Float32Array || data instanceof Uint16Array) return data;
  throw new Error(`${dtype} is not kept so`);
}

function expectNear(got: Float32Array, want: ArrayLike<number>, tolerance: number): void {
  let [worst, largest] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i] - want[i]);
    worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
    largest = Math.max(largest, Math.abs(want[i]));
  }
  expect(worst / largest).toBeLessThan(tolerance);
}

describeMachines((machine) => {
  const { target } = machine;

  // Interpreters are slow: they are here for targets that this machine may lack.
  const shapes = machine.name.startsWith("interpreter") ? SHAPES.slice(0, 3) : SHAPES;
  const P = panelRows(target);

  /** A weight of random numbers: its rows, and what the program makes of them. */
  function packed(random: Random, dtype: (typeof DTYPES)[number], N: number, K: number) {
    const rows = stored(dtype, random.floats(N * K));
    const columns = panelColumns(dtype, K);
    const count = Math.ceil(N / P);
    const padded = stored(dtype, new Float32Array(count * P * columns));
    for (let n = 0; n < N; n++) padded.set(rows.subarray(n * K, (n + 1) * K), n * columns);
    const panels = stored(dtype, new Float32Array(count * P * columns).fill(Number.NaN));
    for (let tile = count - 1; tile >= 0; tile--)
      runProgram(machine, packPanels(target, dtype, K), { rows: padded, panels }, { tile });
    return { rows, panels };
  }

  for (const dtype of DTYPES) {
    it.each(shapes)(`lays %i and more out in panels: ${dtype}`, (_rows, N, K) => {
      const { rows, panels } = packed(new Random(N + K), dtype, N, K);
      expect(rowsOfPanels(target, dtype, N, K, panels)).toEqual(rows);
      for (const [n, k] of [
        [0, 0],
        [N - 1, K - 1],
        [N >> 1, K >> 1],
      ])
        expect(panels[panelPlace(target, dtype, K, n, k)]).toBe(rows[n * K + k]);
    });

    it.each(shapes)(`multiplies [%i rows] x [%i, %i] in ${dtype}`, (M, N, K) => {
      const random = new Random(M + N + K);
      const { rows, panels } = packed(random, dtype, N, K);
      const [x, bias] = [random.floats(M * K), random.floats(N, 10)];
      const weight = toFloat32(dtype, rows);
      for (const rounded of dtype === "bfloat16" ? [false, true] : [false]) {
        const form = linearForm(target, { N, K, weight: dtype, bias: "float32", rounded }, M);
        const y = new Float32Array(M * N).fill(Number.NaN);
        const work = new Float32Array((form.first?.bytes ?? 4) / 4);
        const arrays = { x, weight: panels, bias, y, work };
        const run = (part: VectorProgram): void => {
          const args = { ...arrays, ...part.numbers };
          const slots = Object.keys(args);
          const built = program("linear", target, slots, (b, named) => part.build(b, named));
          // The last one first, so that what one writes too much spoils another.
          for (let tile = part.tiles - 1; tile >= 0; tile--)
            runProgram(machine, built, args, { tile, scratch: 2 ** 16 });
        };
        if (form.first) run(form.first);
        run(form);
        const input = rounded ? toFloat32("bfloat16", fromFloat32("bfloat16", x)) : x;
        const want = Array.from(y, (_, i) => {
          const [m, n] = [Math.floor(i / N), i % N];
          let sum = bias[n];
          for (let k = 0; k < K; k++) sum += input[m * K + k] * weight[n * K + k];
          return sum;
        });
        expectNear(y, want, 1e-6);
      }
    });
  }

  it.each([1, 7, 45, 130])("normalises rows of %i", (D) => {
    const random = new Random(D);
    for (const scale of [1e-3, 1, 1e4]) {
      const [x, weight, y] = [random.floats(3 * D, scale), random.floats(D), new Float32Array(3 * D)];
      const eps = 1e-5;
      for (let tile = 0; tile < 3; tile++)
        runProgram(machine, rmsNorm(target, { D, eps }), { x, weight, y }, { tile });
      const want = Array.from(y, (_, i) => {
        const row = x.subarray(i - (i % D), i - (i % D) + D);
        const mean = row.reduce((sum, v) => sum + v * v, 0) / D;
        return (x[i] / Math.sqrt(mean + eps)) * weight[i % D];
      });
      expectNear(y, want, 1e-6);
    }
  });

  it.each([1, 21, 64, 130])("gates %i numbers", (D) => {
    const random = new Random(D);
    const [gate, up, y] = [random.floats(2 * D, 20), random.floats(2 * D), new Float32Array(2 * D)];
    gate[0] = -300;
    gate[D] = 300;
    for (const tile of [0, 1]) runProgram(machine, siluMul(target, { D }), { gate, up, y }, { tile });
    expectNear(
      y,
      Array.from(gate, (g, i) => (g / (1 + Math.exp(-g))) * up[i]),
      1e-6,
    );
  });
});
