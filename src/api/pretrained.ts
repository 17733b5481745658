import { OptionError, UnsupportedError } from "../base/errors.ts";
import { isWeightDType, type WeightDType } from "../devices/device.ts";
import { GenerationConfig } from "../generation/configuration_utils.ts";
import { openRepository } from "../hub/open.ts";
import { HUB_OPTIONS, type HubOptions } from "../hub/repository.ts";
import { openWeights, type Weights } from "../hub/weights.ts";
import type { ConfigFromPretrainedOptions } from "../models/configuration_utils.ts";
import { LlavaConfig } from "../models/llava/configuration_llava.ts";
import { refuseOriginalForm, restoreHeadDim } from "../models/llava/published_forms.ts";
import { openQuantised, quantizationOf } from "../models/quantizers/open_quantised.ts";
import type { Module } from "../nn/module.ts";
import { sizeOf } from "../tensor/tensor.ts";
import { type CacheDTypeName, cacheDtypeOf } from "./cache_dtype.ts";
import { CACHE_LIMITS, type CacheLimits, checkCacheLimits } from "./cache_limits.ts";
import { createDevice, type DeviceName } from "./devices.ts";
import { LlavaRuntime } from "./llava_runtime.ts";
import { type LoadedTensor, loadParameters, tensorsByKey } from "./loading.ts";
import { isHeadTied } from "./tied_head.ts";
import type { KeptDType } from "./weight_storage.ts";

/** What weights are kept in. */
export type DTypeName = KeptDType | "auto";

/** Options of a model's `from_pretrained`. Fields of the config may be given too; they override the file's. */
export interface ModelFromPretrainedOptions extends HubOptions, CacheLimits {
  /** "auto" keeps each weight as it is stored. Numbers between the weights are float32 in any case. */
  dtype?: DTypeName;
  /** The older name of `dtype`. */
  torch_dtype?: DTypeName;
  device?: DeviceName;
  /** Our own: compute threads. Default: one for each physical core. */
  threads?: number;
  /**
   * Our own: what keys and values are kept in. "auto": "float16" with `dtype` "q8", "q4" or "bfloat16", else "float32".
   * "q8" (signed bytes, one scale for each token and head) only where it is asked for.
   */
  cacheDtype?: CacheDTypeName;
  /**
   * Our own: of weights that are packed ("q8", "q4") a copy is kept on disk, so that the next start need not pack them.
   * Default: where it pays, for checkpoints from 256 MiB on.
   */
  packedCopy?: boolean;
  /** As in `model.fp16.safetensors`. */
  variant?: string;
  /** In place of the checkpoint's config.json. */
  config?: LlavaConfig;
  /** One attention serves all; `output_attentions` always gives the weights. */
  attn_implementation?: "eager" | "sdpa";
  /** Only safetensors are read; `false` throws. */
  use_safetensors?: boolean;
  /** Only true: no file is read that could hold code. */
  weights_only?: true;
  /** Only false: weights that do not fit are always an error. */
  ignore_mismatched_sizes?: false;
  /** In place of the checkpoint's generation_config.json. */
  generation_config?: GenerationConfig;
  /** Other names for tensors: regular expressions, and what takes the place of what they match ("$1": a group). */
  key_mapping?: Readonly<Record<string, string>>;
  /** Gives `[model, info]`: what the checkpoint had that the model does not use. */
  output_loading_info?: boolean;
  [config_field: string]: unknown;
}

/** Options of Transformers that have no meaning here, or none yet, and why. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  device_map: "a model lives on one device: choose it with 'device'",
  max_memory: "a model lives on one device: choose it with 'device'",
  low_cpu_mem_usage: "weights are always loaded one tensor at a time",
  quantization_config:
    'it is read from config.json. To keep weights in fewer bits, write dtype: "q8" or dtype: "q4"',
  load_in_8bit: 'to keep weights in 8 bits, write dtype: "q8"',
  load_in_4bit: 'to keep weights in 4 bits, write dtype: "q4"',
  trust_remote_code: "no code is loaded from checkpoints",
  tp_plan: "a model lives on one device",
  adapter_kwargs: "adapters are not supported",
  gguf_file: "only safetensors are read",
  from_tf: "only safetensors are read",
  from_flax: "only safetensors are read",
  state_dict: "weights come from a folder or the Hub",
  fusion_config: "kernels are made for the processor at hand",
  disable_mmap: "files are read, tensor by tensor",
  device_mesh: "a model lives on one device",
  distributed_config: "a model lives on one device",
  tp_size: "a model lives on one device",
  offload_folder: "weights stay on the device",
  offload_buffers: "weights stay on the device",
  adapter_name: "adapters are not supported",
  use_kernels: "kernels are the library's own",
  allow_all_kernels: "kernels are the library's own",
  kernel_config: "kernels are the library's own",
  experts_implementation: "no model here has experts",
  proxies: "set HTTPS_PROXY",
  tqdm_class: "progress_callback is told of the progress",
};

/** What may be said, as it is so in any case; anything else cannot be. */
const FIXED: Readonly<Record<string, { value: unknown; why: string }>> = {
  weights_only: { value: true, why: "no file is read that could hold code" },
  ignore_mismatched_sizes: { value: false, why: "weights that do not fit are always an error" },
};

