import type { Target } from "../codegen/target.ts";
import type { VectorForm } from "../devices/kernel.ts";
import { blockTilesOf, pagedBlockProgram } from "./paged_block_program.ts";
import { type PagedShape, pagedFits } from "./paged_numbers.ts";
import {
  mergeProgram,
  mergeTiles,
  splitBytes,
  splitHeads,
  splitProgram,
  splitTiles,
} from "./paged_split_program.ts";

/** Attention over cached keys: sequences with one row by chunks of their keys, all others by blocks of their rows. */
export function pagedForm(target: Target, shape: PagedShape): VectorForm | undefined {
  if (!pagedFits(target, shape)) return undefined;
  const { heads, kv_heads, dim, page, element, scale, window, T, sequences } = shape;
  // Every sequence has rows: so many more of them than sequences, and so few sequences, say that there are blocks.
  const [split, blocks] = [T === sequences || sequences > 1, T > sequences];
  const blockTiles = blocks ? blockTilesOf(shape) : 0;
  const key = `${element} ${dim} ${page} ${heads} ${kv_heads} ${scale} ${window}`;
  const numbers = { sequences, blockTiles };
  return {
    key: `${split} ${blocks} ${key}`,
    tiles: blockTiles + (split ? mergeTiles(shape) : 0),
    numbers,
    build(b, args) {
      if (!split) return pagedBlockProgram(b, args, shape);
      if (!blocks) return mergeProgram(b, args, shape, b.tile);
      b.if(
        b.tile,
        "<",
        args.blockTiles.read(),
        () => pagedBlockProgram(b, args, shape),
        () => mergeProgram(b, args, shape, b.tile.minus(args.blockTiles.read())),
      );
    },
    ...(split && {
      first: {
        key: `${splitHeads(shape)} ${key}`,
        tiles: splitTiles(shape),
        numbers,
        bytes: splitBytes(shape),
        build: (b, args) => splitProgram(b, args, shape),
      },
    }),
  };
}
