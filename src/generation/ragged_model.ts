import type { Device, Value } from "../devices/device.ts";
import type { PagePool } from "../nn/kv_cache.ts";
import type { Rows } from "../nn/rows.ts";
import type { Trace } from "../nn/trace.ts";
import type { PromptCache } from "./prompt_cache.ts";

/** A language model as the scheduler sees it: rows in, logits out. All of it is called inside a step. */
export interface RaggedModel {
  readonly device: Device;
  readonly pool: PagePool;
  /** What sequences have computed, for others that begin alike. */
  readonly prompts: PromptCache;
  /** int32 [T] -> [T, D] */
  embed(ids: readonly number[]): Value;
  /** [T, D] -> [T, D] */
  hidden(x: Value, rows: Rows, trace?: Trace): Value;
  /** [T, D] -> [T, V] */
  logits(x: Value): Value;
}
