import { dot4, dotBf16 } from "../../codegen/dots.ts";
import type { Program } from "../../codegen/instruction.ts";
import { type Builder, program } from "../../codegen/ir.ts";
import type { Target } from "../../codegen/target.ts";
import { configureTiles, releaseTiles, TILE_CONFIG_BYTES, Tile, tileConfig } from "../../codegen/tiles.ts";
import type { NativeEngine } from "./engine.ts";

/*
 * Whether matrix tiles give what the other instructions give. Asked once, when the engine starts: where a processor, a
 * system or an emulator gets them wrong, they are not used.
 */

const ROWS = 16;
const ROW_BYTES = 64;
const MATRIX = ROWS * ROW_BYTES;
/** Where things lie: the configuration, two matrices, and the products of bytes and of bf16 of either way. */
const PLACES = { config: 0, x: 64, w: 64 + MATRIX, bytes: 64 + 2 * MATRIX, floats: 64 + 3 * MATRIX };
export const CHECK_BYTES = TILE_CONFIG_BYTES + 4 * MATRIX;

const SLOTS = ["memory"] as const;

/** x w, once as bytes and once as bf16, by tiles. */
export function tileProducts(target: Target): Program {
  return program("tile products", target, SLOTS, (b, { memory }) => {
    const at = b.cursor(memory);
    configureTiles(b, at, PLACES.config);
    const stride = b.int(ROW_BYTES);
    const [x, w] = [PLACES.x, PLACES.w].map((place) => new Tile(b).load(at, place, stride));
    new Tile(b).zero().dot("su", x, w).store(at, PLACES.bytes, stride);
    new Tile(b).zero().dot("bf16", x, w).store(at, PLACES.floats, stride);
    releaseTiles(b);
  });
}

/** The same by the instructions for vectors. */
export function vectorProducts(target: Target): Program {
  return program("vector products", target, SLOTS, (b, { memory }) => {
    const [row, out] = [b.cursor(memory, PLACES.x), b.cursor(memory, PLACES.bytes)];
    b.repeat(ROWS, () => {
      multiplyRow(b, b.cursor(memory, PLACES.w), row, out);
      row.advance(ROW_BYTES);
      out.advance(ROW_BYTES);
    });
  });
}

function multiplyRow(
  b: Builder,
  w: ReturnType<Builder["cursor"]>,
  row: ReturnType<Builder["cursor"]>,
  out: ReturnType<Builder["cursor"]>,
): void {
  const [bytes, floats] = [b.accI32(), b.accF32()];
  for (let k = 0; k < ROWS; k++) {
    dot4(b, bytes, w.loadBytes(k * ROW_BYTES), row.broadcastBytes(4 * k));
    dotBf16(b, floats, w.loadBytes(k * ROW_BYTES, "bf16"), row.broadcastBytes(4 * k, "bf16"));
  }
  out.store(0, bytes);
  out.store(PLACES.floats - PLACES.bytes, floats);
}

/**
 * Numbers that are exact either way: as bytes anything goes, and as bf16 they are 1 or 2 with either sign, of whatever
 * bytes these are made.
 */
export function checkMemory(): Uint8Array {
  const memory = new Uint8Array(CHECK_BYTES);
  memory.set(tileConfig(), PLACES.config);
  const pairs = new Uint16Array(memory.buffer, PLACES.x, MATRIX);
  let state = 2463534242;
  for (let i = 0; i < pairs.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    pairs[i] = [0x3f80, 0xbf80, 0x4000, 0xc000][state >>> 30];
  }
  return memory;
}

/** The products that a program left in `memory`. */
export function productsIn(memory: Uint8Array): Uint8Array {
  return memory.subarray(PLACES.bytes, PLACES.bytes + 2 * MATRIX);
}

/** Takes a fraction of a millisecond. The system must have allowed tiles. */
export function tilesAgree(engine: NativeEngine): boolean {
  const region = engine.allocate(CHECK_BYTES + 8);
  try {
    const products = [tileProducts, vectorProducts].map((of) => {
      region.write(0, checkMemory());
      const block = region.array(BigUint64Array, CHECK_BYTES, 1);
      block[0] = BigInt(region.address);
      engine.callable(of(engine.target))(region.address + CHECK_BYTES, 0, 0);
      return productsIn(region.read(0, CHECK_BYTES)).slice();
    });
    return products[0].every((byte, i) => byte === products[1][i]);
  } finally {
    region.free();
  }
}
