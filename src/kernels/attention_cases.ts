import type { HostInputs, KernelCases } from "../devices/kernel.ts";
import { allocate } from "../tensor/dtype.ts";
import { sizeOf, Tensor } from "../tensor/tensor.ts";
import type {
  AttentionParams,
  PagedAttentionParams,
  PagedInputs,
  RowInputs,
  WeightsSize,
} from "./attention.ts";
import {
  type CacheDType,
  type CachePart,
  elementOf,
  PageLayout,
  poolSpec,
  writeToken,
} from "./cache_pages.ts";
import { int32, normal, type Random, shuffled } from "./cases.ts";

/** Magnitudes of the numbers. Scores have about the magnitude q * k. */
interface Magnitudes {
  q?: number;
  k?: number;
  v?: number;
}

interface RowCase extends Magnitudes {
  /** Rows of each sequence. */
  rows: number[];
  heads: number;
  kv_heads: number;
  dim: number;
  /** Factor on the scores; 1 / sqrt(dim) where it is not given. */
  scale?: number;
}

const ROW_CASES: RowCase[] = [
  { rows: [1], heads: 1, kv_heads: 1, dim: 1 },
  { rows: [3], heads: 2, kv_heads: 2, dim: 7 },
  { rows: [3, 7, 1], heads: 3, kv_heads: 3, dim: 8, scale: 0.21 },
  { rows: [45], heads: 6, kv_heads: 2, dim: 10 },
  { rows: [65, 20], heads: 2, kv_heads: 2, dim: 64 },
  { rows: [131], heads: 1, kv_heads: 1, dim: 80 },
  { rows: [17, 18], heads: 3, kv_heads: 1, dim: 128 },
  { rows: [9], heads: 2, kv_heads: 2, dim: 72, v: 1e4 },
  { rows: [9], heads: 2, kv_heads: 2, dim: 72, v: 1e-4 },
  { rows: [9, 5], heads: 2, kv_heads: 2, dim: 24, q: 1e4, k: 2e-4 },
  // One key outweighs all others; its score is far beyond what an exponential can take.
  { rows: [19], heads: 2, kv_heads: 2, dim: 24, q: 1e4, k: 1e4 },
];

interface PagedCase extends Magnitudes {
  /** Rows of each sequence, and the keys before them; -1 keys: a row that sees nothing. */
  sequences: [rows: number, past: number][];
  heads: number;
  kv_heads: number;
  dim: number;
  /** Tokens a page holds. */
  page: number;
  window?: number;
  /** Pages that all sequences have in common at their beginning. */
  shared?: number;
  /** What keys and values are kept in. */
  dtype?: CacheDType;
}

/** Fewer bits: sizes that are and are not a multiple of a vector's lanes; prompts, decoded tokens, and windows. */
const NARROW_CASES: PagedCase[] = (["float16", "q8"] as const).flatMap((dtype): PagedCase[] => [
  { dtype, sequences: [[1, 0]], heads: 1, kv_heads: 1, dim: 1, page: 16 },
  { dtype, sequences: [[3, 0]], heads: 2, kv_heads: 2, dim: 7, page: 16 },
  { dtype, sequences: [[1, 130]], heads: 8, kv_heads: 1, dim: 128, page: 64 },
  {
    ...{ dtype, heads: 7, kv_heads: 1, dim: 40, page: 64 },
    sequences: [
      [1, 299],
      [1, -1],
      [11, 125],
    ],
  },
  { dtype, sequences: [[37, 100]], heads: 3, kv_heads: 3, dim: 20, page: 16 },
  {
    ...{ dtype, heads: 4, kv_heads: 2, dim: 24, page: 64, window: 140 },
    sequences: [
      [6, 250],
      [1, 299],
    ],
  },
  // Tiles with several key heads.
  {
    ...{ dtype, heads: 16, kv_heads: 8, dim: 9, page: 16 },
    sequences: [
      [1, 140],
      [1, 160],
    ],
  },
  { dtype, sequences: [[5, 30]], heads: 3, kv_heads: 1, dim: 24, page: 16, q: 1e4, k: 1e4, v: 1e4 },
]);

