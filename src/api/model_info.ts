import type { HubOptions } from "../hub/repository.ts";
import { LlavaConfig } from "../models/llava/configuration_llava.ts";
import { LlavaForConditionalGenerationModule } from "../models/llava/modeling_llava.ts";
import type { Parameter } from "../nn/module.ts";
import { bytesPerToken } from "../nn/page_pool.ts";
import { sizeOf } from "../tensor/tensor.ts";
import type { CacheDTypeName } from "./cache_dtype.ts";
import { cacheLimits } from "./cache_limits.ts";
import { createDevice, type DeviceName } from "./devices.ts";
import { type KeptDType, storageBytes, storageOf } from "./weight_storage.ts";

/** What a model is and needs. Sizes are bytes. */
export interface ModelInfo {
  name: string;
  /** As in config.json: `clip_vision_model`, `llama`. */
  vision: string;
  text: string;
  parameters: number;
  image_size: number | number[];
  image_tokens: number;
  /** Tokens that the model was made for. */
  context: number;
  /** What the checkpoint says that its weights are. */
  dtype: string | null;
  /** Memory for the weights, by dtype. */
  weights_bytes: Record<KeptDType, number>;
  /** Memory for each token of a conversation, by what its keys and values are kept in. */
  cache_bytes_per_token: Record<Exclude<CacheDTypeName, "auto">, number>;
  /** What is kept at most for later calls, where nothing else is asked for: `CacheLimits`. Prompts: in float32. */
  kept_bytes: { pictures: number; prompts: number };
}

/** Reads a model's config.json, and nothing else of it. */
export async function modelInfo(name: string, options: HubOptions = {}): Promise<ModelInfo> {
  const config = await LlavaConfig.from_pretrained(name, { ...options });
  const root = new LlavaForConditionalGenerationModule(config);
  const distinct = new Set<Parameter>([...root.named_parameters()].map(([, parameter]) => parameter));
  const parameters = [...distinct].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const bytesIn = (dtype: KeptDType): number =>
    [...distinct].reduce((sum, entry) => sum + storageBytes(entry, storageOf(entry, "bfloat16", dtype)), 0);
  const { cacheShape } = root.model.language_model;
  const cache_bytes_per_token = {
    float32: bytesPerToken(cacheShape, "float32"),
    float16: bytesPerToken(cacheShape, "float16"),
    q8: bytesPerToken(cacheShape, "q8"),
  };
  const kept = cacheLimits({}, cache_bytes_per_token.float32);
  return {
    name,
    vision: config.vision_config.model_type,
    text: config.text_config.model_type,
    parameters,
    image_size: config.vision_config.image_size,
    image_tokens: config.image_seq_length,
    context: config.text_config.max_position_embeddings,
    dtype: config.dtype ?? config.text_config.dtype,
    weights_bytes: {
      float32: bytesIn("float32"),
      float16: bytesIn("float16"),
      bfloat16: bytesIn("bfloat16"),
      q8: bytesIn("q8"),
      q4: bytesIn("q4"),
    },
    cache_bytes_per_token,
    kept_bytes: { pictures: kept.pictureCacheBytes, prompts: kept.promptCacheBytes },
  };
}

/** What would compute for `device`, and why. */
export async function deviceInfo(name: DeviceName = "auto"): Promise<{ kind: string; description: string }> {
  const device = await createDevice(name);
  const { kind, description } = device;
  await device.dispose();
  return { kind, description };
}
