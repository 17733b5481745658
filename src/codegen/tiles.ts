import type { Cursor } from "./cursor.ts";
import { type Register, TILE_DOTS, type TileDot } from "./instruction.ts";
import type { Builder } from "./ir.ts";
import type { Int } from "./scalar.ts";

/*
 * AMX: matrix tiles of 16 rows of 64 bytes. Only where the target has `amx`. There are eight; none may be in use across
 * a call.
 */

/** Rows of a tile, and their bytes. */
export const TILE_ROWS = 16;
export const TILE_ROW_BYTES = 64;
export const TILE_BYTES = TILE_ROWS * TILE_ROW_BYTES;

/** Bytes of a tile configuration. */
export const TILE_CONFIG_BYTES = 64;

/** What `configureTiles` reads: eight tiles of 16 rows of 64 bytes. */
export function tileConfig(): Uint8Array {
  const config = new Uint8Array(TILE_CONFIG_BYTES);
  config[0] = 1;
  for (let i = 0; i < 8; i++) {
    config[16 + 2 * i] = TILE_ROW_BYTES;
    config[48 + i] = TILE_ROWS;
  }
  return config;
}

/** A tile register. Loading, zeroing and `dot` change it. */
export class Tile {
  readonly #b: Builder;
  readonly register: Register;

  constructor(b: Builder) {
    this.#b = b;
    this.register = b.register("tile");
  }

  zero(): this {
    this.#b.emitTo(this.register, "tileZero");
    return this;
  }

  /**
   * Reads 16 rows that lie `stride` bytes apart.
   *
   * @param once the rows are not wanted again soon: keep other data in the nearest cache
   */
  load(from: Cursor, offset: number, stride: Int, once = false): this {
    const inputs = [from.pointer.register, stride.register];
    this.#b.emitTo(this.register, "tileLoad", inputs, { offset, imm: once ? 1 : 0 });
    return this;
  }

  store(to: Cursor, offset: number, stride: Int): void {
    this.#b.emit("tileStore", [to.pointer.register, stride.register, this.register], { offset });
  }

  /**
   * this += x y. bf16: x is [16, 32] bf16, y [16 pairs, 16, 2], into f32. Bytes: x is [16, 64], y [16 fours, 16, 4],
   * into i32. The three must be different tiles.
   */
  dot(kind: TileDot, x: Tile, y: Tile): this {
    const inputs = [x.register, y.register, this.register];
    this.#b.emitTo(this.register, "tileDot", inputs, { imm: TILE_DOTS.indexOf(kind) });
    return this;
  }
}

/** Makes the tiles usable, from a configuration in memory. Costs 50 ns with `releaseTiles`: do it in every program. */
export function configureTiles(b: Builder, config: Cursor, offset = 0): void {
  b.emit("tileConfig", [config.pointer.register], { offset });
}

/** Gives the tiles back to the processor, so that no thread carries their 8 KB with it. */
export function releaseTiles(b: Builder): void {
  b.emit("tileRelease");
}
