import { OptionError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { isWeightDType, type WeightDType } from "../devices/device.ts";
import { quantizationOf } from "../models/quantizers/open_quantised.ts";
import type { LlavaRuntime } from "./llava_runtime.ts";
import { numbersAs, readNumbers, writeNumbers } from "./model_weights.ts";

/** Options of `dequantize`. */
export interface DequantizeOptions {
  /** What packed weights become. Default: what config.json says that the model is in. */
  dtype?: WeightDType | null;
}

/**
 * Makes all packed weights into floats, and forgets that the checkpoint was quantised: such a model can be saved.
 *
 * @returns what weights are now
 */
export async function dequantize(runtime: LlavaRuntime, options: DequantizeOptions): Promise<WeightDType> {
  checkOptions("dequantize", options, ["dtype"]);
  const { config, device, root } = runtime;
  const said = options.dtype ?? config.dtype ?? "float32";
  const dtype = (["float32", "float16", "bfloat16"] as const).find((name) => name === said);
  if (!dtype || !isWeightDType(dtype)) {
    throw new OptionError(`dequantize: dtype: expected float32, float16 or bfloat16, got ${said}`, {
      where: "dtype",
      got: said,
    });
  }
  const parameters = new Set([...root.named_parameters()].map(([, parameter]) => parameter));
  const packed = [...parameters].filter(({ format }) => format !== undefined);
  if (packed.length === 0 && !quantizationOf(config)) {
    throw new OptionError("dequantize: the model is not quantised", { where: "dequantize" });
  }
  for (const parameter of packed) {
    const { data } = await readNumbers(device, parameter);
    await writeNumbers(device, parameter, dtype, numbersAs(dtype, data as Float32Array));
  }
  delete (config as unknown as Record<string, unknown>).quantization_config;
  return dtype;
}
