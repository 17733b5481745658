import type { ActivationName } from "../../kernels/activation.ts";
import { COMMON_FIELDS } from "../common_fields.ts";
import type { ConfigDict, FieldTable } from "../config_fields.ts";
import { activationName, flag, LIMITS, nullable, size, tokenId } from "../config_fields.ts";
import { PreTrainedConfig } from "../configuration_utils.ts";
import type { RopeParameters } from "../rope_parameters.ts";
import { checkHeads, TEXT_FIELDS, type TextConfig } from "../text_config.ts";

/** Mistral: Llama's shape with a sliding window, and a `head_dim` of its own. */
export class MistralConfig extends PreTrainedConfig implements TextConfig {
  static override readonly model_type = "mistral";
  static override readonly fields: FieldTable = {
    ...COMMON_FIELDS,
    vocab_size: size(32000, LIMITS.vocabulary),
    hidden_size: size(4096, LIMITS.hidden),
    intermediate_size: size(14336, LIMITS.intermediate),
    num_hidden_layers: size(32, LIMITS.layers),
    num_attention_heads: size(32, LIMITS.heads),
    num_key_value_heads: size(8, LIMITS.heads),
    head_dim: nullable(size(null, TEXT_FIELDS.headDim)),
    hidden_act: activationName("silu"),
    max_position_embeddings: size(4096 * 32, TEXT_FIELDS.maxPositions),
    initializer_range: TEXT_FIELDS.initializerRange,
    rms_norm_eps: TEXT_FIELDS.epsilon(1e-6),
    use_cache: TEXT_FIELDS.useCache,
    pad_token_id: nullable(tokenId(null)),
    bos_token_id: nullable(tokenId(1)),
    eos_token_id: TEXT_FIELDS.eos(2),
    tie_word_embeddings: flag(false),
    rope_parameters: TEXT_FIELDS.rope,
    sliding_window: nullable(size(4096, TEXT_FIELDS.maxPositions)),
    attention_dropout: TEXT_FIELDS.dropout,
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
  declare bos_token_id: number | null;
  declare eos_token_id: number | number[] | null;
  declare tie_word_embeddings: boolean;
  declare rope_parameters: RopeParameters;
  /** How many of the latest tokens a token sees, itself included; null: all. */
  declare sliding_window: number | null;
  declare attention_dropout: number;

  protected override __post_init__(rest: ConfigDict): void {
    checkHeads(this);
    this.head_dim ??= Math.floor(this.hidden_size / this.num_attention_heads);
    super.__post_init__(rest);
  }

  override validate_architecture(): void {
    super.validate_architecture();
    checkHeads(this);
  }
}
