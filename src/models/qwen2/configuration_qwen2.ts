import type { ActivationName } from "../../kernels/activation.ts";
import { COMMON_FIELDS } from "../common_fields.ts";
import type { ConfigDict, FieldTable } from "../config_fields.ts";
import {
  activationName,
  flag,
  integer,
  LIMITS,
  listOf,
  nullable,
  size,
  text,
  tokenId,
} from "../config_fields.ts";
import { PreTrainedConfig } from "../configuration_utils.ts";
import type { RopeParameters } from "../rope_parameters.ts";
import { checkHeads, TEXT_FIELDS, type TextConfig } from "../text_config.ts";

/** Qwen 1.5 and 2: Llama's shape with biases on queries, keys and values. */
export class Qwen2Config extends PreTrainedConfig implements TextConfig {
  static override readonly model_type = "qwen2";
  static override readonly fields: FieldTable = {
    ...COMMON_FIELDS,
    vocab_size: size(151936, LIMITS.vocabulary),
    hidden_size: size(4096, LIMITS.hidden),
    intermediate_size: size(22016, LIMITS.intermediate),
    num_hidden_layers: size(32, LIMITS.layers),
    num_attention_heads: size(32, LIMITS.heads),
    num_key_value_heads: nullable(size(32, LIMITS.heads)),
    hidden_act: activationName("silu"),
    max_position_embeddings: size(32768, TEXT_FIELDS.maxPositions),
    initializer_range: TEXT_FIELDS.initializerRange,
    rms_norm_eps: TEXT_FIELDS.epsilon(1e-6),
    use_cache: TEXT_FIELDS.useCache,
    tie_word_embeddings: flag(false),
    rope_parameters: TEXT_FIELDS.rope,
    use_sliding_window: flag(false),
    sliding_window: nullable(size(4096, TEXT_FIELDS.maxPositions)),
    max_window_layers: integer(28, 0, LIMITS.layers),
    layer_types: nullable(listOf(text(""))),
    attention_dropout: TEXT_FIELDS.dropout,
    pad_token_id: nullable(tokenId(null)),
    bos_token_id: nullable(tokenId(null)),
    eos_token_id: TEXT_FIELDS.eos(null),
  };

  declare vocab_size: number;
  declare hidden_size: number;
  declare intermediate_size: number;
  declare num_hidden_layers: number;
  declare num_attention_heads: number;
  declare num_key_value_heads: number;
  declare head_dim?: number;
  declare hidden_act: ActivationName;
  declare max_position_embeddings: number;
  declare initializer_range: number;
  declare rms_norm_eps: number;
  declare use_cache: boolean;
  declare tie_word_embeddings: boolean;
  declare rope_parameters: RopeParameters;
  declare use_sliding_window: boolean;
  /** How many of the latest tokens a token of a sliding layer sees; null where no layer slides. */
  declare sliding_window: number | null;
  declare max_window_layers: number;
  /** `full_attention` or `sliding_attention`, layer by layer. */
  declare layer_types: string[];
  declare attention_dropout: number;
  declare pad_token_id: number | null;
  declare bos_token_id: number | null;
  declare eos_token_id: number | number[] | null;

  protected override __post_init__(rest: ConfigDict): void {
    if (!this.use_sliding_window) this.sliding_window = null;
    this.num_key_value_heads ??= this.num_attention_heads;
    checkHeads(this);
    this.layer_types ??= Array.from({ length: this.num_hidden_layers }, (_, layer) =>
      this.sliding_window !== null && layer >= this.max_window_layers
        ? "sliding_attention"
        : "full_attention",
    );
    super.__post_init__(rest);
  }

  override validate_architecture(): void {
    super.validate_architecture();
    checkHeads(this);
  }
}
