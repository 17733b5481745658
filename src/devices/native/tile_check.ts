import type { Cursor } from "../../codegen/cursor.ts";
import { dot4 } from "../../codegen/dots.ts";
import type { Program } from "../../codegen/instruction.ts";
import { type Builder, program } from "../../codegen/ir.ts";
import type { Target } from "../../codegen/target.ts";
import {
  configureTiles,
  releaseTiles,
  TILE_BYTES,
  TILE_CONFIG_BYTES,
  TILE_ROW_BYTES,
  TILE_ROWS,
  Tile,
  tileConfig,
} from "../../codegen/tiles.ts";
import type { Vec } from "../../codegen/vector.ts";
import type { NativeEngine } from "./engine.ts";

/*
 * Whether matrix tiles give what the other instructions give, to the last bit. Asked once, when the engine starts: where
 * a processor, a system or an emulator gets them wrong, they are not used.
 */

/** Where things lie: the configuration, two matrices, and their products as bytes and as pairs of bf16. */
const PLACES = {
  config: 0,
  x: TILE_CONFIG_BYTES,
  w: TILE_CONFIG_BYTES + TILE_BYTES,
  bytes: TILE_CONFIG_BYTES + 2 * TILE_BYTES,
  pairs: TILE_CONFIG_BYTES + 3 * TILE_BYTES,
};
export const CHECK_BYTES = TILE_CONFIG_BYTES + 4 * TILE_BYTES;

const SLOTS = ["memory"] as const;

/** x w as bytes, and x w + x w as bf16, by tiles. */
export function tileProducts(target: Target): Program {
  return program("tile products", target, SLOTS, (b, { memory }) => {
    const at = b.cursor(memory);
    configureTiles(b, at, PLACES.config);
    const stride = b.int(TILE_ROW_BYTES);
    const [x, w] = [PLACES.x, PLACES.w].map((place) => new Tile(b).load(at, place, stride));
    new Tile(b).zero().dot("su", x, w).store(at, PLACES.bytes, stride);
    new Tile(b).zero().dot("bf16", x, w).dot("bf16", x, w).store(at, PLACES.pairs, stride);
    releaseTiles(b);
  });
}

/**
 * The same by the instructions for vectors. Of bf16 the products of the first numbers of the pairs and those of the
 * second are added up apart, as the manual of tiles has it; products of few rows rely on that order.
 */
export function vectorProducts(target: Target): Program {
  return program("vector products", target, SLOTS, (b, { memory }) => {
    const [row, out] = [b.cursor(memory, PLACES.x), b.cursor(memory, PLACES.bytes)];
    b.repeat(TILE_ROWS, () => {
      multiplyRow(b, b.cursor(memory, PLACES.w), row, out);
      row.advance(TILE_ROW_BYTES);
      out.advance(TILE_ROW_BYTES);
    });
  });
}

function multiplyRow(b: Builder, w: Cursor, row: Cursor, out: Cursor): void {
  const [bytes, first, second] = [b.accI32(), b.accF32(), b.accF32()];
  const upper = (v: Vec<"i32">): Vec<"f32"> => b.as("f32", b.and(v, b.i32(0xffff0000)));
  const lower = (v: Vec<"i32">): Vec<"f32"> => b.as("f32", b.shl(v, 16));
  for (let k = 0; k < TILE_ROWS; k++) {
    dot4(b, bytes, w.loadBytes(k * TILE_ROW_BYTES), row.broadcastBytes(4 * k));
    const [weights, factors] = [w.loadI32(k * TILE_ROW_BYTES), row.broadcastI32(4 * k)];
    first.fma(lower(weights), lower(factors));
    second.fma(upper(weights), upper(factors));
  }
  out.store(0, bytes);
  const once = b.add(first, second);
  out.store(PLACES.pairs - PLACES.bytes, b.add(once, once));
}

/** Any bytes that are, as bf16, numbers of either sign from 2^-7 to 2^8, with all their digits. */
export function checkMemory(): Uint8Array {
  const memory = new Uint8Array(CHECK_BYTES);
  memory.set(tileConfig(), PLACES.config);
  const numbers = new Uint16Array(memory.buffer, PLACES.x, TILE_BYTES);
  let state = 2463534242;
  for (let i = 0; i < numbers.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const [sign, exponent, digits] = [state >>> 31, 120 + ((state >>> 27) & 15), (state >>> 20) & 0x7f];
    numbers[i] = (sign << 15) | (exponent << 7) | digits;
  }
  return memory;
}

/** The products that a program left in `memory`. */
export function productsIn(memory: Uint8Array): { bytes: Uint8Array; pairs: Uint8Array } {
  const at = (place: number): Uint8Array => memory.slice(place, place + TILE_BYTES);
  return { bytes: at(PLACES.bytes), pairs: at(PLACES.pairs) };
}

/** Which products by tiles are right. Takes a fraction of a millisecond. The system must have allowed tiles. */
export function checkTiles(engine: NativeEngine): { bytes: boolean; pairs: boolean } {
  const region = engine.allocate(CHECK_BYTES + 8);
  try {
    const products = [tileProducts, vectorProducts].map((of) => {
      region.write(0, checkMemory());
      const block = region.array(BigUint64Array, CHECK_BYTES, 1);
      block[0] = BigInt(region.address);
      engine.callable(of(engine.target))(region.address + CHECK_BYTES, 0, 0);
      return productsIn(region.read(0, CHECK_BYTES));
    });
    const [tiles, vectors] = products;
    const same = (kind: "bytes" | "pairs"): boolean =>
      tiles[kind].every((byte, i) => byte === vectors[kind][i]);
    return { bytes: same("bytes"), pairs: same("pairs") };
  } finally {
    region.free();
  }
}
