import { OptionError } from "../base/errors.ts";
import { nearest } from "../base/options.ts";
import type { WeightSource } from "../devices/device.ts";
import { GenerationConfig } from "../generation/configuration_utils.ts";
import type { Progress } from "../hub/repository.ts";
import { GROUP, packedShape } from "../kernels/formats/format.ts";
import { packRows } from "../kernels/formats/pack.ts";
import { LlavaConfig } from "../models/llava/configuration_llava.ts";
import type { Parameter } from "../nn/module.ts";
import { BYTES, bytesIn, type DType, fromFloat32 } from "../tensor/dtype.ts";
import { sizeOf } from "../tensor/tensor.ts";
import { type CacheDTypeName, cacheDtypeOf } from "./cache_dtype.ts";
import { type CacheLimits, checkCacheLimits } from "./cache_limits.ts";
import { createDevice, type DeviceName } from "./devices.ts";
import { LlavaRuntime } from "./llava_runtime.ts";
import type { LoadedModel } from "./pretrained.ts";
import { type KeptDType, type Storage, storageBytes, storageOf } from "./weight_storage.ts";

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
/** Fewer where they must be packed. */
const PACKED_NOISE = 2 ** 16;

/** How a model of random weights is made. */
export interface RandomModelOptions extends CacheLimits {
  dtype: KeptDType;
  /** As in `from_pretrained`. */
  cacheDtype?: CacheDTypeName;
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
  const limits = checkCacheLimits(options);
  const cacheDtype = cacheDtypeOf(options.cacheDtype, dtype);
  const device = await createDevice(options.device ?? "auto", { threads });
  const runtime = new LlavaRuntime(config, device, limits, cacheDtype);
  const parameters = [...runtime.root.named_parameters()];
  const storage = (parameter: Parameter): Storage => storageOf(parameter, "bfloat16", dtype);
  const total = parameters.reduce((sum, [, entry]) => sum + storageBytes(entry, storage(entry)), 0);
  const noise = new Noise();
  let loaded = 0;
  for (const [name, parameter] of parameters) {
    if (parameter.loaded) continue;
    options.progress_callback?.({ status: "load", loaded, total });
    const kept = storage(parameter);
    const layout = parameter.multiplied ? "panels" : undefined;
    const source = noise.source(name, parameter.shape, kept);
    parameter.value = await device.load(source, kept.dtype ?? "uint8", layout);
    parameter.format = kept.format?.name;
    parameter.rounds = kept.rounds;
    loaded += storageBytes(parameter, kept);
  }
  options.progress_callback?.({ status: "load", loaded: total, total });
  return { runtime, dtype, generation_config: new GenerationConfig({}), tensors: [], unexpected: [] };
}

/** Random numbers about as large as trained weights are, as the bytes that each storage has for them. */
class Noise {
  readonly #bytes = new Map<string, Uint8Array>();

  /** A tensor of them. */
  source(name: string, shape: readonly number[], storage: Storage): WeightSource {
    const bytes = this.#bytesOf(storage);
    const { dtype, format } = storage;
    if (!format) return repeated(name, dtype, shape, bytes);
    return repeated(name, "uint8", packedShape(format, shape[0], shape[1]), bytes);
  }

  #bytesOf({ dtype, format }: Storage): Uint8Array {
    const key = format ? format.name : dtype;
    const known = this.#bytes.get(key);
    if (known) return known;
    const numbers = noise(format ? PACKED_NOISE : NOISE);
    // Groups of packed rows are alike, however many columns they have: their blocks follow each other.
    const bytes = format
      ? packRows(format, numbers, 0, GROUP, PACKED_NOISE / GROUP)
      : bytesIn(fromFloat32(dtype, numbers));
    this.#bytes.set(key, bytes);
    return bytes;
  }
}

/** A tensor of bytes that come again and again. */
function repeated(name: string, dtype: DType, shape: readonly number[], bytes: Uint8Array): WeightSource {
  return {
    name,
    dtype,
    shape,
    async read() {
      const all = new Uint8Array(sizeOf(shape) * BYTES[dtype]);
      for (let at = 0; at < all.length; at += bytes.length)
        all.set(bytes.subarray(0, Math.min(bytes.length, all.length - at)), at);
      return all;
    },
  };
}

/** The seed is fixed: every run has the same. */
function noise(length: number): Float32Array {
  const numbers = new Float32Array(length);
  let state = 12345;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    numbers[i] = (state / 2 ** 32 - 0.5) * 0.05;
  }
  return numbers;
}
