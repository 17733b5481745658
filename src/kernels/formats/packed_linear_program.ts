import type { Target } from "../../codegen/target.ts";
import type { VectorForm } from "../../devices/kernel.ts";
import type { PackedShape } from "./packed_blocks.ts";
import { multipliesTall, tallProgram, tallTiles } from "./packed_tall_program.ts";
import { thinProgram, thinRows, thinTiles } from "./packed_thin_program.ts";
import { wideProgram, wideTiles } from "./packed_wide_program.ts";

/** How a product with a packed weight is computed, by its number of rows. */
export function packedLinearForm(target: Target, shape: PackedShape): VectorForm {
  const { format, T, K, N, bias } = shape;
  const key = `${format.name} ${K} ${N} ${bias}`;
  if (T <= thinRows(target)) {
    return {
      key: `${key} ${T}`,
      tiles: thinTiles(shape),
      streams: true,
      build: (b, args) => thinProgram(b, args, shape),
    };
  }
  if (multipliesTall(target)) {
    const { tiles, parts } = tallTiles(shape);
    return {
      key: `${key} tall`,
      tiles,
      numbers: { rows: T, parts },
      build: (b, args) => tallProgram(b, args, shape),
    };
  }
  const { tiles, height } = wideTiles(target, shape);
  return {
    key: `${key} wide`,
    tiles,
    numbers: { rows: T, height },
    build: (b, args) => wideProgram(b, args, shape),
  };
}
