import type { Spec, Value } from "../devices/device.ts";
import { type HostArrays, kernel } from "../devices/kernel.ts";
import { BYTES } from "../tensor/dtype.ts";
import { sizeOf, type Tensor } from "../tensor/tensor.ts";
import { pagedCases, pagedWeightsCases, rowCases, rowWeightsCases } from "./attention_cases.ts";
import { attentionProgram } from "./attention_program.ts";
import { blockAttentionProgram, blockFits, blockTiles } from "./block_attention_program.ts";
import { PageLayout, pageNumbers } from "./cache_pages.ts";
import { expectSize, f32, float32, i32 } from "./host.ts";
import { pagedForm } from "./paged_attention_program.ts";

/** What attention needs beside its arrays. */
export interface AttentionParams {
  heads: number;
  kv_heads: number;
  /** Scores are multiplied by it. */
  scale: number;
}

/** Over a cache: also how many keys, its own included, a row sees (0: all before it). */
export interface PagedAttentionParams extends AttentionParams {
  window: number;
}

/** For the kernels that give probabilities: the elements of the output, all sequences together. */
export interface WeightsSize {
  size: number;
}

/** `q` [T, H*d], `k` and `v` [T, Hkv*d]; `table` int32 [S, 2]: a sequence's first row and its rows. */
export type RowInputs = { q: Value; k: Value; v: Value; table: Value };

/**
 * `q` [T, H*d]; `keys` [P, Hkv, d, page] and `values` [P, Hkv, page, d], the pools of pages, of any type of
 * `cache_pages.ts`; `table` int32 [S, 4]: a sequence's first row, its rows, the keys before them, and where its pages
 * begin in `pages` int32.
 */
export type PagedInputs = { q: Value; keys: Value; values: Value; table: Value; pages: Value };

/** Attention over any layout of keys, as the loops below see it. */
interface Problem {
  q: Float32Array;
  keys: Float32Array;
  values: Float32Array;
  heads: number;
  dim: number;
  scale: number;
  /** From one number of a key to the next. */
  keyStride: number;
  sequences: Sequence[];
}

interface Sequence {
  first: number;
  rows: number;
  keys: number;
  /** Where key `j` of head `h` begins. */
  key(h: number, j: number): number;
  /** Where its value begins. */
  value(h: number, j: number): number;
  /** The keys that row `i` sees: from, to (not included). */
  visible(i: number): [number, number];
}

/** Called for each sequence, head and row with its probabilities, which stand in `weights` from `from` to `to`. */
type UseRow = (s: Sequence, h: number, i: number, weights: Float64Array, from: number, to: number) => void;

function eachRow({ q, keys, heads, dim, scale, keyStride, sequences }: Problem, use: UseRow): void {
  const weights = new Float64Array(Math.max(0, ...sequences.map((s) => s.keys)));
  for (const s of sequences)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < s.rows; i++) {
        const [from, to] = s.visible(i);
        const at = ((s.first + i) * heads + h) * dim;
        for (let j = from; j < to; j++) {
          const key = s.key(h, j);
          let sum = 0;
          for (let d = 0; d < dim; d++) sum += q[at + d] * keys[key + d * keyStride];
          weights[j] = sum * scale;
        }
        softmax(weights.subarray(from, to));
        use(s, h, i, weights, from, to);
      }
}

function softmax(scores: Float64Array): void {
  let highest = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < scores.length; j++) if (scores[j] > highest) highest = scores[j];
  let sum = 0;
  for (let j = 0; j < scores.length; j++) {
    scores[j] = Math.exp(scores[j] - highest);
    sum += scores[j];
  }
  for (let j = 0; j < scores.length; j++) scores[j] /= sum;
}

/** The weighted sums of the values: what attention is for. -> y [T, H*d] */
function context(problem: Problem, y: Tensor): void {
  const { values, heads, dim } = problem;
  const output = f32(y);
  const sums = new Float64Array(dim);
  eachRow(problem, (s, h, i, weights, from, to) => {
    sums.fill(0);
    for (let j = from; j < to; j++) {
      const at = s.value(h, j);
      for (let d = 0; d < dim; d++) sums[d] += weights[j] * values[at + d];
    }
    output.set(sums, ((s.first + i) * heads + h) * dim);
  });
}

/** The probabilities: a block [H, rows, keys] for each sequence, one after the other. -> y [size] */
function probabilities(problem: Problem, y: Tensor): void {
  const output = f32(y);
  const starts = new Map<Sequence, number>();
  let size = 0;
  for (const s of problem.sequences) {
    starts.set(s, size);
    size += problem.heads * s.rows * s.keys;
  }
  eachRow(problem, (s, h, i, weights, from, to) => {
    const row = (starts.get(s) ?? 0) + (h * s.rows + i) * s.keys;
    output.set(weights.subarray(from, to), row + from);
  });
}

function rowProblem(
  { q, k, v, table }: HostArrays<RowInputs>,
  { heads, kv_heads, scale }: AttentionParams,
): Problem {
  const dim = q.shape[1] / heads;
  const entries = i32(table);
  const sequences = Array.from({ length: table.shape[0] }, (_, n): Sequence => {
    const [first, rows] = entries.subarray(2 * n, 2 * n + 2);
    const locate = (h: number, j: number): number =>
      ((first + j) * kv_heads + Math.floor((h * kv_heads) / heads)) * dim;
    return { first, rows, keys: rows, key: locate, value: locate, visible: () => [0, rows] };
  });
  return { q: f32(q), keys: f32(k), values: f32(v), heads, dim, scale, keyStride: 1, sequences };
}

