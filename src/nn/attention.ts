import type { Value } from "../devices/device.ts";
import {
  type AttentionParams,
  attention,
  attentionWeights,
  pagedAttention,
  pagedAttentionWeights,
} from "../kernels/attention.ts";
import { cacheWrite } from "../kernels/cache.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { LayerCache } from "./page_pool.ts";
import type { Rows } from "./rows.ts";
import type { Trace } from "./trace.ts";

/** The heads of an attention layer. */
export interface Heads {
  heads: number;
  kv_heads: number;
  head_dim: number;
  /** Keys a row sees, its own included; 0: all. */
  window?: number;
}

/**
 * Writes keys and values to the cache, and lets each row look at what stands there up to itself.
 * q [T, H*d], k and v [T, Hkv*d] -> [T, H*d]
 */
export function cachedAttention(
  q: Value,
  k: Value,
  v: Value,
  rows: Rows,
  cache: LayerCache,
  { heads, kv_heads, head_dim, window = 0 }: Heads,
  trace?: Trace,
): Value {
  const device = q.device;
  // Keys first: their rows are written as soon as they are turned.
  const keys = device.run(cacheWrite, { pool: cache.keys, x: k, slots: rows.slots }, { part: "keys" });
  const values = device.run(cacheWrite, { pool: cache.values, x: v, slots: rows.slots }, { part: "values" });
  const inputs = { q, keys, values, table: rows.table, pages: rows.pages };
  const params = { heads, kv_heads, scale: head_dim ** -0.5, window };
  if (trace?.attentions) {
    const size = rows.weightsSize(heads);
    trace.attentions.push(device.run(pagedAttentionWeights, inputs, { ...params, size }));
  }
  return device.run(pagedAttention, inputs, params);
}

/** Every row looks at every row of its own picture. q, k, v [N*R, H*d] -> [N*R, H*d] */
export function fullAttention(
  q: Value,
  k: Value,
  v: Value,
  lengths: readonly number[],
  { heads, head_dim }: Heads,
  trace?: Trace,
): Value {
  const device = q.device;
  const table: number[] = [];
  let first = 0;
  for (const rows of lengths) {
    table.push(first, rows);
    first += rows;
  }
  const inputs = { q, k, v, table: device.upload(new Tensor("int32", [lengths.length, 2], table)) };
  const params: AttentionParams = { heads, kv_heads: heads, scale: head_dim ** -0.5 };
  if (trace?.attentions) {
    const size = lengths.reduce((sum, rows) => sum + heads * rows * rows, 0);
    trace.attentions.push(device.run(attentionWeights, inputs, { ...params, size }));
  }
  return device.run(attention, inputs, params);
}
