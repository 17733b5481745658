import { UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import type { Device } from "../devices/device.ts";
import type { GenerationConfig } from "../generation/configuration_utils.ts";
import { saveWeights } from "../hub/save_weights_node.ts";
import type { LlavaConfig } from "../models/llava/configuration_llava.ts";
import { quantizationOf } from "../models/quantizers/open_quantised.ts";
import { bytesIn } from "../tensor/dtype.ts";
import type { LoadedTensor } from "./loading.ts";

/** Options of a model's `save_pretrained`. */
export interface SavePretrainedOptions {
  /** Bytes, or as in "5GB". Default 50 GB. */
  max_shard_size?: number | string;
  /** As in `model.fp16.safetensors`. */
  variant?: string;
  /** false: under the names that Transformers 5 has for the model's parts, in place of the checkpoint's. */
  save_original_format?: boolean;
  /** false: nothing is written, as another process writes. */
  is_main_process?: boolean;
  /** Only false: uploading is for other programs. */
  push_to_hub?: false;
  signal?: AbortSignal;
}

const OPTIONS = [
  "max_shard_size",
  "variant",
  "save_original_format",
  "is_main_process",
  "push_to_hub",
  "signal",
] as const satisfies readonly (keyof SavePretrainedOptions)[];

/** What a saved folder is made of. */
export interface Savable {
  config: LlavaConfig;
  /** Absent for a model that does not generate. */
  generation_config?: GenerationConfig;
  /** The class, for `architectures`. */
  architecture: string;
  dtype: string;
  device: Device;
  tensors: readonly LoadedTensor[];
}

/**
 * Writes config.json, generation_config.json and the weights, under the names and in the types that they have here.
 * Nothing is left half written.
 *
 * @throws UnsupportedError where the weights are not the checkpoint's any more: packed, or unpacked
 */
export async function savePretrained(
  folder: string,
  { config, generation_config, architecture, dtype, device, tensors }: Savable,
  options: SavePretrainedOptions,
): Promise<void> {
  if (tensors.some(({ parameter }) => parameter.format)) {
    throw new UnsupportedError(
      `save_pretrained: weights that were packed into dtype "${dtype}" cannot be saved: load the model in a float type`,
      { where: "dtype", got: dtype },
    );
  }
  const quantization = quantizationOf(config);
  if (quantization) {
    throw new UnsupportedError(
      `save_pretrained: the weights were quantised by ${quantization.quant_method}, and are unpacked here: they cannot be ` +
        "saved as they were. Copy the checkpoint's files instead.",
      { where: "quantization_config", got: quantization.quant_method },
    );
  }
  checkOptions("save_pretrained", options, OPTIONS);
  if (options.push_to_hub) {
    throw new UnsupportedError(
      "save_pretrained: push_to_hub: nothing is uploaded; use huggingface-cli upload",
      {
        where: "push_to_hub",
      },
    );
  }
  if (options.is_main_process === false) return;
  const written = tensors.map(({ name, parameter }) => ({
    name,
    dtype: parameter.value.dtype,
    shape: parameter.shape,
    async read(): Promise<Uint8Array> {
      const [{ data }] = await device.step(() => [parameter.value], { signal: options.signal });
      return bytesIn(data);
    },
  }));
  const { max_shard_size, variant, signal } = options;
  await saveWeights(folder, written, { max_shard_size, variant, signal });
  const saved = Object.assign(config, { architectures: [architecture], dtype });
  await saved.save_pretrained(folder);
  await generation_config?.save_pretrained(folder);
}
