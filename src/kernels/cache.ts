import type { Spec, Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { cacheWriteProgram, cacheWriteTiles } from "./cache_program.ts";
import { int32, normal, shuffled } from "./cases.ts";
import { expectSize, f32, i32 } from "./host.ts";

/** What a pool holds. Keys stand turned in their pages, values one after the other. */
export interface CacheWriteParams {
  part: "keys" | "values";
}

/** Tokens a page holds, and numbers of each. */
function pageOf({ shape }: Spec, part: CacheWriteParams["part"]): { page: number; dim: number } {
  return part === "keys" ? { page: shape[3], dim: shape[2] } : { page: shape[2], dim: shape[3] };
}

/**
 * Puts the keys or the values of new rows into the pool of pages.
 * pool [P, Hkv, d, page] or [P, Hkv, page, d], x [T, Hkv*d], slots int32 [T]: page * (tokens a page) + place in it
 * -> the pool
 */
export const cacheWrite = kernel<{ pool: Value; x: Value; slots: Value }, CacheWriteParams>({
  name: "cache_write",
  inPlace: "pool",
  shape({ pool, x, slots }, { part }) {
    expectSize("cache_write", "columns of x", x.shape[1], pool.shape[1] * pageOf(pool, part).dim);
    expectSize("cache_write", "slots", slots.shape[0], x.shape[0]);
    return pool;
  },
  reference({ x, slots, y }, { part }) {
    const heads = y.shape[1];
    const { page, dim } = pageOf(y, part);
    const [input, output] = [f32(x), f32(y)];
    const [step, stride] = part === "keys" ? [1, page] : [dim, 1];
    i32(slots).forEach((slot, t) => {
      for (let h = 0; h < heads; h++) {
        const from = (t * heads + h) * dim;
        const to = (Math.floor(slot / page) * heads + h) * page * dim + (slot % page) * step;
        for (let d = 0; d < dim; d++) output[to + d * stride] = input[from + d];
      }
    });
  },
  vector({ pool, x }, { part }) {
    const heads = pool.shape[1];
    const { page, dim } = pageOf(pool, part);
    return {
      key: `${part} ${heads} ${page} ${dim}`,
      tiles: x.shape[0] * cacheWriteTiles(heads),
      build: (b, args) => cacheWriteProgram(b, args, { part, heads, page, dim }),
    };
  },
  cost: ({ x }) => ({ bytes: 8 * x.shape[0] * x.shape[1] }),
  tolerance: 0,
  cases: {
    list: [
      { part: "values", pool: [1, 1, 1, 1], T: 1 },
      { part: "values", pool: [3, 2, 7, 5], T: 4 },
      { part: "values", pool: [5, 3, 16, 10], T: 45 },
      { part: "values", pool: [4, 1, 64, 24], T: 1 },
      { part: "values", pool: [3, 9, 64, 64], T: 131 },
      { part: "values", pool: [2, 2, 16, 80], T: 32, scale: 1e4 },
      { part: "keys", pool: [1, 1, 1, 1], T: 1 },
      { part: "keys", pool: [3, 2, 5, 7], T: 4 },
      { part: "keys", pool: [5, 3, 10, 16], T: 45 },
      { part: "keys", pool: [3, 9, 64, 64], T: 131 },
      { part: "keys", pool: [2, 2, 80, 16], T: 32, scale: 1e4 },
    ] satisfies CacheCase[],
    trial({ part, pool, T, scale }: CacheCase, random) {
      const { page, dim } = pageOf({ dtype: "float32", shape: pool }, part);
      return {
        tensors: {
          pool: normal(random, pool, 1),
          x: normal(random, [T, pool[1] * dim], scale),
          slots: int32(shuffled(random, pool[0] * page).slice(0, T), T),
        },
        params: { part },
      };
    },
  },
});

interface CacheCase extends CacheWriteParams {
  pool: number[];
  T: number;
  scale?: number;
}

/** Copies one page of the pool onto another: pool [P, Hkv, page, d] -> the pool */
export const copyPage = kernel<{ pool: Value }, { from: number; to: number }>({
  name: "copy_page",
  inPlace: "pool",
  shape: ({ pool }) => pool,
  reference({ y }, { from, to }) {
    const size = y.data.length / y.shape[0];
    f32(y).copyWithin(to * size, from * size, from * size + size);
  },
  tolerance: 0,
  cases: {
    list: [
      { pool: [2, 1, 1, 1], from: 1, to: 0 },
      { pool: [3, 2, 7, 5], from: 0, to: 2 },
      { pool: [5, 3, 16, 10], from: 4, to: 3 },
      { pool: [4, 2, 64, 24], from: 1, to: 2 },
    ] satisfies CopyPageCase[],
    trial: ({ pool, from, to }: CopyPageCase, random) => ({
      tensors: { pool: normal(random, pool) },
      params: { from, to },
    }),
  },
});

interface CopyPageCase {
  pool: number[];
  from: number;
  to: number;
}

/** Copies a pool to the beginning of a larger one. target [P, ...], source [P', ...], P' <= P -> the target */
export const copyPool = kernel<{ target: Value; source: Value }>({
  name: "copy_pool",
  inPlace: "target",
  shape: ({ target }) => target,
  reference({ source, y }) {
    f32(y).set(f32(source));
  },
  tolerance: 0,
  cases: {
    list: [
      { page: [1, 1, 1], source: 1, target: 2 },
      { page: [2, 7, 5], source: 3, target: 3 },
      { page: [3, 16, 10], source: 2, target: 7 },
      { page: [2, 64, 24], source: 4, target: 8 },
    ] satisfies CopyPoolCase[],
    trial: ({ page, source, target }: CopyPoolCase, random) => ({
      tensors: { target: normal(random, [target, ...page]), source: normal(random, [source, ...page]) },
      params: {},
    }),
  },
});

interface CopyPoolCase {
  page: number[];
  source: number;
  target: number;
}
