import { UnsupportedError } from "../../base/errors.ts";
import { CLIPVisionConfig } from "../clip/configuration_clip.ts";
import { CLIPVisionModel } from "../clip/modeling_clip.ts";
import type { PreTrainedConfig } from "../configuration_utils.ts";
import { LlamaConfig } from "../llama/configuration_llama.ts";
import { LlamaModel } from "../llama/modeling_llama.ts";
import type { TextModel } from "../text_model.ts";
import type { VisionTower } from "../vision_tower.ts";

/** The tower that a vision config describes. */
export function visionTowerOf(config: PreTrainedConfig): VisionTower {
  if (config instanceof CLIPVisionConfig) return new CLIPVisionModel(config);
  throw unsupported("vision", config.model_type, "clip_vision_model");
}

/** The language model that a text config describes. */
export function textModelOf(config: PreTrainedConfig): TextModel {
  if (config instanceof LlamaConfig) return new LlamaModel(config);
  throw unsupported("text", config.model_type, "llama");
}

function unsupported(part: string, model_type: string, known: string): UnsupportedError {
  return new UnsupportedError(
    `${part}_config: model_type "${model_type}" is not supported yet; this version knows ${known}`,
    { where: `${part}_config.model_type`, expected: known, got: model_type },
  );
}
