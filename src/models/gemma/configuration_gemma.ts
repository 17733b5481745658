import { warnOnce } from "../../base/env.ts";
import type { ActivationName } from "../../kernels/activation.ts";
import { COMMON_FIELDS } from "../common_fields.ts";
import type { ConfigDict, FieldTable } from "../config_fields.ts";
import { activationName, flag, LIMITS, nullable, size, tokenId } from "../config_fields.ts";
import { PreTrainedConfig } from "../configuration_utils.ts";
import type { RopeParameters } from "../rope_parameters.ts";
import { checkHeads, TEXT_FIELDS, type TextConfig } from "../text_config.ts";

/** The first Gemma: Llama's shape with norms around one, scaled embeddings, and heads of a size of their own. */
export class GemmaConfig extends PreTrainedConfig implements TextConfig {
  static override readonly model_type = "gemma";
  static override readonly fields: FieldTable = {
    ...COMMON_FIELDS,
    vocab_size: size(256000, LIMITS.vocabulary),
    hidden_size: size(3072, LIMITS.hidden),
    intermediate_size: size(24576, LIMITS.intermediate),
    num_hidden_layers: size(28, LIMITS.layers),
    num_attention_heads: size(16, LIMITS.heads),
    num_key_value_heads: size(16, LIMITS.heads),
    head_dim: size(256, TEXT_FIELDS.headDim),
    hidden_act: activationName("gelu_pytorch_tanh"),
    max_position_embeddings: size(8192, TEXT_FIELDS.maxPositions),
    initializer_range: TEXT_FIELDS.initializerRange,
    rms_norm_eps: TEXT_FIELDS.epsilon(1e-6),
    use_cache: TEXT_FIELDS.useCache,
    pad_token_id: nullable(tokenId(0)),
    eos_token_id: TEXT_FIELDS.eos(1),
    bos_token_id: nullable(tokenId(2)),
    tie_word_embeddings: flag(true),
    rope_parameters: TEXT_FIELDS.rope,
    attention_bias: flag(false),
    attention_dropout: TEXT_FIELDS.dropout,
    use_bidirectional_attention: nullable(flag(null)),
  };

  declare vocab_size: number;
  declare hidden_size: number;
  declare intermediate_size: number;
  declare num_hidden_layers: number;
  declare num_attention_heads: number;
  declare num_key_value_heads: number;
  declare head_dim: number;
  declare hidden_act: ActivationName;
  declare max_position_embeddings: number;
  declare initializer_range: number;
  declare rms_norm_eps: number;
  declare use_cache: boolean;
  declare pad_token_id: number | null;
  declare eos_token_id: number | number[] | null;
  declare bos_token_id: number | null;
  declare tie_word_embeddings: boolean;
  declare rope_parameters: RopeParameters;
  declare attention_bias: boolean;
  declare attention_dropout: number;
  /** Whether every token sees all others; no LLaVA has been published so. */
  declare use_bidirectional_attention: boolean | null;

  protected override __post_init__(rest: ConfigDict): void {
    if (this.hidden_act === "gelu") {
      // The first files said "gelu" and meant what the model was trained with.
      warnOnce('GemmaConfig: hidden_act "gelu" is read as "gelu_pytorch_tanh", which old files mean by it');
      this.hidden_act = "gelu_pytorch_tanh";
    }
    super.__post_init__(rest);
  }

  override validate_architecture(): void {
    super.validate_architecture();
    checkHeads(this);
  }
}
