import { expect, it } from "vitest";
import { rmsNorm, siluMul } from "../../src/codegen/programs/elementwise.ts";
import {
  divideMatmul,
  type MatmulShape,
  matmul,
  matmulThin,
  thinRows,
  thinTiles,
} from "../../src/codegen/programs/matmul.ts";
import {
  inputPanel,
  packInput,
  packWeights,
  panelBytes,
  weightPanel,
} from "../../src/codegen/programs/panels.ts";
import { describeMachines, type Machine, Random, runProgram } from "./support/machines.ts";

/** [rows, N, K] of products: parts of panels in every direction, slices of K, more than one chunk of rows. */
const SHAPES = [
  [1, 1, 1],
  [13, 7, 3],
  [25, 33, 65],
  [61, 64, 300],
  [50, 41, 130],
] as const;

function reference(
  x: Float32Array,
  w: Float32Array,
  bias: Float32Array,
  [M, N, K]: readonly [number, number, number],
): Float64Array {
  const y = new Float64Array(M * N);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      let sum = bias[n];
      for (let k = 0; k < K; k++) sum += x[m * K + k] * w[n * K + k];
      y[m * N + n] = sum;
    }
  return y;
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

  /** The weights in panels. */
  function packed(m: Machine, weight: Float32Array, N: number, K: number): Float32Array {
    const P = weightPanel(target);
    const panels = new Float32Array(Math.ceil(N / P) * P * K).fill(Number.NaN);
    const pack = packWeights(target, { N, K });
    for (let tile = 0; tile < Math.ceil(N / P); tile++) runProgram(m, pack, { weight, panels }, { tile });
    return panels;
  }

  // Interpreters are slow: they are here for targets that this machine may lack.
  const shapes = machine.name.startsWith("interpreter") ? SHAPES.slice(1, 3) : SHAPES;

  it.each(shapes)("multiplies [%i rows] x [%i, %i]", (M, N, K) => {
    const random = new Random(M + N + K);
    const [x, weight, bias] = [random.floats(M * K), random.floats(N * K), random.floats(N, 10)];
    const panels = packed(machine, weight, N, K);
    const P = weightPanel(target);
    const wanted = panels.map((_, i) => {
      const [n, k] = [Math.floor(i / (P * K)) * P + (i % P), Math.floor(i / P) % K];
      return n < N ? weight[n * K + k] : 0;
    });
    expect(Buffer.from(panels.buffer).equals(Buffer.from(wanted.buffer))).toBe(true);

    const R = inputPanel(target);
    const xPanels = new Float32Array(panelBytes(target, M, K, R) / 4);
    const pack = packInput(target, { K });
    // The last one first, so that what one writes too much spoils another.
    for (let tile = Math.ceil(M / R) - 1; tile >= 0; tile--)
      runProgram(machine, pack, { x, panels: xPanels, rows: M }, { tile });

    for (const [withBias, threads] of [
      [true, 8],
      [false, 1],
    ] as const) {
      const shape: MatmulShape = { N, K, bias: withBias };
      const want = reference(x, weight, withBias ? bias : new Float32Array(N), [M, N, K]);
      // For many threads the rows are divided too; for one, several panels are multiplied at once.
      const { tiles, chunks, panels: count, scratchBytes } = divideMatmul(target, shape, M, threads);
      const y = new Float32Array(M * N).fill(Number.NaN);
      const args = { weight: panels, x: xPanels, y, bias, rows: M, chunks, panels: count };
      const built = matmul(target, shape);
      for (let tile = 0; tile < tiles; tile++)
        runProgram(machine, built, args, { tile, scratch: scratchBytes });
      expectNear(y, want, 1e-6);

      const rows = Math.min(M, thinRows(target));
      const thin = new Float32Array(rows * N).fill(Number.NaN);
      const builtThin = matmulThin(target, { ...shape, rows });
      for (let tile = 0; tile < thinTiles(target, shape); tile++)
        runProgram(machine, builtThin, { weight: panels, x, y: thin, bias }, { tile });
      expectNear(thin, want.subarray(0, rows * N), 1e-6);
    }
  });

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