const DTYPES: readonly string[] = [
  "auto",
  "float32",
  "float16",
  "bfloat16",
  "q8",
  "q4",
] satisfies DTypeName[];

/** A model that was read from a checkpoint. */
export interface LoadedModel {
  runtime: LlavaRuntime;
  /** The element type that most of the model is said to be in. */
  dtype: KeptDType;
  generation_config: GenerationConfig;
  /** The weights under the names that the checkpoint has for them. */
  tensors: readonly LoadedTensor[];
  /** Tensors of the checkpoint that the model does not use. */
  unexpected: readonly string[];
}

/** What became of a checkpoint's tensors. Missing and misshapen ones are an error here. */
export interface LoadingInfo {
  missing_keys: string[];
  unexpected_keys: string[];
  mismatched_keys: string[];
  error_msgs: string[];
}

/** What `from_pretrained` gives: the model, or with what became of the tensors. */
export function withInfo<M>(
  model: M,
  { unexpected }: LoadedModel,
  options: ModelFromPretrainedOptions,
): M | [M, LoadingInfo] {
  if (!options.output_loading_info) return model;
  const unexpected_keys = [...unexpected];
  return [model, { missing_keys: [], unexpected_keys, mismatched_keys: [], error_msgs: [] }];
}

/**
 * Reads a checkpoint onto a device.
 *
 * @param part the modules that are wanted, of the whole tree
 * @param unused prefixes of tensors that may be there without being wanted
 */
export async function loadPretrained(
  name: string,
  options: ModelFromPretrainedOptions,
  part: (runtime: LlavaRuntime) => Module,
  unused: readonly string[],
): Promise<LoadedModel> {
  const { hub, own, fields } = splitOptions(options);
  const dtype = checkDType(own.dtype ?? own.torch_dtype ?? "auto");
  checkAttention(own.attn_implementation);
  checkPackedCopy(own.packedCopy);
  const limits = checkCacheLimits(own);
  const cacheDtype = cacheDtypeOf(own.cacheDtype, dtype);
  if (own.use_safetensors === false) throw unsupported("use_safetensors", "only safetensors are read");
  const config = own.config ?? (await readConfig(name, { ...fields, ...hub }));
  const quantization = quantizationOf(config);
  const repository = await openRepository(name, hub);
  const stored = await openWeights(repository, { variant: own.variant });
  const device = await createDevice(own.device ?? "auto", { threads: own.threads });
  try {
    refuseOriginalForm(config, stored);
    const weights = await openQuantised(stored, quantization, modelDType(config, stored));
    restoreHeadDim(config, weights);
    const rename = renaming(own.key_mapping);
    const keyed = [...tensorsByKey(weights, rename)];
    const wanted = keyed.filter(([key]) => !unused.some((prefix) => key.startsWith(prefix)));
    const tied = await isHeadTied(config, new Map(wanted));
    const runtime = new LlavaRuntime(config, device, limits, cacheDtype, tied);
    const { signal, progress_callback } = hub;
    const generation_config =
      own.generation_config ?? (await GenerationConfig.from_pretrained(name, { ...hub }));
    const { tensors, unexpected } = await loadParameters(part(runtime), weights, device, {
      dtype,
      unused,
      rename,
      origin: { model: name, sources: stored.identities(), wanted: own.packedCopy },
      signal,
      progress_callback,
    });
    const kept = dtype === "auto" ? storedDType(weights) : dtype;
    return { runtime, dtype: kept, generation_config, tensors, unexpected };
  } catch (error) {
    await device.dispose();
    throw error;
  } finally {
    await stored.close();
  }
}

