import type { Cursor } from "../codegen/cursor.ts";
import type { Int } from "../codegen/scalar.ts";
import type { Spec, Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { BYTES, bytesIn } from "../tensor/dtype.ts";
import {
  type CacheDType,
  type CacheElement,
  type CachePart,
  elementOf,
  PageLayout,
  poolSpec,
  writeToken,
} from "./cache_pages.ts";
import { cacheWriteProgram, cacheWriteTiles } from "./cache_program.ts";
import { int32, normal, shuffled } from "./cases.ts";
import { expectSize, f32, i32 } from "./host.ts";
import { copyBytes, rowOf } from "./row_programs.ts";

export interface CacheWriteParams {
  part: CachePart;
}

interface CacheCase extends CacheWriteParams {
  dtype?: CacheDType;
  heads: number;
  page: number;
  dim: number;
  pages: number;
  T: number;
  scale?: number;
}

/** Fewer bits: sizes that are and are not a multiple of a vector's lanes; numbers beyond float16; zeros. */
const NARROW_CASES: CacheCase[] = (["float16", "q8"] as const).flatMap((dtype) =>
  (["keys", "values"] as const).flatMap((part): CacheCase[] => [
    { part, dtype, heads: 1, page: 1, dim: 1, pages: 1, T: 1 },
    { part, dtype, heads: 3, page: 16, dim: 10, pages: 4, T: 45 },
    { part, dtype, heads: 9, page: 64, dim: 64, pages: 2, T: 70 },
    { part, dtype, heads: 2, page: 16, dim: 37, pages: 2, T: 5, scale: 1e5 },
    { part, dtype, heads: 2, page: 16, dim: 24, pages: 2, T: 5, scale: 1e-6 },
    { part, dtype, heads: 2, page: 16, dim: 24, pages: 2, T: 5, scale: 0 },
  ]),
);

/**
 * Puts the keys or the values of new rows into the pool of pages, rounded to what it keeps: see `cache_pages.ts`.
 * pool [P, Hkv, d, page] or [P, Hkv, page, d], x [T, Hkv*d], slots int32 [T]: page * (tokens a page) + place in it
 * -> the pool
 */
export const cacheWrite = kernel<{ pool: Value; x: Value; slots: Value }, CacheWriteParams>({
  name: "cache_write",
  inPlace: "pool",
  shape({ pool, x, slots }, { part }) {
    const { kv_heads, dim } = PageLayout.of(pool, part);
    expectSize("cache_write", "columns of x", x.shape[1], kv_heads * dim);
    expectSize("cache_write", "slots", slots.shape[0], x.shape[0]);
    return pool;
  },
  reference({ x, slots, y }, { part }) {
    const { kv_heads, dim } = PageLayout.of(y, part);
    const input = f32(x);
    i32(slots).forEach((slot, t) => {
      for (let h = 0; h < kv_heads; h++) {
        const from = (t * kv_heads + h) * dim;
        writeToken(y, part, slot, h, input.subarray(from, from + dim));
      }
    });
  },
  vector({ pool, x }, { part }) {
    const layout = PageLayout.of(pool, part);
    const { element, kv_heads, page, dim } = layout;
    return {
      key: `${part} ${element} ${kv_heads} ${page} ${dim}`,
      tiles: x.shape[0] * cacheWriteTiles(kv_heads),
      rows: cacheWriteTiles(kv_heads) === 1,
      build: (b, args) => cacheWriteProgram(b, args, layout),
    };
  },
  cost: ({ pool, x }) => ({ bytes: (4 + BYTES[pool.dtype]) * x.shape[0] * x.shape[1] }),
  tolerance: 0,
  cases: {
    list: [
      { part: "values", heads: 1, page: 1, dim: 1, pages: 1, T: 1 },
      { part: "values", heads: 2, page: 7, dim: 5, pages: 3, T: 4 },
      { part: "values", heads: 3, page: 16, dim: 10, pages: 5, T: 45 },
      { part: "values", heads: 1, page: 64, dim: 24, pages: 4, T: 1 },
      { part: "values", heads: 9, page: 64, dim: 64, pages: 3, T: 131 },
      { part: "values", heads: 2, page: 16, dim: 80, pages: 2, T: 32, scale: 1e4 },
      { part: "keys", heads: 1, page: 1, dim: 1, pages: 1, T: 1 },
      { part: "keys", heads: 2, page: 7, dim: 5, pages: 3, T: 4 },
      { part: "keys", heads: 3, page: 16, dim: 10, pages: 5, T: 45 },
      { part: "keys", heads: 9, page: 64, dim: 64, pages: 3, T: 131 },
      { part: "keys", heads: 2, page: 16, dim: 80, pages: 2, T: 32, scale: 1e4 },
      ...NARROW_CASES,
    ] satisfies CacheCase[],
    trial({ part, dtype = "float32", heads, page, dim, pages, T, scale }: CacheCase, random) {
      const spec = poolSpec(part, pages, { element: elementOf(dtype), kv_heads: heads, dim, page });
      return {
        tensors: {
          pool: normal(random, spec.shape, dtype === "q8" ? 30 : 1, spec.dtype),
          x: normal(random, [T, heads * dim], scale),
          slots: int32(shuffled(random, pages * page).slice(0, T), T),
        },
        params: { part },
      };
    },
  },
});

/**
 * Copies pages of the pool onto others, whatever they hold. pool [P, ...], pairs int32 [N, 2]: from and to; where both
 * are the same nothing is done -> the pool
 */
export const copyPages = kernel<{ pool: Value; pairs: Value }>({
  name: "copy_pages",
  inPlace: "pool",
  shape({ pool, pairs }) {
    expectSize("copy_pages", "columns of pairs", pairs.shape[1], 2);
    return pool;
  },
  reference({ pairs, y }) {
    const size = y.data.length / y.shape[0];
    const pages = i32(pairs);
    for (let i = 0; i < pages.length; i += 2) {
      const from = pages[i] * size;
      y.data.copyWithin(pages[i + 1] * size, from, from + size);
    }
  },
  // A tile is what a page holds of one head.
  vector({ pool, pairs }) {
    const heads = pool.shape[1];
    const bytes = pageBytes(pool) / heads;
    return {
      key: `${heads} ${bytes}`,
      tiles: pairs.shape[0] * heads,
      build(b, args) {
        const pair = b.cursor(args.pairs, b.tile.dividedBy(heads).times(8));
        const head = b.tile.modulo(heads);
        const block = (page: Int): Cursor => b.cursor(args.y, page.times(heads).plus(head).times(bytes));
        const [from, to] = [pair.readInt(0), pair.readInt(4)];
        b.if(from, "!=", to, () => copyBytes(b, bytes, block(from), block(to)));
      },
    };
  },
  cost: ({ pool, pairs }) => ({ bytes: 2 * pairs.shape[0] * pageBytes(pool) }),
  tolerance: 0,
  cases: {
    list: [
      { pool: [2, 1, 1, 1], pairs: [[1, 0]] },
      {
        pool: [5, 2, 7, 5],
        pairs: [
          [0, 2],
          [1, 1],
          [4, 3],
        ],
      },
      { pool: [5, 3, 16, 10], pairs: [[4, 3]] },
      {
        pool: [6, 2, 64, 24],
        pairs: [
          [1, 2],
          [1, 0],
          [5, 3],
        ],
      },
      { pool: [3, 2, 7, 5], dtype: "float16", pairs: [[2, 0]] },
      { pool: [3, 2, 7, 5], dtype: "int8", pairs: [[1, 2]] },
      {
        pool: [4, 3, 11, 31],
        dtype: "int8",
        pairs: [
          [3, 0],
          [3, 1],
        ],
      },
    ] satisfies CopyPagesCase[],
    trial: ({ pool, dtype, pairs }: CopyPagesCase, random) => ({
      tensors: { pool: normal(random, pool, 30, dtype), pairs: int32(pairs.flat(), pairs.length, 2) },
      params: {},
    }),
  },
});

interface CopyPagesCase {
  pool: number[];
  dtype?: CacheElement;
  pairs: [from: number, to: number][];
}

/** Copies a pool to the beginning of a larger one. target [P, ...], source [P', ...], P' <= P -> the target */
export const copyPool = kernel<{ target: Value; source: Value }>({
  name: "copy_pool",
  inPlace: "target",
  shape: ({ target }) => target,
  reference({ source, y }) {
    bytesIn(y.data).set(bytesIn(source.data));
  },
  // A tile is a page.
  vector({ source }) {
    const bytes = pageBytes(source);
    return {
      key: `${bytes}`,
      tiles: source.shape[0],
      build: (b, args) =>
        copyBytes(b, bytes, rowOf(b, args.source, b.tile, bytes, 1), rowOf(b, args.y, b.tile, bytes, 1)),
    };
  },
  cost: ({ source }) => ({ bytes: 2 * source.shape[0] * pageBytes(source) }),
  tolerance: 0,
  cases: {
    list: [
      { page: [1, 1, 1], source: 1, target: 2 },
      { page: [2, 7, 5], source: 3, target: 3 },
      { page: [3, 16, 10], source: 2, target: 7 },
      { page: [2, 64, 24], source: 4, target: 8 },
      { page: [2, 7, 5], dtype: "float16", source: 2, target: 3 },
      { page: [2, 7, 5], dtype: "int8", source: 3, target: 4 },
      { page: [1, 3, 1], dtype: "int8", source: 5, target: 6 },
      { page: [3, 11, 31], dtype: "int8", source: 2, target: 3 },
      { page: [1, 3, 3], dtype: "float16", source: 1, target: 1 },
    ] satisfies CopyPoolCase[],
    trial: ({ page, dtype, source, target }: CopyPoolCase, random) => ({
      tensors: {
        target: normal(random, [target, ...page], 30, dtype),
        source: normal(random, [source, ...page], 30, dtype),
      },
      params: {},
    }),
  },
});

/** Bytes of one page of a pool. */
function pageBytes({ dtype, shape }: Spec): number {
  return shape.slice(1).reduce((product, size) => product * size, BYTES[dtype]);
}

interface CopyPoolCase {
  page: number[];
  dtype?: CacheElement;
  source: number;
  target: number;
}
