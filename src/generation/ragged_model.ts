import type { Device, Value } from "../devices/device.ts";
import type { PagePool } from "../nn/page_pool.ts";
import type { Rows } from "../nn/rows.ts";
import type { Trace } from "../nn/trace.ts";
import type { PromptCache } from "./prompt_cache.ts";

/** A language model as the scheduler sees it: rows in, logits out. All of it is called inside a step. */
export interface RaggedModel {
  readonly device: Device;
  readonly pool: PagePool;
  /** What sequences have computed, for others that begin alike. */
  readonly prompts: PromptCache;
  /**
   * Rows of prompts are multiplied by other products than rows that a model chose, so that they are computed in steps of
   * their own, and only their pages may begin another prompt: a row's numbers must not depend on what else there is.
   */
  readonly promptsApart: boolean;
  /** int32 [T], or what such a step has made -> [T, D] */
  embed(ids: readonly number[] | Value): Value;
  /** [T, D] -> [T, D] */
  hidden(x: Value, rows: Rows, trace?: Trace): Value;
  /** [T, D] -> [T, V] */
  logits(x: Value): Value;
}
