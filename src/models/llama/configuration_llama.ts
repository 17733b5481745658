import type { ActivationName } from "../../kernels/activation.ts";
import { COMMON_FIELDS } from "../common_fields.ts";
import type { ConfigDict, FieldTable } from "../config_fields.ts";
import { activationName, flag, integer, LIMITS, nullable, size, tokenId } from "../config_fields.ts";
import { PreTrainedConfig } from "../configuration_utils.ts";
import type { RopeParameters } from "../rope_parameters.ts";
import { checkHeads, checkHiddenSize, TEXT_FIELDS, type TextConfig } from "../text_config.ts";

/** Llama and what is built like it: Vicuna, Llama 2 and 3. */
export class LlamaConfig extends PreTrainedConfig implements TextConfig {
  static override readonly model_type = "llama";
  static override readonly fields: FieldTable = {
    ...COMMON_FIELDS,
    vocab_size: size(32000, LIMITS.vocabulary),
    hidden_size: size(4096, LIMITS.hidden),
    intermediate_size: size(11008, LIMITS.intermediate),
    num_hidden_layers: size(32, LIMITS.layers),
    num_attention_heads: size(32, LIMITS.heads),
    num_key_value_heads: nullable(size(null, LIMITS.heads)),
    hidden_act: activationName("silu"),
    max_position_embeddings: size(2048, TEXT_FIELDS.maxPositions),
    initializer_range: TEXT_FIELDS.initializerRange,
    rms_norm_eps: TEXT_FIELDS.epsilon(1e-6),
    use_cache: TEXT_FIELDS.useCache,
    pad_token_id: nullable(tokenId(null)),
    bos_token_id: nullable(tokenId(1)),
    eos_token_id: TEXT_FIELDS.eos(2),
    pretraining_tp: nullable(integer(1, 1, LIMITS.hidden)),
    tie_word_embeddings: flag(false),
    rope_parameters: TEXT_FIELDS.rope,
    attention_bias: flag(false),
    attention_dropout: TEXT_FIELDS.dropout,
    mlp_bias: flag(false),
    head_dim: nullable(size(null, TEXT_FIELDS.headDim)),
  };

  declare vocab_size: number;
  declare hidden_size: number;
  declare intermediate_size: number;
  declare num_hidden_layers: number;
  declare num_attention_heads: number;
  declare num_key_value_heads: number;
  declare hidden_act: ActivationName;
  declare max_position_embeddings: number;
  declare initializer_range: number;
  declare rms_norm_eps: number;
  declare use_cache: boolean;
  declare pad_token_id: number | null;
  declare bos_token_id: number | null;
  declare eos_token_id: number | number[] | null;
  declare pretraining_tp: number | null;
  declare tie_word_embeddings: boolean;
  declare rope_parameters: RopeParameters;
  declare attention_bias: boolean;
  declare attention_dropout: number | null;
  declare mlp_bias: boolean;
  declare head_dim: number;

  protected override __post_init__(rest: ConfigDict): void {
    this.num_key_value_heads ??= this.num_attention_heads;
    checkHeads(this);
    this.head_dim ??= Math.floor(this.hidden_size / this.num_attention_heads);
    super.__post_init__(rest);
  }

  override validate_architecture(): void {
    checkHiddenSize(this);
    checkHeads(this);
  }
}
