import type { Cursor } from "../../codegen/cursor.ts";
import { packBf16 } from "../../codegen/dots.ts";
import type { Builder } from "../../codegen/ir.ts";
import { TILE_ROW_BYTES } from "../../codegen/tiles.ts";
import type { Vec } from "../../codegen/vector.ts";
import { PAIR_BYTES, type TilePanels } from "../tile_product.ts";
import { BLOCK, GROUP, type WeightFormat } from "./format.ts";
import { scalesAt, storedWords } from "./packed_blocks.ts";

/*
 * Packed weights as tiles of bfloat16, made slice by slice where they are needed: a block is as many columns as a tile has,
 * and two groups are the rows of a panel.
 */

/** Lines of the cache. */
const LINE = 64;

/** Columns that share a word of 32 bits. */
const FOUR = 4;

/** The panels of a packed weight [N, K]. */
export function expandedPanels(format: WeightFormat, N: number, K: number): TilePanels {
  const { groupBytes } = format;
  const stride = (K / BLOCK) * groupBytes;
  const odd = Math.ceil(N / GROUP) % 2 === 1;
  return {
    key: format.name,
    ready: false,
    bytes: 2 * stride,
    tileBytes: groupBytes,
    make(b, w, { tiles }, to, left) {
      // Where the last panel has one group only, this stands for the other one, too, whose products nobody reads.
      const second = w.copy(odd ? left().minus(1).min(1).times(stride) : stride);
      for (const [i, from] of [w.copy(), second].entries()) {
        const out = to.copy(i * TILE_ROW_BYTES);
        b.repeat(tiles, () => {
          for (let at = 0; at < groupBytes; at += LINE) from.prefetch(2 * stride + at, "L2");
          expandBlock(b, format, from, out);
          from.advance(groupBytes);
          out.advance(PAIR_BYTES);
        });
      }
      return tiles;
    },
  };
}

/** Writes a block of a group: 16 rows of pairs of columns, of each row of the weight beside each other. */
function expandBlock(b: Builder, format: WeightFormat, w: Cursor, out: Cursor): void {
  const scale = w.loadBf16(scalesAt(format));
  // One half of a vector has the pairs' first numbers, the other their second ones.
  const order = b.as("i16", b.lanesI32(Array.from({ length: b.lanes }, (_, i) => i | ((b.lanes + i) << 16))));
  for (let j = 0; j < storedWords(format); j++)
    for (const { word, codes } of codesOf(b, format, w, j))
      for (let i = 0; i < FOUR; i += 2) {
        const pairs = packBf16(b, b.mul(codes[i], scale), b.mul(codes[i + 1], scale));
        const pair = (FOUR * word + i) / 2;
        out.store(2 * TILE_ROW_BYTES * pair, b.operate("i16", "permuteI16", order, b.as("i16", pairs)));
      }
}

/** The words that a stored one holds: the four codes of each, less that of zero. */
function codesOf(
  b: Builder,
  { codeBits, zero }: WeightFormat,
  w: Cursor,
  j: number,
): { word: number; codes: Vec<"f32">[] }[] {
  const stored = w.loadI32(LINE * j);
  if (codeBits === 8) {
    const signed = b.xor(stored, b.i32(0x80808080));
    const codes = [24, 16, 8, 0].map((up) => b.toF32(b.sar(up === 0 ? signed : b.shl(signed, up), 24)));
    return [{ word: j, codes }];
  }
  // Of an index only the lower four bits count.
  const table = b.as(
    "f32",
    b.lanesI32(
      Array.from(new Int32Array(Float32Array.from({ length: 16 }, (_, code) => code - zero).buffer)),
    ),
  );
  const lookUp = (at: number): Vec<"f32"> => b.permute(at === 0 ? stored : b.shr(stored, at), table);
  return [0, 1].map((half) => ({
    word: 2 * j + half,
    codes: [0, 1, 2, 3].map((byte) => lookUp(8 * byte + 4 * half)),
  }));
}
