import { ModelOutput } from "../models/model_output.ts";
import type { DynamicCache } from "../nn/dynamic_cache.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What `generate` gives with `return_dict_in_generate`. Fields that were not asked for are absent. */
export class GenerateDecoderOnlyOutput extends ModelOutput {
  /** Prompt and generated tokens, [B, L]; generated tokens alone where only embeddings were given. */
  sequences: Tensor;
  /** Processed scores of each step, [B, V]. */
  scores?: Tensor[];
  /** Logits of each step, [B, V]. */
  logits?: Tensor[];
  /**
   * For each step, each layer's probabilities [B, H, L, keys], where L is the prompt's length in the first step, and
   * then 1. Zero at padding.
   */
  attentions?: Tensor[][];
  /** For each step, the embeddings and each layer's output, [B, L, D]. Zero at padding. */
  hidden_states?: Tensor[][];
  /** Holds all but the last token. To be disposed of. */
  past_key_values?: DynamicCache;

  constructor(fields: Omit<GenerateDecoderOnlyOutput, keyof ModelOutput>) {
    super();
    this.sequences = fields.sequences;
    if (fields.scores) this.scores = fields.scores;
    if (fields.logits) this.logits = fields.logits;
    if (fields.attentions) this.attentions = fields.attentions;
    if (fields.hidden_states) this.hidden_states = fields.hidden_states;
    if (fields.past_key_values) this.past_key_values = fields.past_key_values;
  }
}

/** What `generate` gives with `return_dict_in_generate` and beams: b of them for each of B prompts, R returned. */
export class GenerateBeamDecoderOnlyOutput extends ModelOutput {
  /** Prompt and generated tokens, int32 [B * R, L], the best first; generated tokens alone where only embeddings were given. */
  sequences: Tensor;
  /** With `output_scores`: the sum of a sequence's scores over its new tokens ** length_penalty, float32 [B * R]. */
  sequences_scores?: Tensor;
  /** Processed logarithms of probabilities of each step, [B * b, V]. */
  scores?: Tensor[];
  /** Logits of each step, [B * b, V]. */
  logits?: Tensor[];
  /** The row of `scores` that each new token came from, int32 [B * R, new tokens]; -1 past a sequence's end. */
  beam_indices: Tensor;
  /** As in GenerateDecoderOnlyOutput, with B * b rows. */
  attentions?: Tensor[][];
  /** As in GenerateDecoderOnlyOutput, with B * b rows. */
  hidden_states?: Tensor[][];
  /** B * b rows: the beams that ran on last, which need not be those that are returned. To be disposed of. */
  past_key_values?: DynamicCache;

  constructor(fields: Omit<GenerateBeamDecoderOnlyOutput, keyof ModelOutput>) {
    super();
    this.sequences = fields.sequences;
    if (fields.sequences_scores) this.sequences_scores = fields.sequences_scores;
    if (fields.scores) this.scores = fields.scores;
    if (fields.logits) this.logits = fields.logits;
    this.beam_indices = fields.beam_indices;
    if (fields.attentions) this.attentions = fields.attentions;
    if (fields.hidden_states) this.hidden_states = fields.hidden_states;
    if (fields.past_key_values) this.past_key_values = fields.past_key_values;
  }
}
