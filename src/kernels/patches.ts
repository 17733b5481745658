import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { normal } from "./cases.ts";
import { expectRank, f32, float32 } from "./host.ts";
import { copyRow, rowOf } from "./row_programs.ts";

/**
 * Cuts pictures into the rows that the patch embedding multiplies: a convolution whose stride is its size.
 *
 * pixels [N, C, H, W] -> [N * (H/p) * (W/p), C*p*p]; patches by y, then x; what is left at the right and the bottom
 * is not used.
 */
export const patches = kernel<{ pixels: Value }, { patch: number }>({
  name: "patches",
  shape({ pixels }, { patch }) {
    expectRank("patches", "pixels", pixels, 4);
    const [N, C, H, W] = pixels.shape;
    return float32(N * Math.floor(H / patch) * Math.floor(W / patch), C * patch * patch);
  },
  reference({ pixels, y }, { patch }) {
    const [N, C, H, W] = pixels.shape;
    const [rows, columns] = [Math.floor(H / patch), Math.floor(W / patch)];
    const [input, output] = [f32(pixels), f32(y)];
    let at = 0;
    for (let n = 0; n < N; n++)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          for (let c = 0; c < C; c++)
            for (let i = 0; i < patch; i++) {
              const from = ((n * C + c) * H + row * patch + i) * W + column * patch;
              output.set(input.subarray(from, from + patch), at);
              at += patch;
            }
  },
  vector({ pixels }, { patch }) {
    const [N, C, H, W] = pixels.shape;
    const [rows, columns] = [Math.floor(H / patch), Math.floor(W / patch)];
    return {
      key: `${C} ${H} ${W} ${patch}`,
      tiles: N * rows * columns,
      build(b, args) {
        const [picture, place] = [b.tile.dividedBy(rows * columns), b.tile.modulo(rows * columns)];
        const [row, column] = [place.dividedBy(columns), place.modulo(columns)];
        const start = picture
          .times(C * H)
          .plus(row.times(patch))
          .times(W)
          .plus(column.times(patch));
        const from = b.cursor(args.pixels, start.times(4));
        const to = rowOf(b, args.y, b.tile, C * patch * patch);
        b.repeat(C, () => {
          b.repeat(patch, () => {
            copyRow(b, patch, from, "float32", to);
            from.advance(4 * (W - patch));
          });
          from.advance(4 * (H - patch) * W);
        });
      },
    };
  },
  tolerance: 0,
  cases: {
    list: [
      { shape: [1, 1, 1, 1], patch: 1 },
      { shape: [1, 3, 7, 5], patch: 1 },
      { shape: [2, 3, 13, 22], patch: 5 },
      { shape: [1, 3, 30, 18], patch: 6 },
      { shape: [3, 1, 7, 5], patch: 2 },
      { shape: [2, 3, 28, 42], patch: 14 },
      { shape: [1, 3, 47, 33], patch: 16, scale: 1e4 },
    ] satisfies PatchesCase[],
    trial: ({ shape, patch, scale }: PatchesCase, random) => ({
      tensors: { pixels: normal(random, shape, scale) },
      params: { patch },
    }),
  },
});

interface PatchesCase {
  shape: number[];
  patch: number;
  scale?: number;
}