const PAGED_CASES: PagedCase[] = [
  { sequences: [[1, 0]], heads: 1, kv_heads: 1, dim: 1, page: 16 },
  { sequences: [[3, 0]], heads: 2, kv_heads: 2, dim: 7, page: 16 },
  { sequences: [[1, 44]], heads: 6, kv_heads: 2, dim: 10, page: 16 },
  { sequences: [[45, 0]], heads: 6, kv_heads: 2, dim: 10, page: 64 },
  { sequences: [[65, 0]], heads: 4, kv_heads: 4, dim: 64, page: 64 },
  { sequences: [[20, 65]], heads: 3, kv_heads: 1, dim: 80, page: 64 },
  { sequences: [[1, 130]], heads: 4, kv_heads: 2, dim: 128, page: 64 },
  // Prompts, a continued prompt and decoded tokens in one step; one ends exactly at the end of a page.
  {
    sequences: [
      [1, 70],
      [5, 0],
      [1, 63],
      [33, 17],
      [1, 0],
    ],
    heads: 6,
    kv_heads: 2,
    dim: 24,
    page: 64,
  },
  {
    sequences: [
      [1, 7],
      [1, -1],
      [4, 20],
      [1, -1],
    ],
    heads: 3,
    kv_heads: 1,
    dim: 33,
    page: 16,
  },
  {
    sequences: [
      [1, -1],
      [1, -1],
      [1, 3],
    ],
    heads: 2,
    kv_heads: 1,
    dim: 8,
    page: 16,
  },
  {
    sequences: [
      [1, 40],
      [3, 37],
      [18, 32],
    ],
    heads: 2,
    kv_heads: 2,
    dim: 16,
    page: 16,
    shared: 2,
  },
  {
    sequences: [
      [40, 0],
      [1, 50],
      [7, 30],
    ],
    heads: 6,
    kv_heads: 2,
    dim: 24,
    page: 16,
    window: 13,
  },
  { sequences: [[1, 100]], heads: 2, kv_heads: 1, dim: 64, page: 64, window: 70 },
  // Contexts of several chunks of keys: one row and many, some that end where a chunk does, or one key after it.
  {
    sequences: [
      [1, 299],
      [6, 250],
      [1, 127],
      [1, 128],
      [70, 100],
    ],
    heads: 7,
    kv_heads: 1,
    dim: 40,
    page: 64,
  },
  { sequences: [[70, 260]], heads: 3, kv_heads: 3, dim: 20, page: 16 },
  {
    sequences: [
      [1, 299],
      [30, 290],
      [1, 511],
    ],
    heads: 10,
    kv_heads: 2,
    dim: 24,
    page: 64,
    window: 140,
  },
  { sequences: [[9, 3]], heads: 2, kv_heads: 2, dim: 10, page: 16, window: 1 },
  {
    sequences: [
      [9, 3],
      [1, -1],
    ],
    heads: 2,
    kv_heads: 2,
    dim: 10,
    page: 16,
    window: 500,
  },
  { sequences: [[5, 30]], heads: 3, kv_heads: 1, dim: 24, page: 16, v: 1e4 },
  { sequences: [[5, 30]], heads: 3, kv_heads: 1, dim: 24, page: 16, v: 1e-4 },
  { sequences: [[5, 30]], heads: 3, kv_heads: 1, dim: 24, page: 16, q: 1e4, k: 2e-4 },
  { sequences: [[5, 30]], heads: 3, kv_heads: 1, dim: 24, page: 16, q: 1e4, k: 1e4 },
];

function rowTensors(
  { rows, heads, kv_heads, dim, q = 2, k = 1, v }: RowCase,
  random: Random,
): HostInputs<RowInputs> {
  const table: number[] = [];
  let T = 0;
  for (const count of rows) {
    table.push(T, count);
    T += count;
  }
  return {
    q: normal(random, [T, heads * dim], q),
    k: normal(random, [T, kv_heads * dim], k),
    v: normal(random, [T, kv_heads * dim], v),
    table: int32(table, rows.length, 2),
  };
}

function rowParams({ heads, kv_heads, dim, scale = dim ** -0.5 }: RowCase): AttentionParams {
  return { heads, kv_heads, scale };
}

export const rowCases: KernelCases<RowInputs, AttentionParams> = {
  list: ROW_CASES,
  trial: (entry: RowCase, random) => ({ tensors: rowTensors(entry, random), params: rowParams(entry) }),
};

