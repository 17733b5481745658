import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { int32, normal, shuffled } from "./cases.ts";
import { expectSize, f32, i32 } from "./host.ts";
import { copyRow, rowOf } from "./row_programs.ts";

/**
 * Puts the keys (or values) of new rows into the pool of pages.
 * pool [P, Hkv, page, d], x [T, Hkv*d], slots int32 [T]: page * (tokens a page) + place in it -> the pool
 */
export const cacheWrite = kernel<{ pool: Value; x: Value; slots: Value }>({
  name: "cache_write",
  inPlace: "pool",
  shape({ pool, x, slots }) {
    expectSize("cache_write", "columns of x", x.shape[1], pool.shape[1] * pool.shape[3]);
    expectSize("cache_write", "slots", slots.shape[0], x.shape[0]);
    return pool;
  },
  reference({ x, slots, y }) {
    const [, heads, page, dim] = y.shape;
    const [input, output] = [f32(x), f32(y)];
    i32(slots).forEach((slot, t) => {
      const place = slot % page;
      const first = Math.floor(slot / page) * heads;
      for (let h = 0; h < heads; h++) {
        const from = (t * heads + h) * dim;
        output.set(input.subarray(from, from + dim), ((first + h) * page + place) * dim);
      }
    });
  },
  vector({ pool, x }) {
    const [, heads, page, dim] = pool.shape;
    return {
      key: `${heads} ${page} ${dim}`,
      tiles: x.shape[0],
      build(b, args) {
        const slot = b.cursor(args.slots, b.tile.times(4)).readInt();
        const first = slot
          .dividedBy(page)
          .times(heads * page)
          .plus(slot.modulo(page));
        const to = rowOf(b, args.y, first, dim);
        const from = rowOf(b, args.x, b.tile, heads * dim);
        b.repeat(heads, () => {
          copyRow(b, dim, from, "float32", to);
          to.advance(4 * (page - 1) * dim);
        });
      },
    };
  },
  cost: ({ x }) => ({ bytes: 8 * x.shape[0] * x.shape[1] }),
  tolerance: 0,
  cases: {
    list: [
      { pool: [1, 1, 1, 1], T: 1 },
      { pool: [3, 2, 7, 5], T: 4 },
      { pool: [5, 3, 16, 10], T: 45 },
      { pool: [4, 1, 64, 24], T: 1 },
      { pool: [3, 2, 64, 64], T: 131 },
      { pool: [2, 2, 16, 80], T: 32, scale: 1e4 },
    ] satisfies CacheCase[],
    trial: ({ pool, T, scale }: CacheCase, random) => ({
      tensors: {
        pool: normal(random, pool, 1),
        x: normal(random, [T, pool[1] * pool[3]], scale),
        slots: int32(shuffled(random, pool[0] * pool[2]).slice(0, T), T),
      },
      params: {},
    }),
  },
});

interface CacheCase {
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