/** config.json with the caller's fields. One that is no field is an error: it would be without effect. */
async function readConfig(name: string, options: ConfigFromPretrainedOptions): Promise<LlavaConfig> {
  return LlavaConfig.from_pretrained(name, { ...options, return_unused_kwargs: undefined });
}

interface OwnOptions extends CacheLimits {
  dtype?: string;
  torch_dtype?: string;
  device?: string;
  threads?: number;
  cacheDtype?: unknown;
  packedCopy?: boolean;
  variant?: string;
  config?: LlavaConfig;
  attn_implementation?: unknown;
  use_safetensors?: boolean;
  generation_config?: GenerationConfig;
  key_mapping?: Readonly<Record<string, string>>;
  output_loading_info?: boolean;
}

const OWN: readonly (keyof OwnOptions)[] = [
  "dtype",
  "torch_dtype",
  "device",
  "threads",
  "cacheDtype",
  "packedCopy",
  "variant",
  "config",
  "attn_implementation",
  "use_safetensors",
  "generation_config",
  "key_mapping",
  "output_loading_info",
  ...CACHE_LIMITS,
];

function splitOptions(options: ModelFromPretrainedOptions): {
  hub: HubOptions;
  own: OwnOptions;
  fields: Record<string, unknown>;
} {
  const hub: Record<string, unknown> = {};
  const own: Record<string, unknown> = {};
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (Object.hasOwn(UNSUPPORTED, name) && value !== null) throw unsupported(name, UNSUPPORTED[name]);
    if (Object.hasOwn(UNSUPPORTED, name)) continue;
    if (Object.hasOwn(FIXED, name)) {
      if (value !== FIXED[name].value) throw unsupported(name, FIXED[name].why);
      continue;
    }
    const group = HUB_OPTIONS.includes(name) ? hub : (OWN as readonly string[]).includes(name) ? own : fields;
    group[name] = value;
  }
  return { hub, own, fields };
}

/** @throws OptionError where a pattern is no regular expression */
function renaming(
  mapping: Readonly<Record<string, string>> | undefined,
): ((name: string) => string) | undefined {
  if (!mapping) return undefined;
  const rules = Object.entries(mapping).map(([pattern, to]): [RegExp, string] => {
    try {
      return [new RegExp(pattern, "u"), to];
    } catch (cause) {
      throw new OptionError(`key_mapping: ${JSON.stringify(pattern)} is no regular expression`, {
        where: "key_mapping",
        got: pattern,
        cause,
      });
    }
  });
  return (name) => rules.reduce((renamed, [pattern, to]) => renamed.replace(pattern, to), name);
}

function checkDType(dtype: string): KeptDType | "auto" {
  if (!DTYPES.includes(dtype)) {
    throw new OptionError(`dtype: expected one of ${DTYPES.join(", ")}, got ${JSON.stringify(dtype)}`, {
      where: "dtype",
      expected: DTYPES,
      got: dtype,
    });
  }
  return dtype as KeptDType | "auto";
}

function checkPackedCopy(wanted: unknown): void {
  if (wanted === undefined || typeof wanted === "boolean") return;
  throw new OptionError(`packedCopy: expected true or false, got ${JSON.stringify(wanted)}`, {
    where: "packedCopy",
    expected: [true, false],
    got: wanted,
  });
}

function checkAttention(name: unknown): void {
  if (name === undefined || name === null || name === "eager" || name === "sdpa") return;
  throw unsupported("attn_implementation", `one attention serves all; take "sdpa" or leave it out`);
}

/** The type of most of the numbers. Buffers of old conversions, and scales of quantised weights, are fewer. */
function storedDType(weights: Weights): WeightDType {
  const counts = new Map<WeightDType, number>();
  for (const name of weights.names()) {
    const { kept, dtype, shape } = weights.get(name);
    const type = kept ?? dtype;
    if (isWeightDType(type)) counts.set(type, (counts.get(type) ?? 0) + sizeOf(shape));
  }
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  return most?.[0] ?? "float32";
}

/** What config.json says that the weights are in; where it says nothing, what they are in. */
function modelDType({ dtype }: LlavaConfig, weights: Weights): WeightDType {
  const named = ["float32", "float16", "bfloat16"] as const;
  return named.find((name) => name === dtype) ?? storedDType(weights);
}

function unsupported(name: string, why: string): UnsupportedError {
  return new UnsupportedError(`from_pretrained: ${name}: ${why}`, { where: name });
}
