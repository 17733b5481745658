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
  /** Holds all but the last token. To be disposed of. */
  past_key_values?: DynamicCache;

  constructor(fields: Omit<GenerateDecoderOnlyOutput, keyof ModelOutput>) {
    super();
    this.sequences = fields.sequences;
    if (fields.scores) this.scores = fields.scores;
    if (fields.logits) this.logits = fields.logits;
    if (fields.past_key_values) this.past_key_values = fields.past_key_values;
  }
}
