import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { expectSize, f32, i32 } from "./host.ts";

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
  tolerance: 0,
});

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
});

/** Copies a pool to the beginning of a larger one. target [P, ...], source [P', ...], P' <= P -> the target */
export const copyPool = kernel<{ target: Value; source: Value }>({
  name: "copy_pool",
  inPlace: "target",
  shape: ({ target }) => target,
  reference({ source, y }) {
    f32(y).set(f32(source));
  },
  tolerance: 0,
});
