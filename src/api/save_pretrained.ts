import { UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import type { Device } from "../devices/device.ts";
import type { GenerationConfig } from "../generation/configuration_utils.ts";
import { saveWeights } from "../hub/save_weights_node.ts";
import type { LlavaConfig } from "../models/llava/configuration_llava.ts";
import { quantizationOf } from "../models/quantizers/open_quantised.ts";
import type { LoadedTensor } from "./loading.ts";

/** Options of a model's `save_pretrained`. */
export interface SavePretrainedOptions {
  /** Bytes, or as in "5GB". Default 50 GB. */
  max_shard_size?: number | string;
  /** As in `model.fp16.safetensors`. */
  variant?: string;
  signal?: AbortSignal;
}

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
  checkOptions("save_pretrained", options, ["max_shard_size", "variant", "signal"]);
  const written = tensors.map(({ name, parameter }) => ({
    name,
    dtype: parameter.value.dtype,
    shape: parameter.shape,
    async read(): Promise<Uint8Array> {
      const [{ data }] = await device.step(() => [parameter.value], { signal: options.signal });
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    },
  }));
  await saveWeights(folder, written, options);
  const saved = Object.assign(config, { architectures: [architecture], dtype });
  await saved.save_pretrained(folder);
  await generation_config?.save_pretrained(folder);
}
