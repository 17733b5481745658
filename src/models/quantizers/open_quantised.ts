import { CheckpointError, OptionError, UnsupportedError } from "../../base/errors.ts";
import { type StoredTensor, Weights } from "../../hub/weights.ts";
import { type ConfigDict, isRecord } from "../config_fields.ts";
import { AwqConfig } from "./awq_config.ts";
import { openBitsAndBytes } from "./bitsandbytes.ts";
import { BitsAndBytesConfig } from "./bitsandbytes_config.ts";
import { GPTQConfig } from "./gptq_config.ts";
import { openGroups } from "./groups.ts";
import { awqLayout, gptqLayout } from "./packed_formats.ts";
import type { FloatName, Quantised } from "./quantised.ts";

/** How the weights of a checkpoint are quantised. */
export type QuantizationConfig = BitsAndBytesConfig | GPTQConfig | AwqConfig;

const ORIGINAL = "Take the original with float16, bfloat16 or float32 weights";

/** Names that only tensors of quantised weights have. */
const MARKS = /(\.(qweight|qzeros|SCB|weight_packed|weight_scale|absmax|g_idx)|\.quant_state\.\w+)$/;

/**
 * What config.json says about quantisation. Nothing is guessed.
 *
 * @throws UnsupportedError for a method that is not read
 * @throws CheckpointError where what is said makes no sense
 */
export function quantizationOf(config: object): QuantizationConfig | undefined {
  const { quantization_config, quantization, quantizaion_config } = config as Record<string, unknown>;
  if (quantization_config !== undefined && quantization_config !== null)
    return readQuantization(quantization_config);
  if (isRecord(quantization)) {
    throw new UnsupportedError(
      `config.json: the weights are quantised in MLX's format ("quantization"), which is not read. ${ORIGINAL}.`,
      { where: "quantization", got: quantization },
    );
  }
  if (quantizaion_config !== undefined && quantizaion_config !== null) {
    throw new CheckpointError(
      'config.json: "quantizaion_config" is misspelt, and there is no "quantization_config". Correct the name in the file ' +
        "if the weights are quantised as it says.",
      {
        file: "config.json",
        where: "quantizaion_config",
        expected: "quantization_config",
        got: "quantizaion_config",
      },
    );
  }
  return undefined;
}

function readQuantization(entry: unknown): QuantizationConfig {
  if (entry instanceof BitsAndBytesConfig || entry instanceof GPTQConfig || entry instanceof AwqConfig)
    return entry;
  if (!isRecord(entry)) {
    throw new CheckpointError(
      `config.json: quantization_config: expected an object, got ${JSON.stringify(entry).slice(0, 60)}`,
      { file: "config.json", where: "quantization_config", got: entry },
    );
  }
  const method = methodOf(entry);
  try {
    if (method === "bitsandbytes") return BitsAndBytesConfig.from_dict(entry);
    if (method === "gptq") return GPTQConfig.from_dict(entry);
    if (method === "awq") return AwqConfig.from_dict(entry);
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    const { where, expected, got } = error;
    throw new CheckpointError(`config.json: quantization_config: ${error.message}`, {
      file: "config.json",
      where: `quantization_config.${where}`,
      expected,
      got,
    });
  }
  throw new UnsupportedError(
    `config.json: the weights are quantised by ${JSON.stringify(method)}, which is not read. ${ORIGINAL}, ` +
      "or a copy that bitsandbytes, GPTQ or AWQ (gemm) made.",
    { where: "quantization_config.quant_method", expected: ["bitsandbytes", "gptq", "awq"], got: method },
  );
}

/** Old files of bitsandbytes do not name the method. */
function methodOf(entry: ConfigDict): unknown {
  if (entry.quant_method !== undefined && entry.quant_method !== null) return entry.quant_method;
  if (entry.load_in_4bit === true || entry.load_in_8bit === true) return "bitsandbytes";
  throw new CheckpointError(
    'config.json: quantization_config has no "quant_method", so that nobody can know how the weights are to be read. ' +
      `Name it in the file ("bitsandbytes", "gptq", "awq"), or take the original.`,
    {
      file: "config.json",
      where: "quantization_config.quant_method",
      expected: ["bitsandbytes", "gptq", "awq"],
    },
  );
}

/**
 * The same checkpoint with its quantised weights as tensors of floats. Each unpacks itself when it is read.
 *
 * @param config undefined: the checkpoint says nothing of quantisation; it may then hold none
 * @param dtype of weights that do not say theirs
 * @throws CheckpointError where tensors and config contradict each other
 */
export async function openQuantised(
  weights: Weights,
  config: QuantizationConfig | undefined,
  dtype: FloatName,
): Promise<Weights> {
  if (!config) {
    checkPlain(weights);
    return weights;
  }
  const quantised = await open(weights, config, dtype);
  if (quantised.length === 0) {
    throw new CheckpointError(
      `config.json says that weights are quantised by ${config.quant_method}, but no tensor is. ` +
        "If these are plain weights, remove quantization_config from config.json.",
      { file: "config.json", where: "quantization_config", got: config.quant_method },
    );
  }
  const parts = new Set(quantised.flatMap((one) => one.parts));
  const tensors = new Map<string, StoredTensor>();
  for (const name of weights.names()) if (!parts.has(name)) tensors.set(name, weights.get(name));
  for (const { tensor } of quantised) {
    const { name } = tensor;
    if (tensors.has(name)) {
      throw new CheckpointError(
        `${name} is in the checkpoint twice: as it is, and quantised (${tensor.file})`,
        {
          tensors: [name],
          where: name,
        },
      );
    }
    tensors.set(name, tensor);
  }
  return new Weights(tensors, weights.metadata, []);
}

async function open(weights: Weights, config: QuantizationConfig, dtype: FloatName): Promise<Quantised[]> {
  if (config instanceof BitsAndBytesConfig) return openBitsAndBytes(weights, config, dtype);
  const layout = config instanceof GPTQConfig ? gptqLayout(config) : awqLayout(config);
  return openGroups(weights, layout, config.group_size);
}

function checkPlain(weights: Weights): void {
  const name = weights.names().find((tensor) => MARKS.test(tensor));
  if (name === undefined) return;
  const { file } = weights.get(name);
  throw new CheckpointError(
    `${file}: ${name}: the weights are quantised, but config.json has no "quantization_config" that says how. ` +
      'Add it to the file, as in { "quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true, "version": "gemm" }, ' +
      `from where the weights were made; or take the original.`,
    { file, tensors: [name], where: name, expected: "quantization_config" },
  );
}