export const rowWeightsCases: KernelCases<RowInputs, AttentionParams & WeightsSize> = {
  list: ROW_CASES,
  trial(entry: RowCase, random) {
    const size = entry.rows.reduce((sum, rows) => sum + entry.heads * rows * rows, 0);
    return { tensors: rowTensors(entry, random), params: { ...rowParams(entry), size } };
  },
};

/** Pages in a shuffled order, some of them no sequence's; one more than needed in every list. */
function pagedTensors(entry: PagedCase, random: Random): HostInputs<PagedInputs> {
  const { sequences, heads, kv_heads, dim, page, shared = 0, dtype = "float32", q = 2, k = 1, v = 1 } = entry;
  const needed = sequences.map(([rows, past]) => Math.ceil((past + rows) / page) + 1 - shared);
  const count = shared + needed.reduce((a, b) => a + b) + 2;
  const order = shuffled(random, count);
  const common = order.splice(0, shared);
  const table: number[] = [];
  const pages: number[] = [];
  const held = new Set<number>();
  let T = 0;
  for (const [s, [rows, past]] of sequences.entries()) {
    table.push(T, rows, past, pages.length);
    const own = [...common, ...order.splice(0, needed[s])];
    for (let j = 0; j < past + rows; j++) held.add(own[Math.floor(j / page)] * page + (j % page));
    pages.push(...own);
    T += rows;
  }
  return {
    q: normal(random, [T, heads * dim], q),
    keys: rounded(
      withRemains(normal(random, [count, kv_heads, dim, page], k), held, k, "keys"),
      "keys",
      dtype,
    ),
    values: rounded(
      withRemains(normal(random, [count, kv_heads, page, dim], v), held, v, "values"),
      "values",
      dtype,
    ),
    table: int32(table, sequences.length, 4),
    pages: int32(pages, pages.length),
  };
}

/** Makes the numbers large that no sequence holds: what is left of earlier ones must not matter. */
function withRemains(pool: Tensor, held: ReadonlySet<number>, magnitude: number, part: CachePart): Tensor {
  const [, heads, rows, columns] = pool.shape;
  const [page, dim] = part === "keys" ? [columns, rows] : [rows, columns];
  const data = Float32Array.from(pool.data as Float32Array, (number, i) => {
    const place = part === "keys" ? i % page : Math.floor(i / dim) % page;
    const slot = Math.floor(i / (dim * page * heads)) * page + place;
    return held.has(slot) ? number : number * 1e4 * magnitude;
  });
  return new Tensor("float32", pool.shape, data);
}

/** A pool with the same numbers in a type of a cache. */
function rounded(pool: Tensor, part: CachePart, dtype: CacheDType): Tensor {
  if (dtype === "float32") return pool;
  const { kv_heads, dim, page, numbers, strides } = PageLayout.of(pool, part);
  const spec = poolSpec(part, pool.shape[0], { element: elementOf(dtype), kv_heads, dim, page });
  const out = new Tensor(spec.dtype, spec.shape, allocate(spec.dtype, sizeOf(spec.shape)));
  for (let block = 0; block < pool.shape[0] * kv_heads; block++)
    for (let place = 0; place < page; place++) {
      const first = block * numbers + place * strides.token;
      const token = Float32Array.from({ length: dim }, (_, d) =>
        Number(pool.data[first + d * strides.number]),
      );
      writeToken(out, part, Math.floor(block / kv_heads) * page + place, block % kv_heads, token);
    }
  return out;
}

function pagedParams({ heads, kv_heads, dim, window = 0 }: PagedCase): PagedAttentionParams {
  return { heads, kv_heads, scale: dim ** -0.5, window };
}

export const pagedCases: KernelCases<PagedInputs, PagedAttentionParams> = {
  list: [...PAGED_CASES, ...NARROW_CASES],
  trial: (entry: PagedCase, random) => ({ tensors: pagedTensors(entry, random), params: pagedParams(entry) }),
};

export const pagedWeightsCases: KernelCases<PagedInputs, PagedAttentionParams & WeightsSize> = {
  list: [...PAGED_CASES, ...NARROW_CASES.filter(({ dim }) => dim < 10)],
  trial(entry: PagedCase, random) {
    const { sequences, heads } = entry;
    const size = sequences.reduce((sum, [rows, past]) => sum + heads * rows * (past + rows), 0);
    return { tensors: pagedTensors(entry, random), params: { ...pagedParams(entry), size } };
  },
};
