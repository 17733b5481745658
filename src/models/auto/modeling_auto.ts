import { UnsupportedError } from "../../base/errors.ts";
import { CLIPVisionConfig } from "../clip/configuration_clip.ts";
import { CLIPVisionModel } from "../clip/modeling_clip.ts";
import type { PreTrainedConfig } from "../configuration_utils.ts";
import { GemmaConfig } from "../gemma/configuration_gemma.ts";
import { GemmaModel } from "../gemma/modeling_gemma.ts";
import { LlamaConfig } from "../llama/configuration_llama.ts";
import { LlamaModel } from "../llama/modeling_llama.ts";
import { MistralConfig } from "../mistral/configuration_mistral.ts";
import { MistralModel } from "../mistral/modeling_mistral.ts";
import { PixtralVisionConfig } from "../pixtral/configuration_pixtral.ts";
import { PixtralVisionModel } from "../pixtral/modeling_pixtral.ts";
import { Qwen2Config } from "../qwen2/configuration_qwen2.ts";
import { Qwen2Model } from "../qwen2/modeling_qwen2.ts";
import { SiglipVisionConfig } from "../siglip/configuration_siglip.ts";
import { SiglipVisionModel } from "../siglip/modeling_siglip.ts";
import type { TextModel } from "../text_model.ts";
import type { VisionTower } from "../vision_tower.ts";

/** The tower that a vision config describes. */
export function visionTowerOf(config: PreTrainedConfig): VisionTower {
  if (config instanceof CLIPVisionConfig) return new CLIPVisionModel(config);
  if (config instanceof SiglipVisionConfig) return new SiglipVisionModel(config);
  if (config instanceof PixtralVisionConfig) return new PixtralVisionModel(config);
  throw unsupported("vision", config.model_type);
}

/** The language model that a text config describes. */
export function textModelOf(config: PreTrainedConfig): TextModel {
  if (config instanceof LlamaConfig) return new LlamaModel(config);
  if (config instanceof MistralConfig) return new MistralModel(config);
  if (config instanceof Qwen2Config) return new Qwen2Model(config);
  if (config instanceof GemmaConfig) return new GemmaModel(config);
  throw unsupported("text", config.model_type);
}

function unsupported(part: string, model_type: string): UnsupportedError {
  return new UnsupportedError(`${part}_config: there is no ${part} model of model_type "${model_type}"`, {
    where: `${part}_config.model_type`,
    got: model_type,
  });
}
