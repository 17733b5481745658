import { CLIPVisionConfig } from "../clip/configuration_clip.ts";
import { GemmaConfig } from "../gemma/configuration_gemma.ts";
import { LlamaConfig } from "../llama/configuration_llama.ts";
import { MistralConfig } from "../mistral/configuration_mistral.ts";
import { PixtralVisionConfig } from "../pixtral/configuration_pixtral.ts";
import { Qwen2Config } from "../qwen2/configuration_qwen2.ts";
import { SiglipVisionConfig } from "../siglip/configuration_siglip.ts";
import type { ConfigClass } from "../sub_config.ts";
import type { TextConfig } from "../text_config.ts";
import type { VisionConfig } from "../vision_config.ts";

/** Text models that a LLaVA can have, by `model_type`. */
export const TEXT_CONFIG_MAPPING: ReadonlyMap<string, ConfigClass<TextConfig>> = new Map<
  string,
  ConfigClass<TextConfig>
>([
  [LlamaConfig.model_type, LlamaConfig],
  [MistralConfig.model_type, MistralConfig],
  [Qwen2Config.model_type, Qwen2Config],
  [GemmaConfig.model_type, GemmaConfig],
]);

/** Vision towers that a LLaVA can have, by `model_type`. */
export const VISION_CONFIG_MAPPING: ReadonlyMap<string, ConfigClass<VisionConfig>> = new Map<
  string,
  ConfigClass<VisionConfig>
>([
  [CLIPVisionConfig.model_type, CLIPVisionConfig],
  [SiglipVisionConfig.model_type, SiglipVisionConfig],
  [PixtralVisionConfig.model_type, PixtralVisionConfig],
]);
