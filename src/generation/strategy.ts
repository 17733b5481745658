import type { DynamicCache } from "../nn/dynamic_cache.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { BeamResult } from "./beam_search.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import type { GenerateOptions } from "./generate_options.ts";
import type { Prompt, PromptRows } from "./generation_inputs.ts";
import type { GenerationModel } from "./generation_model.ts";
import { type Guide, negativePrompts } from "./guide.ts";
import type { LogitsProcessorList } from "./logits_process/base.ts";
import { get_logits_processor } from "./logits_process/builder.ts";
import type { Group } from "./scheduler.ts";
import { Sequence } from "./sequence.ts";
import { keptOutputs, type StepOutputs } from "./step_outputs.ts";
import { get_stopping_criteria, type StoppingCriteriaList } from "./stopping_criteria.ts";

/** A call of `generate` that has been checked, and whose pictures are encoded. */
export interface GenerationCall {
  model: GenerationModel;
  options: GenerateOptions;
  /** With the defaults filled in; `max_length` and `min_length` are those of the call. */
  config: GenerationConfig;
  /** [B]: the prompts, padding still in them. */
  rows: PromptRows;
  /** [B]: what is to be computed first. */
  prompts: readonly Prompt[];
  /** Arguments that say what the pictures are. */
  pictures: Readonly<Record<string, unknown>>;
  guide: Guide;
  /** A row for each prompt. */
  caches: DynamicCache;
  /** What computes the prompts: `promptSequence` adds to it. */
  begun: Sequence[];
  /** Columns of the prompts, padding included, that the caches do not hold yet. */
  newColumns: number;
}

/** A way to continue prompts: the group that the scheduler computes, and what came of it. */
export interface Strategy extends Group {
  /** All rows, prompts included, padded on the right: [B, L] */
  readonly tokens: number[][];
  readonly steps: StepOutputs;
  /**
   * A row for each row of `tokens`, or each beam. They may be others than those that the call began with, which are
   * then gone.
   */
  readonly caches: DynamicCache;
  /** Feeds the sequences, where that takes time. Before the first step. */
  begin?(): Promise<void>;
  /** Where there are beams: where `tokens` came from. */
  readonly beams?: BeamResult;
  /** Writes into the caches which columns they hold. After the last step. */
  finish(): void;
  /** Gives back what only the computation needed. Whether it went well or not. */
  release(): void;
}

/**
 * The sequence that computes prompt `b`. It begins with what others have computed of the same prompt, where all that
 * is wanted comes after the prompt.
 */
export function promptSequence({ caches, config, begun }: GenerationCall, b: number): Sequence {
  const sequence = new Sequence(caches.row(b), {
    chunk: config.prefill_chunk_size ?? undefined,
    shared: config.use_cache !== false && keptOutputs(config).layers === undefined,
  });
  begun.push(sequence);
  return sequence;
}

/** The processors of a call, for prompts of which each is continued in `copies` ways. */
export function processorsOf(
  { model, guide, options, config, rows }: GenerationCall,
  copies: number,
): LogitsProcessorList {
  return get_logits_processor(config, {
    ...negativePrompts(options, config, rows.tokens.length, copies),
    model: guide.model,
    vocab_size: model.vocab_size,
    input_ids_seq_length: rows.tokens[0].length,
    // As in Transformers: where embeddings are the prompt, ids beside them are not.
    encoder_input_ids: options.inputs_embeds ? null : repeated(rows.tokens, copies),
    attention_mask: repeated(rows.mask, copies),
    prefix_allowed_tokens_fn: options.prefix_allowed_tokens_fn ?? undefined,
    logits_processor: options.logits_processor ?? undefined,
  });
}

/** The stopping criteria of a call. */
export function criteriaOf({ options, config }: GenerationCall): StoppingCriteriaList {
  return get_stopping_criteria(config, {
    stopping_criteria: options.stopping_criteria ?? undefined,
    tokenizer: options.tokenizer ?? undefined,
  });
}

/** Each row `copies` times: [B, L] -> int32 [B * copies, L] */
function repeated(rows: readonly (readonly (number | boolean)[])[], copies: number): Tensor {
  const length = rows[0].length;
  const all = new Int32Array(rows.length * copies * length);
  for (const [b, row] of rows.entries())
    for (let copy = 0; copy < copies; copy++) {
      const at = (b * copies + copy) * length;
      for (const [i, value] of row.entries()) all[at + i] = Number(value);
    }
  return new Tensor("int32", [rows.length * copies, length], all);
}
