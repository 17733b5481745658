import { ModelOutput } from "../models/model_output.ts";
import type { DynamicCache } from "../nn/dynamic_cache.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Output of the vision tower with the projected features. */
export class BaseModelOutputWithPooling extends ModelOutput {
  /** The tower's last block, [N, P, V]. */
  last_hidden_state: Tensor;
  /** The projected features of each picture, [L, D]. */
  pooler_output: Tensor[];
  /** The input of the first block and the output of each, [N, P, V]; null for those that were not asked for. */
  hidden_states?: (Tensor | null)[];
  /** Each block's probabilities, [N, H, P, P]. */
  attentions?: Tensor[];

  constructor(fields: Omit<BaseModelOutputWithPooling, keyof ModelOutput>) {
    super();
    this.last_hidden_state = fields.last_hidden_state;
    this.pooler_output = fields.pooler_output;
    if (fields.hidden_states) this.hidden_states = fields.hidden_states;
    if (fields.attentions) this.attentions = fields.attentions;
  }
}

/** Output of `LlavaModel`. */
export class LlavaModelOutputWithPast extends ModelOutput {
  /** [B, L, D], after the last norm. */
  last_hidden_state: Tensor;
  past_key_values?: DynamicCache;
  /** layers + 1 tensors [B, L, D]: the embeddings, each layer's output, the last one after the last norm. */
  hidden_states?: Tensor[];
  /** A tensor [B, H, L, keys] a layer. */
  attentions?: Tensor[];
  /** The projected features of all pictures, [sum L, D]. */
  image_hidden_states?: Tensor;

  constructor(fields: Omit<LlavaModelOutputWithPast, keyof ModelOutput>) {
    super();
    this.last_hidden_state = fields.last_hidden_state;
    assignOptional(this, fields);
  }
}

/** Output of `LlavaForConditionalGeneration`. */
export class LlavaCausalLMOutputWithPast extends ModelOutput {
  /** Mean cross-entropy of the next token, a scalar; there when `labels` were given. */
  loss?: Tensor;
  /** [B, kept columns, vocabulary] */
  logits: Tensor;
  past_key_values?: DynamicCache;
  /** As in LlavaModelOutputWithPast. */
  hidden_states?: Tensor[];
  attentions?: Tensor[];
  image_hidden_states?: Tensor;

  constructor(fields: Omit<LlavaCausalLMOutputWithPast, keyof ModelOutput>) {
    super();
    if (fields.loss) this.loss = fields.loss;
    this.logits = fields.logits;
    assignOptional(this, fields);
  }
}

type Optional = Pick<
  LlavaModelOutputWithPast,
  "past_key_values" | "hidden_states" | "attentions" | "image_hidden_states"
>;

/** In the order of Transformers' tuples. */
function assignOptional(output: Optional, fields: Optional): void {
  if (fields.past_key_values) output.past_key_values = fields.past_key_values;
  if (fields.hidden_states) output.hidden_states = fields.hidden_states;
  if (fields.attentions) output.attentions = fields.attentions;
  if (fields.image_hidden_states) output.image_hidden_states = fields.image_hidden_states;
}