function pagedProblem(
  { q, keys, values, table, pages }: HostArrays<PagedInputs>,
  { heads, kv_heads, scale, window }: PagedAttentionParams,
): Problem {
  const { dim, page } = PageLayout.of(keys, "keys");
  const [entries, list] = [i32(table), i32(pages)];
  const sequences = Array.from({ length: table.shape[0] }, (_, n): Sequence => {
    const [first, rows, past, firstPage] = entries.subarray(4 * n, 4 * n + 4);
    const pageOf = (h: number, j: number): number => {
      const head = Math.floor((h * kv_heads) / heads);
      return ((firstPage + Math.floor(j / page)) * kv_heads + head) * page * dim;
    };
    return {
      first,
      rows,
      keys: past + rows,
      key: (h, j) => pageOf(h, j) + (j % page),
      value: (h, j) => pageOf(h, j) + (j % page) * dim,
      visible(i) {
        const to = past + i + 1;
        return [window > 0 ? Math.max(0, to - window) : 0, to];
      },
    };
  });
  return {
    ...{ q: f32(q), heads, dim, scale, keyStride: page, sequences },
    keys: pageNumbers(keys, "keys", list),
    values: pageNumbers(values, "values", list),
  };
}

function checkRows({ q, k, v }: { q: Spec; k: Spec; v: Spec }, { heads, kv_heads }: AttentionParams): void {
  expectSize("attention", "columns of k", k.shape[1], (q.shape[1] / heads) * kv_heads);
  expectSize("attention", "columns of v", v.shape[1], k.shape[1]);
}

function checkPaged(
  { q, keys, values }: { q: Spec; keys: Spec; values: Spec },
  { heads, kv_heads }: AttentionParams,
): void {
  const { dim, page, kv_heads: held } = PageLayout.of(keys, "keys");
  const other = PageLayout.of(values, "values");
  expectSize("paged_attention", "columns of q over heads", q.shape[1] / heads, dim);
  expectSize("paged_attention", "numbers of a value", other.dim, dim);
  expectSize("paged_attention", "values of a page", other.page, page);
  expectSize("paged_attention", "bytes of a value's number", other.bytes, BYTES[keys.dtype]);
  expectSize("paged_attention", "heads of the pages", held, kv_heads);
}

/** Each row sees every row of its own sequence. -> [T, H*d] */
export const attention = kernel<RowInputs, AttentionParams>({
  name: "attention",
  shape(inputs, params) {
    checkRows(inputs, params);
    return float32(...inputs.q.shape);
  },
  reference: (arrays, params) => context(rowProblem(arrays, params), arrays.y),
  vector({ q, table }, params) {
    const [T, dim] = [q.shape[0], q.shape[1] / params.heads];
    const key = `${dim} ${params.heads} ${params.kv_heads} ${params.scale}`;
    const numbers = { sequences: table.shape[0] };
    if (blockFits(T, dim)) {
      const tiles = blockTiles(T, table.shape[0], params.heads);
      return {
        key: `${key} ${T}`,
        tiles,
        numbers,
        build: (b, args) => blockAttentionProgram(b, args, params, dim, T),
      };
    }
    return {
      key: `rows ${key}`,
      tiles: T * params.heads,
      numbers,
      build: (b, args) => attentionProgram(b, args, params, dim),
    };
  },
  cost: ({ q, k, table }) => ({
    operations: 4 * (q.shape[0] / table.shape[0]) * sizeOf(q.shape),
    bytes: 8 * (sizeOf(q.shape) + sizeOf(k.shape)),
  }),
  tolerance: 2e-6,
  cases: rowCases,
});

/** The probabilities of `attention`. -> [size], see `probabilities` */
export const attentionWeights = kernel<RowInputs, AttentionParams & WeightsSize>({
  name: "attention_weights",
  shape(inputs, params) {
    checkRows(inputs, params);
    return float32(params.size);
  },
  reference: (arrays, params) => probabilities(rowProblem(arrays, params), arrays.y),
  tolerance: 2e-6,
  cases: rowWeightsCases,
});

/** Each row sees the cached keys up to its own. -> [T, H*d] */
export const pagedAttention = kernel<PagedInputs, PagedAttentionParams>({
  name: "paged_attention",
  shape(inputs, params) {
    checkPaged(inputs, params);
    return float32(...inputs.q.shape);
  },
  reference: (arrays, params) => context(pagedProblem(arrays, params), arrays.y),
  vector({ q, keys, table, pages }, params, target) {
    const { dim, page, element } = PageLayout.of(keys, "keys");
    const [T, sequences] = [q.shape[0], table.shape[0]];
    return pagedForm(target, { ...params, dim, page, element, T, sequences, pages: pages.shape[0] });
  },
  cost: ({ q, keys, pages, table }) => {
    const { kv_heads, page, blockBytes } = PageLayout.of(keys, "keys");
    const [sequences, held] = [table.shape[0], pages.shape[0] * page];
    // As if all sequences were of one length, and every key in front of a row's own were seen.
    const seen = held / sequences - q.shape[0] / sequences / 2;
    return {
      operations: 4 * seen * sizeOf(q.shape),
      bytes: 2 * pages.shape[0] * kv_heads * blockBytes + 8 * sizeOf(q.shape),
    };
  },
  tolerance: 2e-6,
  cases: pagedCases,
});

/** The probabilities of `pagedAttention`. -> [size], see `probabilities` */
export const pagedAttentionWeights = kernel<PagedInputs, PagedAttentionParams & WeightsSize>({
  name: "paged_attention_weights",
  shape(inputs, params) {
    checkPaged(inputs, params);
    return float32(params.size);
  },
  reference: (arrays, params) => probabilities(pagedProblem(arrays, params), arrays.y),
  tolerance: 2e-6,
  cases: pagedWeightsCases,
});
