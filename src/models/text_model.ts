import type { Value } from "../devices/device.ts";
import type { Embedding } from "../nn/layers.ts";
import type { Module } from "../nn/module.ts";
import type { CacheShape } from "../nn/page_pool.ts";
import type { Rows } from "../nn/rows.ts";
import type { Trace } from "../nn/trace.ts";

/** A causal language model without its head. */
export interface TextModel extends Module {
  embed_tokens: Embedding;
  readonly cacheShape: CacheShape;
  /** Whether the keys of the same beginning are the same in sequences of any length. */
  readonly keysStay: boolean;
  /**
   * [T, D] -> [T, D], after the last norm. Pushes the input of each layer and the output to the trace; keys and values
   * go to the rows' caches.
   */
  forward(x: Value, rows: Rows, trace?: Trace): Value;
}
