import { panelBytes } from "../codegen/panels.ts";
import type { Target } from "../codegen/target.ts";
import { TILE_ROW_BYTES } from "../codegen/tiles.ts";
import type { LinearShape } from "./panel_units.ts";
import { TILE_COLUMNS } from "./tile_input_program.ts";
import { PAIR_BYTES, type TilePanels } from "./tile_product.ts";

/** Panels of bfloat16 as they lie in memory: only their end, where a tile has more columns than there are, is made. */
export function floatPanels(target: Target, { K, weight }: LinearShape): TilePanels {
  const pairs = Math.ceil((K % TILE_COLUMNS) / 2);
  return {
    key: weight,
    ready: true,
    bytes: panelBytes(target, weight, K),
    tileBytes: PAIR_BYTES,
    make(b, w, { tiles, end }, to) {
      if (!end || pairs === 0) return 0;
      for (let at = 0; at < PAIR_BYTES; at += TILE_ROW_BYTES) {
        // What follows belongs to other columns, or to nothing.
        const there = at < 2 * TILE_ROW_BYTES * pairs;
        to.store(at, there ? w.loadBytes((tiles - 1) * PAIR_BYTES + at) : b.bytes(0));
      }
      return 1;
    },
  };
}
