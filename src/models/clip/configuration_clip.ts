import type { ActivationName } from "../../kernels/activation.ts";
import { COMMON_FIELDS } from "../common_fields.ts";
import { activationName, type FieldTable, LIMITS, nullable, number, size } from "../config_fields.ts";
import { PreTrainedConfig } from "../configuration_utils.ts";
import { checkHiddenSize, TEXT_FIELDS } from "../text_config.ts";
import { checkPatches, type VisionConfig } from "../vision_config.ts";

/** The picture's half of CLIP. */
export class CLIPVisionConfig extends PreTrainedConfig implements VisionConfig {
  static override readonly model_type = "clip_vision_model";
  static override readonly base_config_key = "vision_config";
  static override readonly fields: FieldTable = {
    ...COMMON_FIELDS,
    hidden_size: size(768, LIMITS.hidden),
    intermediate_size: size(3072, LIMITS.intermediate),
    projection_dim: size(512, LIMITS.hidden),
    num_hidden_layers: size(12, LIMITS.layers),
    num_attention_heads: size(12, LIMITS.heads),
    num_channels: size(3, LIMITS.channels),
    image_size: size(224, LIMITS.imageSide),
    patch_size: size(32, LIMITS.imageSide),
    hidden_act: activationName("quick_gelu"),
    layer_norm_eps: TEXT_FIELDS.epsilon(1e-5),
    attention_dropout: nullable(TEXT_FIELDS.dropout),
    initializer_range: number(0.02),
    initializer_factor: number(1),
  };

  declare hidden_size: number;
  declare intermediate_size: number;
  declare projection_dim: number;
  declare num_hidden_layers: number;
  declare num_attention_heads: number;
  declare num_channels: number;
  declare image_size: number;
  declare patch_size: number;
  declare hidden_act: ActivationName;
  declare layer_norm_eps: number;
  declare attention_dropout: number | null;
  declare initializer_range: number;
  declare initializer_factor: number;

  override validate_architecture(): void {
    checkHiddenSize(this);
    checkPatches(this);
  }
}
