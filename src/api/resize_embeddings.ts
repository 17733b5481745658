import { OptionError, UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { isWeightDType } from "../devices/device.ts";
import { Random } from "../generation/sampling.ts";
import type { Embedding, Linear } from "../nn/layers.ts";
import { Parameter } from "../nn/module.ts";
import { allocate, toFloat32 } from "../tensor/dtype.ts";
import type { LlavaRuntime } from "./llava_runtime.ts";
import type { LoadedTensor } from "./loading.ts";
import { numbersAs, storedNumbers, writeNumbers } from "./model_weights.ts";

/** Options of `resize_token_embeddings`. */
export interface ResizeOptions {
  /** Tokens that there shall be. Default: as many as there are. */
  new_num_tokens?: number | null;
  /** Rounds the number up. */
  pad_to_multiple_of?: number | null;
  /** New rows are the mean of the old ones (default), or drawn as in a new model. */
  mean_resizing?: boolean;
}

/** Draws the rows of new tokens: always the same. */
const SEED = 0;

/**
 * Changes how many tokens the model has: the tables of both ends, and `vocab_size`.
 *
 * @returns the tensors of the checkpoint with the new tables in place of the old
 */
export async function resizeTokenEmbeddings(
  runtime: LlavaRuntime,
  tensors: readonly LoadedTensor[],
  options: ResizeOptions,
): Promise<LoadedTensor[]> {
  checkOptions("resize_token_embeddings", options, ["new_num_tokens", "pad_to_multiple_of", "mean_resizing"]);
  const { text_config } = runtime.config;
  const table = runtime.model.language_model.embed_tokens;
  const { head } = runtime;
  const count = wantedCount(table.weight.shape[0], options);
  const tied = head.weight === table.weight;
  const resized = new Map<Parameter, Parameter>();
  // A model without its head has none to resize.
  const headless = tied || !head.weight.loaded;
  for (const layer of headless ? [table] : [table, head]) {
    if (layer.weight.format) {
      throw new UnsupportedError(
        "resize_token_embeddings: the table is packed. Load the model in a float type, or call dequantize() first.",
        { where: "dtype" },
      );
    }
    const old = layer.weight;
    layer.weight = await resizedParameter(runtime, layer, count, {
      mean: options.mean_resizing ?? true,
      deviation: text_config.initializer_range,
    });
    resized.set(old, layer.weight);
    old.free();
  }
  if (tied) head.weight = table.weight;
  else if (headless) head.weight = new Parameter(count, table.weight.shape[1]);
  text_config.vocab_size = count;
  return tensors.map(({ name, parameter }) => ({ name, parameter: resized.get(parameter) ?? parameter }));
}

function wantedCount(now: number, { new_num_tokens, pad_to_multiple_of }: ResizeOptions): number {
  for (const [name, value] of Object.entries({ new_num_tokens, pad_to_multiple_of })) {
    if ((value ?? null) === null || (Number.isSafeInteger(value) && Number(value) > 0)) continue;
    throw new OptionError(`${name}: expected a whole number from 1, got ${value}`, {
      where: name,
      got: value,
    });
  }
  const multiple = pad_to_multiple_of ?? 1;
  return Math.ceil((new_num_tokens ?? now) / multiple) * multiple;
}

async function resizedParameter(
  { device }: LlavaRuntime,
  { weight }: Embedding | Linear,
  count: number,
  how: { mean: boolean; deviation: number },
): Promise<Parameter> {
  const { dtype, data } = await storedNumbers(device, weight);
  if (!isWeightDType(dtype)) throw new OptionError(`resize_token_embeddings: weights of ${dtype}`);
  const [N, D] = weight.shape;
  const kept = Math.min(N, count);
  const numbers = allocate(dtype, count * D) as Float32Array;
  numbers.set(data.subarray(0, kept * D) as Float32Array);
  if (count > N) {
    const rows = how.mean
      ? meanRows(toFloat32(dtype, data), N, D, count - N)
      : drawn((count - N) * D, how.deviation);
    numbers.set(numbersAs(dtype, rows) as Float32Array, N * D);
  }
  const parameter = new Parameter(count, D);
  parameter.loss = weight.loss;
  await writeNumbers(device, parameter, dtype, numbers);
  return parameter;
}

/** The mean of the old rows, `count` times. [N, D] -> [count, D] */
function meanRows(numbers: Float32Array, N: number, D: number, count: number): Float32Array {
  const mean = new Float64Array(D);
  for (let i = 0; i < N * D; i++) mean[i % D] += numbers[i];
  return Float32Array.from({ length: count * D }, (_, i) => mean[i % D] / N);
}

/** Normal numbers, by Box and Muller. */
function drawn(length: number, deviation: number): Float32Array {
  const random = new Random(SEED);
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
  return Float32Array.from({ length }, () => deviation * normal());
}
