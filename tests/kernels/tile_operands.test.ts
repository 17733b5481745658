import { describe, expect, it } from "vitest";
import { program } from "../../src/codegen/ir.ts";
import { expandedPanels } from "../../src/kernels/formats/expanded_panels.ts";
import { FORMATS } from "../../src/kernels/formats/formats.ts";
import { unpackNumbers } from "../../src/kernels/formats/pack.ts";
import { packedNormal } from "../../src/kernels/formats/packed_linear.ts";
import { tileInput } from "../../src/kernels/tile_input_program.ts";
import { numberToBfloat16 } from "../../src/tensor/dtype.ts";
import { candidates, type Machine, Random, runProgram } from "../codegen/support/machines.ts";
import { seeded } from "../random.ts";

/** Making what tiles multiply needs no tiles: it runs on processors that have bfloat16. */
const MACHINES = candidates().filter((c): c is Machine => "run" in c && c.target.bf16);

for (const machine of MACHINES)
  describe(`what matrix tiles multiply: ${machine.name}`, () => {
    it.each(["q4", "q8"] as const)("weights, expanded from %s", (name) => {
      const [N, K, tiles] = [48, 128, 3];
      const format = FORMATS[name];
      const packed = packedNormal(seeded(name), format, N, K);
      const panels = expandedPanels(format, N, K);
      const expand = program("expand", machine.target, ["w", "to", "left"], (b, { w, to, left }) => {
        const from = b.cursor(w, panels.tileBytes);
        panels.make(b, from, { tiles, begin: true, end: true }, b.cursor(to), () => left.read());
      });
      // The first panel, and the last, which has one group of rows.
      for (const [panel, left] of [
        [0, 2],
        [1, 1],
      ]) {
        const to = new Uint16Array(tiles * 1024);
        const w = (packed.data as Uint8Array).subarray(panel * panels.bytes);
        runProgram(machine, expand, { w, to, left });
        for (let n = 0; n < Math.min(32, N - 32 * panel); n++) {
          const numbers = unpackNumbers(format, packed.data as Uint8Array, 32 * panel + n, K);
          const got = Array.from(
            { length: 32 * tiles },
            (_, k) => to[1024 * (k >> 5) + 64 * ((k & 31) >> 1) + 2 * n + (k & 1)],
          );
          expect(got, `row ${n}`).toEqual(
            Array.from(numbers.subarray(32, 32 + 32 * tiles), numberToBfloat16),
          );
        }
      }
    });

    it.each([
      { rows: 21, K: 70, slice: 3, height: 2 },
      { rows: 53, K: 530, slice: 8, height: 3 },
    ])("rows, rounded, in tiles of slices of chunks: %j", ({ rows, K, slice, height }) => {
      const [columns, all] = [Math.ceil(K / 32), Math.ceil(rows / 16)];
      const form = tileInput({ K, columns, slice, rows: all, height }, rows);
      const x = new Random(rows).floats(rows * K);
      const work = new Uint16Array(form.bytes / 2).fill(0xffff);
      const args = { x, work, ...form.numbers };
      const built = program("tiles", machine.target, Object.keys(args), (b, named) =>
        form.build(b, named as never),
      );
      for (let tile = 0; tile < form.tiles; tile++) runProgram(machine, built, args, { tile });
      const want = new Uint16Array(work.length);
      for (let row = 0; row < 16 * all; row++)
        for (let column = 0; column < 32 * columns; column++) {
          const tile = { row: row >> 4, column: column >> 5 };
          const first = tile.row - (tile.row % height);
          const count = Math.min(height, all - first);
          const from = tile.column - (tile.column % slice);
          const width = Math.min(slice, columns - from);
          const at = first * columns + from * count + (tile.row - first) * width + (tile.column - from);
          const there = row < rows && column < K;
          want[512 * at + 32 * (row & 15) + (column & 31)] = there
            ? numberToBfloat16(x[row * K + column])
            : 0;
        }
      expect(work).toEqual(want);
    });
  });
