import { OptionError } from "../../base/errors.ts";
import type { ActivationName } from "../../kernels/activation.ts";
import { COMMON_FIELDS } from "../common_fields.ts";
import { activationName, type ConfigDict, type FieldTable, LIMITS, number, size } from "../config_fields.ts";
import { PreTrainedConfig } from "../configuration_utils.ts";
import type { RopeParameters } from "../rope_parameters.ts";
import { TEXT_FIELDS } from "../text_config.ts";
import { checkPatches, type VisionConfig } from "../vision_config.ts";

/** Pixtral's tower: pictures of any size, with positions in two dimensions. */
export class PixtralVisionConfig extends PreTrainedConfig implements VisionConfig {
  static override readonly model_type = "pixtral";
  static override readonly default_rope_type = "axial";
  static override readonly fields: FieldTable = {
    ...COMMON_FIELDS,
    hidden_size: size(1024, LIMITS.hidden),
    intermediate_size: size(4096, LIMITS.intermediate),
    num_hidden_layers: size(24, LIMITS.layers),
    num_attention_heads: size(16, LIMITS.heads),
    num_channels: size(3, LIMITS.channels),
    image_size: size(1024, LIMITS.imageSide),
    patch_size: size(16, LIMITS.imageSide),
    hidden_act: activationName("gelu"),
    attention_dropout: TEXT_FIELDS.dropout,
    rope_parameters: TEXT_FIELDS.rope,
    initializer_range: number(0.02),
  };

  declare hidden_size: number;
  declare intermediate_size: number;
  declare num_hidden_layers: number;
  declare num_attention_heads: number;
  declare num_channels: number;
  declare image_size: number;
  declare patch_size: number;
  declare hidden_act: ActivationName;
  declare attention_dropout: number;
  declare rope_parameters: RopeParameters;
  declare initializer_range: number;
  /** Elements of one head. One that the file gives reaches only the rotation of positions. */
  declare head_dim: number;

  protected override __post_init__(rest: ConfigDict): void {
    super.__post_init__({ head_dim: Math.floor(this.hidden_size / this.num_attention_heads), ...rest });
  }

  override validate_architecture(): void {
    super.validate_architecture();
    checkPatches(this);
    if (size(null, LIMITS.hidden).accepts(this.head_dim)) return;
    throw new OptionError(`head_dim: expected an integer above 0, got ${this.head_dim}`, {
      where: "head_dim",
      got: this.head_dim,
    });
  }
}
