import type { Builder } from "../codegen/ir.ts";
import { type Args, copyRow } from "./row_programs.ts";

/** Heads of a row that a tile writes. */
const HEADS = 4;
/** Numbers of a key that are written without a loop. */
const UNROLLED = 16;

/** Tiles of a row. */
export function cacheWriteTiles(heads: number): number {
  return Math.ceil(heads / HEADS);
}

/** Writes some heads of a row to their page. */
export function cacheWriteProgram(
  b: Builder,
  args: Args,
  { part, heads, page, dim }: { part: "keys" | "values"; heads: number; page: number; dim: number },
): void {
  const tiles = cacheWriteTiles(heads);
  const row = b.tile.dividedBy(tiles);
  const head = b.tile.modulo(tiles).times(HEADS);
  const slot = b.cursor(args.slots, row.times(4)).readInt();
  const first = slot.dividedBy(page).times(heads).plus(head);
  const place = slot.modulo(page).times(part === "keys" ? 4 : 4 * dim);
  const to = b.cursor(args.y, first.times(4 * page * dim), place);
  const from = b.cursor(
    args.x,
    row
      .times(heads)
      .plus(head)
      .times(4 * dim),
  );
  b.repeat(b.int(heads).minus(head).min(HEADS), () => {
    if (part === "values") {
      copyRow(b, dim, from, "float32", to);
      to.advance(4 * (page - 1) * dim);
      return;
    }
    const some = (count: number): void => {
      for (let i = 0; i < count; i++) to.store(4 * i * page, from.broadcast(4 * i), 1);
      from.advance(4 * count);
      to.advance(4 * count * page);
    };
    b.repeat(Math.floor(dim / UNROLLED), () => some(UNROLLED));
    if (dim % UNROLLED > 0) some(dim % UNROLLED);
  });
}
