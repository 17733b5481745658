import type { Tensor } from "../../tensor/tensor.ts";
import { type EosIds, editRows, idList, LogitsProcessor, refuse, wholeNumber } from "./base.ts";
import { forbid } from "./bias.ts";

/** Does not let the text end before it is `min_length` tokens long, prompt included. */
export class MinLengthLogitsProcessor extends LogitsProcessor {
  readonly min_length: number;
  readonly eos_token_id: readonly number[];

  constructor(min_length: number, eos_token_id: EosIds) {
    super();
    wholeNumber("MinLengthLogitsProcessor", "min_length", min_length, 0);
    this.min_length = min_length;
    this.eos_token_id = idList(eos_token_id);
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("MinLengthLogitsProcessor", input_ids, scores, (row, ids) => {
      if (ids.length < this.min_length) forbid(row, this.eos_token_id);
    });
  }
}

/** Does not let the text end before `min_new_tokens` tokens have come after the prompt. */
export class MinNewTokensLengthLogitsProcessor extends LogitsProcessor {
  readonly prompt_length_to_skip: number;
  readonly min_new_tokens: number;
  readonly eos_token_id: readonly number[];

  constructor(prompt_length_to_skip: number, min_new_tokens: number, eos_token_id: EosIds) {
    super();
    const name = "MinNewTokensLengthLogitsProcessor";
    wholeNumber(name, "prompt_length_to_skip", prompt_length_to_skip, 0);
    wholeNumber(name, "min_new_tokens", min_new_tokens, 0);
    this.prompt_length_to_skip = prompt_length_to_skip;
    this.min_new_tokens = min_new_tokens;
    this.eos_token_id = idList(eos_token_id);
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("MinNewTokensLengthLogitsProcessor", input_ids, scores, (row, ids) => {
      if (ids.length - this.prompt_length_to_skip < this.min_new_tokens) forbid(row, this.eos_token_id);
    });
  }
}

/** Leaves nothing but the given tokens. */
function force(row: Float32Array, ids: readonly number[]): void {
  row.fill(Number.NEGATIVE_INFINITY);
  for (const id of ids) row[id] = 0;
}

/** Makes this token follow the first one. */
export class ForcedBOSTokenLogitsProcessor extends LogitsProcessor {
  readonly bos_token_id: number;

  constructor(bos_token_id: number) {
    super();
    this.bos_token_id = bos_token_id;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("ForcedBOSTokenLogitsProcessor", input_ids, scores, (row, ids) => {
      if (ids.length === 1) force(row, [this.bos_token_id]);
    });
  }
}

/** Makes the text end where it would reach `max_length`. */
export class ForcedEOSTokenLogitsProcessor extends LogitsProcessor {
  readonly max_length: number;
  readonly eos_token_id: readonly number[];

  constructor(max_length: number, eos_token_id: EosIds) {
    super();
    this.max_length = max_length;
    this.eos_token_id = endIds("ForcedEOSTokenLogitsProcessor", eos_token_id);
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("ForcedEOSTokenLogitsProcessor", input_ids, scores, (row, ids) => {
      if (ids.length === this.max_length - 1) force(row, this.eos_token_id);
    });
  }
}

/** Makes the end likelier with each token past a length, exponentially. */
export class ExponentialDecayLengthPenalty extends LogitsProcessor {
  readonly regulation_start: number;
  readonly regulation_factor: number;
  readonly eos_token_id: readonly number[];

  /** @param exponential_decay_length_penalty `[start, factor]`; the start counts from the prompt's end */
  constructor(
    exponential_decay_length_penalty: readonly [start: number, factor: number],
    eos_token_id: EosIds,
    input_ids_seq_length: number,
  ) {
    super();
    const [start, factor] = exponential_decay_length_penalty;
    this.regulation_start = start + input_ids_seq_length;
    this.regulation_factor = factor;
    this.eos_token_id = endIds("ExponentialDecayLengthPenalty", eos_token_id);
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("ExponentialDecayLengthPenalty", input_ids, scores, (row, ids) => {
      const past = ids.length - this.regulation_start;
      if (past <= 0) return;
      const growth = Math.fround(this.regulation_factor ** past - 1);
      for (const id of new Set(this.eos_token_id)) {
        // Of the absolute value, so that negative scores rise, too.
        if (Number.isFinite(row[id])) row[id] += Math.fround(Math.abs(row[id]) * growth);
      }
    });
  }
}

function endIds(name: string, ids: EosIds): number[] {
  const list = idList(ids);
  if (list.some((id) => !Number.isSafeInteger(id) || id < 0)) refuse(name, "eos_token_id", "token ids", list);
  return list;
}
