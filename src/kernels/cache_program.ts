import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import { maxLanes } from "../codegen/math.ts";
import type { Vec } from "../codegen/vector.ts";
import { MOST_F16, type PageLayout } from "./cache_pages.ts";
import type { Args } from "./row_programs.ts";
import { byteCodes, byteScaleOf } from "./signed_bytes.ts";

/** Heads of a row that a tile writes. */
const HEADS = 4;
/** Numbers of a key that are written without a loop. */
const UNROLLED = 16;

/** Tiles of a row. */
export function cacheWriteTiles(heads: number): number {
  return Math.ceil(heads / HEADS);
}

/** Writes some heads of a row to their page. */
export function cacheWriteProgram(b: Builder, args: Args, layout: PageLayout): void {
  const { kv_heads: heads, page, dim, bytes, numbers, blockBytes, strides, element } = layout;
  const tiles = cacheWriteTiles(heads);
  const row = b.tile.dividedBy(tiles);
  const head = b.tile.modulo(tiles).times(HEADS);
  const slot = b.cursor(args.slots, row.times(4)).readInt();
  const first = slot.dividedBy(page).times(heads).plus(head).times(blockBytes);
  const place = slot.modulo(page);
  const to = b.cursor(args.y, first, place.times(strides.token * bytes));
  const scales = b.cursor(args.y, first.plus(numbers * bytes), place.times(4));
  const from = b.cursor(
    args.x,
    row
      .times(heads)
      .plus(head)
      .times(4 * dim),
  );
  b.repeat(b.int(heads).minus(head).min(HEADS), () => {
    const inverse = element === "int8" ? writeScale(b, dim, from, scales) : undefined;
    const put = (at: number, value: Vec<"f32">, lanes: number): void => {
      if (inverse) to.storeI8(at, byteCodes(b, value, inverse), lanes);
      else if (element === "float16") to.storeF16(2 * at, limited(b, value), lanes);
      else to.store(4 * at, value, lanes);
    };
    if (layout.part === "values") along(b, dim, from, to, bytes, put);
    else across(b, layout, from, to, put);
    to.advance(blockBytes - dim * strides.number * bytes);
    scales.advance(blockBytes);
  });
}

type Put = (at: number, value: Vec<"f32">, lanes: number) => void;

function along(b: Builder, dim: number, from: Cursor, to: Cursor, bytes: number, put: Put): void {
  b.elements(
    dim,
    (i, lanes) => put(i, from.load(4 * i, lanes), lanes),
    (k) => {
      from.advance(4 * k);
      to.advance(bytes * k);
    },
  );
}

function across(b: Builder, { dim, page, bytes }: PageLayout, from: Cursor, to: Cursor, put: Put): void {
  const some = (count: number): void => {
    for (let i = 0; i < count; i++) put(i * page, from.broadcast(4 * i), 1);
    from.advance(4 * count);
    to.advance(bytes * count * page);
  };
  b.repeat(Math.floor(dim / UNROLLED), () => some(UNROLLED));
  if (dim % UNROLLED > 0) some(dim % UNROLLED);
}

/** No number of 16 bits is infinite. */
function limited(b: Builder, value: Vec<"f32">): Vec<"f32"> {
  return b.max(b.f32(-MOST_F16), b.min(b.f32(MOST_F16), value));
}

/** Writes the scale of a head's numbers; gives what they are multiplied by. */
function writeScale(b: Builder, dim: number, from: Cursor, to: Cursor): Vec<"f32"> {
  const most = b.accF32();
  const walk = from.copy();
  b.elements(
    dim,
    (i, lanes) => most.max(b.abs(walk.load(4 * i, lanes))),
    (k) => walk.advance(4 * k),
  );
  const { scale, inverse } = byteScaleOf(b, maxLanes(b, most));
  to.store(0, scale, 1);
  return b.acc(inverse);
}
