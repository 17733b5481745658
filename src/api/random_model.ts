import { OptionError } from "../base/errors.ts";
import { nearest } from "../base/options.ts";
import type { WeightDType, WeightSource } from "../devices/device.ts";
import { GenerationConfig } from "../generation/configuration_utils.ts";
import type { Progress } from "../hub/repository.ts";
import { LlavaConfig } from "../models/llava/configuration_llava.ts";
import { BYTES, fromFloat32 } from "../tensor/dtype.ts";
import { sizeOf } from "../tensor/tensor.ts";
import { createDevice, type DeviceName } from "./devices.ts";
import { LlavaRuntime } from "./llava_runtime.ts";
import type { LoadedModel } from "./pretrained.ts";

const CLIP_L_336 = {
  model_type: "clip_vision_model",
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  image_size: 336,
  patch_size: 14,
};

/** Configs of the sizes that are measured, by name. */
const SHAPES = {
  "llava-1.5-7b": {
    vision_config: CLIP_L_336,
    text_config: {
      model_type: "llama",
      vocab_size: 32064,
      max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
    },
    image_token_index: 32000,
  },
  "llava-1.1b": {
    vision_config: CLIP_L_336,
    text_config: {
      model_type: "llama",
      hidden_size: 2048,
      intermediate_size: 5632,
      num_hidden_layers: 22,
      num_attention_heads: 32,
      num_key_value_heads: 4,
      vocab_size: 32064,
      max_position_embeddings: 4096,
      rms_norm_eps: 1e-5,
    },
    image_token_index: 32000,
  },
  "llava-0.5b": {
    vision_config: {
      model_type: "siglip_vision_model",
      hidden_size: 1152,
      intermediate_size: 4304,
      num_hidden_layers: 26,
      num_attention_heads: 16,
      image_size: 384,
      patch_size: 14,
      vision_use_head: false,
    },
    text_config: {
      model_type: "qwen2",
      hidden_size: 896,
      intermediate_size: 4864,
      num_hidden_layers: 24,
      num_attention_heads: 14,
      num_key_value_heads: 2,
      vocab_size: 151936,
      rope_theta: 1e6,
      tie_word_embeddings: true,
    },
    image_token_index: 151646,
    image_seq_length: 729,
    vision_feature_layer: -1,
    vision_feature_select_strategy: "full",
    tie_word_embeddings: true,
  },
} as const;

/** Random numbers that are used over and over: making new ones would take longer than using them. */
const NOISE = 2 ** 20;

/** How a model of random weights is made. */
export interface RandomModelOptions {
  dtype: WeightDType;
  device?: DeviceName;
  threads?: number;
  progress_callback?: (progress: Progress) => void;
}

/** A model of a published size with random weights, made in memory: for measuring speed without a download. */
export async function loadRandom(shape: string, options: RandomModelOptions): Promise<LoadedModel> {
  if (!Object.hasOwn(SHAPES, shape)) {
    const near = nearest(shape, Object.keys(SHAPES));
    throw new OptionError(
      `random: there is no shape ${JSON.stringify(shape)}.${near ? ` Did you mean ${near}?` : ""} There are: ${Object.keys(SHAPES).join(", ")}`,
      { where: "random", expected: Object.keys(SHAPES), got: shape },
    );
  }
  const config = LlavaConfig.from_dict(structuredClone(SHAPES[shape as keyof typeof SHAPES]) as never);
  const { dtype, threads } = options;
  const device = await createDevice(options.device ?? "auto", { threads });
  const runtime = new LlavaRuntime(config, device);
  const parameters = [...runtime.root.named_parameters()];
  const total = parameters.reduce((sum, [, { shape: sizes }]) => sum + sizeOf(sizes) * BYTES[dtype], 0);
  const noise = noiseOf(dtype);
  let loaded = 0;
  for (const [name, parameter] of parameters) {
    if (parameter.loaded) continue;
    options.progress_callback?.({ status: "load", loaded, total });
    parameter.value = await device.load(randomSource(name, dtype, parameter.shape, noise), dtype);
    loaded += sizeOf(parameter.shape) * BYTES[dtype];
  }
  options.progress_callback?.({ status: "load", loaded: total, total });
  return { runtime, dtype, generation_config: new GenerationConfig({}), tensors: [] };
}

function randomSource(
  name: string,
  dtype: WeightDType,
  shape: readonly number[],
  noise: Uint8Array,
): WeightSource {
  return {
    name,
    dtype,
    shape,
    async read() {
      const bytes = new Uint8Array(sizeOf(shape) * BYTES[dtype]);
      for (let at = 0; at < bytes.length; at += noise.length) {
        bytes.set(noise.subarray(0, Math.min(noise.length, bytes.length - at)), at);
      }
      return bytes;
    },
  };
}

/** Numbers about as large as trained weights are. The seed is fixed: every run has the same. */
function noiseOf(dtype: WeightDType): Uint8Array {
  const numbers = new Float32Array(NOISE);
  let state = 12345;
  for (let i = 0; i < NOISE; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    numbers[i] = (state / 2 ** 32 - 0.5) * 0.05;
  }
  const { buffer, byteOffset, byteLength } = fromFloat32(dtype, numbers);
  return new Uint8Array(buffer, byteOffset, byteLength);
}
