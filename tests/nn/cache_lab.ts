import { expect } from "vitest";
import type { Value } from "../../src/devices/device.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import { cacheWrite } from "../../src/kernels/cache.ts";
import {
  type CacheDType,
  type CachePart,
  elementOf,
  pageNumbers,
  poolSpec,
  writeToken,
} from "../../src/kernels/cache_pages.ts";
import { KVCache } from "../../src/nn/kv_cache.ts";
import { PagePool } from "../../src/nn/page_pool.ts";
import { Rows } from "../../src/nn/rows.ts";
import { allocate } from "../../src/tensor/dtype.ts";
import { sizeOf, Tensor } from "../../src/tensor/tensor.ts";

/** What a page holds of a token. */
export const SHAPE = { layers: 2, kv_heads: 2, head_dim: 3 };
/** Numbers that a layer keeps of a token, in its keys and in its values. */
export const WIDTH = SHAPE.kv_heads * SHAPE.head_dim;
/** Tokens a page holds. */
export const PAGE = 64;

/** What a layer keeps of a token: every number says whose it is. */
function row(token: number, layer: number, values: boolean): number[] {
  return Array.from({ length: WIDTH }, (_, i) => token * 100 + layer * 20 + i + 1 + (values ? 0.5 : 0));
}

/** A device, a pool of pages on it, and sequences whose tokens can be told apart. */
export class Lab {
  readonly device: ReferenceDevice;
  readonly pool: PagePool;

  constructor(device = new ReferenceDevice(), dtype: CacheDType = "float32") {
    this.device = device;
    this.pool = new PagePool(device, SHAPE, dtype);
  }

  cache(): KVCache {
    return new KVCache(this.pool);
  }

  /** Room, then the step that fills it. */
  async append(cache: KVCache, tokens: readonly number[]): Promise<void> {
    await cache.prepare(tokens.length);
    await this.fill(cache, tokens);
  }

  /** The step alone. */
  fill(cache: KVCache, tokens: readonly number[]): Promise<void> {
    return this.#write(tokens, () => cache.append(tokens.length));
  }

  /** A step that writes tokens that nobody has chosen. */
  foresee(cache: KVCache, tokens: readonly number[]): Promise<void> {
    return this.#write(tokens, () => cache.foresee(tokens.length));
  }

  /** A step of several sequences, as a model records it. */
  async fillRows(caches: readonly KVCache[], tokens: readonly (readonly number[])[]): Promise<void> {
    const segments = caches.map((cache, i) => ({
      cache,
      positions: tokens[i].map((_, j) => cache.length + j),
    }));
    await this.device.step(() => {
      const { slots } = new Rows(this.device, this.pool, segments);
      this.#record(tokens.flat(), slots);
      return [];
    });
  }

  async #write(tokens: readonly number[], slotsOf: () => number[]): Promise<void> {
    await this.device.step(() => {
      const slots = Int32Array.from(slotsOf());
      this.#record(tokens, this.device.upload(new Tensor("int32", [tokens.length], slots)));
      return [];
    });
  }

  #record(tokens: readonly number[], slots: Value): void {
    for (let layer = 0; layer < SHAPE.layers; layer++) {
      const { keys, values } = this.pool.layer(layer);
      const numbers = (part: boolean): number[] => tokens.flatMap((token) => row(token, layer, part));
      this.#writePart(keys, numbers(false), slots, "keys");
      this.#writePart(values, numbers(true), slots, "values");
    }
  }

  #writePart(pool: Value, numbers: number[], slots: Value, part: "keys" | "values"): void {
    const x = this.device.upload(new Tensor("float32", [slots.shape[0], WIDTH], numbers));
    this.device.run(cacheWrite, { pool, x, slots }, { part });
  }

  /** Checks that a cache holds just these tokens, in every layer. */
  async expectHeld(cache: KVCache, tokens: readonly number[]): Promise<void> {
    expect(cache.length).toBe(tokens.length);
    if (tokens.length === 0) return;
    for (let layer = 0; layer < SHAPE.layers; layer++) {
      const { keys, values } = this.pool.layer(layer);
      const pools = await this.device.step(() => [keys, values]);
      for (const [kind, part] of (["keys", "values"] as const).entries()) {
        const numbers = pageNumbers(pools[kind], part, cache.pages);
        for (const [j, token] of tokens.entries())
          expect(held(numbers, j, part), `token ${j}`).toEqual(
            kept(this.pool.dtype, row(token, layer, part === "values")),
          );
      }
    }
  }
}

/** The numbers of token `j` in those of a list of pages. */
function held(numbers: Float32Array, j: number, part: CachePart): number[] {
  const { kv_heads, head_dim } = SHAPE;
  return Array.from({ length: WIDTH }, (_, i) => {
    const head = Math.floor(j / PAGE) * kv_heads + Math.floor(i / head_dim);
    const [place, number] = [j % PAGE, i % head_dim];
    const inPage = part === "keys" ? number * PAGE + place : place * head_dim + number;
    return numbers[head * PAGE * head_dim + inPage];
  });
}

/** What a type of cache keeps of a token's numbers. */
function kept(dtype: CacheDType, numbers: number[]): number[] {
  const { kv_heads, head_dim: dim } = SHAPE;
  const spec = poolSpec("values", 1, { element: elementOf(dtype), kv_heads, dim, page: 1 });
  const pool = new Tensor(spec.dtype, spec.shape, allocate(spec.dtype, sizeOf(spec.shape)));
  for (let h = 0; h < kv_heads; h++)
    writeToken(pool, "values", 0, h, Float32Array.from(numbers.slice(h * dim, (h + 1) * dim)));
  return Array.from(pageNumbers(pool, "values", [0]));
}

/** `count` tokens, numbered from `from`. */
export function tokens(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}
