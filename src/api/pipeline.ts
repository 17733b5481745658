import { OptionError, UnsupportedError } from "../base/errors.ts";
import { AutoProcessor } from "../models/auto/processing_auto.ts";
import type { ProcessorMixin } from "../models/processing/processing_utils.ts";
import { AutoModelForImageTextToText } from "./auto_model.ts";
import type { DeviceName } from "./devices.ts";
import { ImageTextToTextPipeline } from "./image_text_to_text.ts";
import { LlavaForConditionalGeneration } from "./modeling_llava.ts";
import type { PipelineSettings } from "./pipeline_types.ts";
import type { DTypeName, ModelFromPretrainedOptions } from "./pretrained.ts";

const TASK = "image-text-to-text";

/** What a pipeline is made of, where it is to be looked for, and settings for its calls. */
export interface PipelineOptions extends PipelineSettings {
  /** A folder, a Hub id, or a model. Default: "llava-demo". */
  model?: string | LlavaForConditionalGeneration;
  /** A folder, a Hub id, or a processor. Default: the model's. */
  processor?: string | ProcessorMixin;
  revision?: string;
  token?: string | boolean | null;
  dtype?: DTypeName;
  device?: DeviceName;
  /** Options of the model's `from_pretrained`. */
  model_kwargs?: ModelFromPretrainedOptions;
  /** Settings of `generate`. */
  [setting: string]: unknown;
}

/** Options of Transformers' `pipeline` that have no meaning here, and why. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  tokenizer: "it comes with the processor",
  image_processor: "it comes with the processor",
  feature_extractor: "it comes with the processor",
  video_processor: "LLaVA takes pictures and text only",
  device_map: "a model lives on one device: choose it with 'device'",
  trust_remote_code: "no code is loaded from checkpoints",
  pipeline_class: "there is one class for the task",
  framework: "there is one",
  num_workers:
    "pictures are loaded by the process itself; batch_size says how many items are worked on at once",
};

/**
 * A pipeline for a task: `const pipe = await pipeline("image-text-to-text", { model: "llava-hf/llava-1.5-7b-hf" })`.
 *
 * @param task "image-text-to-text"
 * @throws OptionError for another task; what loading the model throws
 */
export async function pipeline(
  task: string,
  options: PipelineOptions = {},
): Promise<ImageTextToTextPipeline> {
  if (task !== TASK) {
    throw new OptionError(`pipeline: expected the task "${TASK}", got ${JSON.stringify(task)}`, {
      where: "task",
      expected: TASK,
      got: task,
    });
  }
  for (const [name, why] of Object.entries(UNSUPPORTED)) {
    if (options[name] !== undefined) throw new UnsupportedError(`pipeline: ${name}: ${why}`, { where: name });
  }
  const { model, processor, revision, token, dtype, device, config, model_kwargs, ...settings } = options;
  const name = typeof model === "string" ? model : "llava-demo";
  const where = Object.fromEntries(
    Object.entries({ revision, token }).filter(([, value]) => value !== undefined),
  );
  const loaded =
    model instanceof LlavaForConditionalGeneration
      ? model
      : await AutoModelForImageTextToText.from_pretrained(name, {
          ...Object.fromEntries(
            Object.entries({ dtype, device, config }).filter(([, value]) => value !== undefined),
          ),
          ...where,
          ...model_kwargs,
        });
  try {
    return new ImageTextToTextPipeline({
      ...settings,
      model: loaded,
      processor: await processorFor(processor, loaded === model ? loaded.config.name_or_path : name, where),
    });
  } catch (error) {
    if (loaded !== model) await loaded.dispose();
    throw error;
  }
}

async function processorFor(
  processor: string | ProcessorMixin | undefined,
  name: string,
  where: { revision?: string },
): Promise<ProcessorMixin> {
  if (processor !== undefined && typeof processor !== "string") return processor;
  return AutoProcessor.from_pretrained(processor ?? name, where);
}
