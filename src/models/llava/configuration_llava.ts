import type { ActivationName } from "../../kernels/activation.ts";
import { TEXT_CONFIG_MAPPING, VISION_CONFIG_MAPPING } from "../auto/backbones.ts";
import { COMMON_FIELDS } from "../common_fields.ts";
import {
  activationName,
  type ConfigDict,
  either,
  type FieldTable,
  flag,
  integer,
  LIMITS,
  listOf,
  nullable,
  oneOf,
  record,
  tokenId,
} from "../config_fields.ts";
import { PreTrainedConfig } from "../configuration_utils.ts";
import type { SubConfigSpec } from "../sub_config.ts";
import type { TextConfig } from "../text_config.ts";
import type { VisionConfig } from "../vision_config.ts";

const LAYER = integer(-2, -LIMITS.layers, LIMITS.layers);

/** A vision tower, a projector and a text model: CLIP-L/14-336 and Llama where nothing else is said. */
export class LlavaConfig extends PreTrainedConfig {
  static override readonly model_type = "llava";
  static override readonly attribute_map = { image_token_id: "image_token_index" };
  static override readonly sub_configs_defaults: Readonly<Record<string, SubConfigSpec>> = {
    vision_config: {
      resolve: (type) => VISION_CONFIG_MAPPING.get(type),
      known: [...VISION_CONFIG_MAPPING.keys()],
      model_type: "clip_vision_model",
      init_kwargs: {
        intermediate_size: 4096,
        hidden_size: 1024,
        patch_size: 14,
        image_size: 336,
        num_hidden_layers: 24,
        num_attention_heads: 16,
        vocab_size: 32000,
        projection_dim: 768,
      },
    },
    text_config: {
      resolve: (type) => TEXT_CONFIG_MAPPING.get(type),
      known: [...TEXT_CONFIG_MAPPING.keys()],
      model_type: "llama",
    },
  };
  static override readonly fields: FieldTable = {
    ...COMMON_FIELDS,
    vision_config: nullable(record(null)),
    text_config: nullable(record(null)),
    image_token_index: tokenId(32000),
    image_seq_length: integer(576, 0, LIMITS.vocabulary),
    projector_hidden_act: activationName("gelu"),
    vision_feature_select_strategy: oneOf("default", ["default", "full"]),
    vision_feature_layer: either(LAYER, listOf(LAYER)),
    multimodal_projector_bias: flag(true),
    tie_word_embeddings: flag(false),
  };

  declare vision_config: VisionConfig;
  declare text_config: TextConfig;
  declare image_token_index: number;
  /** Another name of `image_token_index`. */
  declare image_token_id: number;
  declare image_seq_length: number;
  declare projector_hidden_act: ActivationName;
  /** `default` drops the tower's class token; `full` keeps every position. */
  declare vision_feature_select_strategy: "default" | "full";
  /** Which of the tower's hidden states are projected: 0 is the first block's input, -1 the last one's output. */
  declare vision_feature_layer: number | number[];
  declare multimodal_projector_bias: boolean;
  declare tie_word_embeddings: boolean;

  protected override __post_init__(rest: ConfigDict): void {
    super.__post_init__(rest);
    if (this.text_config.tie_word_embeddings) this.tie_word_embeddings = true;
  }
}
