import { OptionError } from "../base/errors.ts";
import type { DynamicCache } from "../nn/dynamic_cache.ts";
import { type Ids, idRows } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";

/** Options of `prepare_inputs_for_generation`; what is not named here is handed on to `forward`. */
export interface PrepareInputsOptions {
  /** Columns of the next step; all where left out. */
  next_sequence_length?: number | null;
  past_key_values?: DynamicCache | null;
  attention_mask?: Ids | null;
  /** Used in the first step only. */
  inputs_embeds?: Tensor | null;
  /** Whether this is the first step: pictures and embeddings belong to it. */
  is_first_iteration?: boolean;
  position_ids?: Ids | null;
  use_cache?: boolean;
  [argument: string]: unknown;
}

/** Belongs to the first step, as the cache holds it afterwards. */
const FIRST_STEP = ["pixel_values", "image_sizes", "mm_encoder_outputs"];

/** As Transformers' function of that name, for a model that reads text and pictures. */
export function prepareInputs(input_ids: Ids, options: PrepareInputsOptions): Record<string, unknown> {
  const {
    next_sequence_length,
    past_key_values,
    attention_mask,
    inputs_embeds,
    is_first_iteration = false,
    position_ids,
    labels: _,
    ...rest
  } = options;
  if (next_sequence_length !== undefined && next_sequence_length !== null) {
    if (!Number.isSafeInteger(next_sequence_length) || next_sequence_length < 1) {
      throw new OptionError(
        `next_sequence_length: expected a whole number from 1, got ${next_sequence_length}`,
        {
          where: "next_sequence_length",
          got: next_sequence_length,
        },
      );
    }
  }
  const inputs: Record<string, unknown> = {};
  const embeds = is_first_iteration ? inputs_embeds : null;
  let length: number;
  if (embeds) {
    inputs.input_ids = null;
    const taken = lastRows(embeds, next_sequence_length ?? embeds.shape[1]);
    inputs.inputs_embeds = taken;
    length = taken.shape[1];
  } else {
    const ids = lastColumns("input_ids", input_ids, next_sequence_length ?? undefined);
    inputs.input_ids = ids;
    length = ids.shape[1];
  }
  if (past_key_values) inputs.past_key_values = past_key_values;
  if (position_ids) inputs.position_ids = lastColumns("position_ids", position_ids, length);
  if (attention_mask) inputs.attention_mask = attention_mask;
  const dropsPictures = !is_first_iteration && (rest.use_cache ?? true);
  for (const [name, value] of Object.entries(rest)) {
    if (dropsPictures && FIRST_STEP.includes(name)) continue;
    if (!(name in inputs)) inputs[name] = value;
  }
  return inputs;
}

/** [B, L] -> [B, count] */
function lastColumns(name: string, ids: Ids, count?: number): Tensor {
  const rows = idRows(name, ids).map((row) => (count === undefined ? row : row.slice(-count)));
  return Tensor.fromNested(rows);
}

/** [B, L, D] -> [B, count, D] */
function lastRows({ dtype, shape: [B, L, D], data }: Tensor, count: number): Tensor {
  const kept = Math.min(count, L);
  const out = data.slice(0, B * kept * D);
  for (let b = 0; b < B; b++)
    out.set(data.subarray(((b + 1) * L - kept) * D, (b + 1) * L * D) as never, b * kept * D);
  return new Tensor(dtype, [B, kept, D], out);
}
