import { Callable } from "../base/callable.ts";
import { warnOnce } from "../base/env.ts";
import { ImageError, OptionError } from "../base/errors.ts";
import { GenerationConfig } from "../generation/configuration_utils.ts";
import type { GenerateOptions } from "../generation/generate_options.ts";
import { GENERATION_FIELDS } from "../generation/generation_fields.ts";
import { load_images } from "../models/processing/image_utils.ts";
import type { ProcessorMixin } from "../models/processing/processing_utils.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { LlavaForConditionalGeneration } from "./modeling_llava.ts";
import { isPlainObject, type PipelineImages, type PipelineItem, pipelineInput } from "./pipeline_inputs.ts";
import { answers, checkContinued, continuesLast, type Shown, type ShowOptions } from "./pipeline_outputs.ts";
import {
  type PipelineCallOptions,
  type PipelineInputs,
  type PipelineResult,
  type PipelineSettings,
  ReturnType,
} from "./pipeline_types.ts";

/** What a pipeline is made of, and settings for its calls; settings of `generate` may be among them. */
export interface PipelineInit extends PipelineSettings {
  model: LlavaForConditionalGeneration;
  processor: ProcessorMixin;
  [setting: string]: unknown;
}

/** The signature of a call. */
type PipelineCall = <
  const I extends PipelineInputs,
  const O extends PipelineCallOptions = Record<never, never>,
>(
  inputs: I,
  options?: O,
) => Promise<PipelineResult<I, O>>;

const CallablePipeline = Callable as unknown as abstract new () => PipelineCall;

/** Settings by the step that they are for. */
interface Steps {
  preprocess: Record<string, unknown> & { timeout?: number; continue_final_message?: boolean };
  generate?: Partial<GenerateOptions>;
  show: ShowOptions;
  batch_size?: number;
}

/** What holds where neither the caller nor the checkpoint says otherwise. */
const GENERATION_DEFAULTS = { max_new_tokens: 256 };

/**
 * Pictures and text to text, in one call: `await pipe(messages)`, `await pipe(picture, { text })`,
 * `await pipe({ images, text })`. As Transformers' pipeline of the same name.
 */
export class ImageTextToTextPipeline extends CallablePipeline {
  readonly task = "image-text-to-text";
  readonly model: LlavaForConditionalGeneration;
  readonly processor: ProcessorMixin;
  readonly #generation: Partial<GenerateOptions>;
  readonly #steps: Steps;

  constructor({ model, processor, ...settings }: PipelineInit) {
    super();
    this.model = model;
    this.processor = processor;
    const isGeneration = (name: string): boolean =>
      name === "generation_config" || Object.hasOwn(GENERATION_FIELDS, name);
    const entries = Object.entries(settings);
    this.#generation = Object.fromEntries(entries.filter(([name]) => isGeneration(name)));
    this.#steps = this.#sorted(Object.fromEntries(entries.filter(([name]) => !isGeneration(name))));
  }

  get tokenizer(): ProcessorMixin["tokenizer"] {
    return this.processor.tokenizer;
  }

  get image_processor(): ProcessorMixin["image_processor"] {
    return this.processor.image_processor;
  }

  /**
   * Answers.
   *
   * @param inputs a conversation or several, pictures (with `options.text`), texts, or an object of images and text
   * @throws OptionError where they do not go together, or an option is not known
   */
  async __call__(inputs: PipelineInputs, options: PipelineCallOptions = {}): Promise<unknown> {
    const named = isPlainObject(inputs);
    const given: PipelineCallOptions = named
      ? { ...inputs, ...options }
      : { ...options, images: inputs as PipelineImages };
    const { images, text, signal, ...settings } = given;
    const { items, several } = pipelineInput(images, text, named);
    const steps = this.#merged(this.#sorted(settings));
    if (items[0].kind === "text" && this.processor.chat_template !== null) {
      warnOnce("The input is no conversation, although this model's chat template could render one.");
    }
    const size = steps.batch_size ?? 1;
    const results: Shown[][] = [];
    for (let i = 0; i < items.length; i += size) {
      const batch = items.slice(i, i + size).map((item) => this.#answer(item, steps, signal));
      results.push(...(await Promise.all(batch)));
    }
    return several ? results : results[0];
  }

  /** Gives the model's memory back. */
  dispose(): Promise<void> {
    return this.model.dispose();
  }

  async #answer(item: PipelineItem, steps: Steps, signal: AbortSignal | undefined): Promise<Shown[]> {
    const inputs = await this.#preprocess(item, steps.preprocess, signal);
    const settings = this.#generateSettings(steps.generate ?? {});
    const sequences = await this.model.generate({
      ...inputs,
      signal,
      ...settings,
      return_dict_in_generate: false,
    });
    return answers(this.processor, { item, input_ids: inputs.input_ids, sequences }, steps.show);
  }

  /** What `generate` takes: pictures loaded, prompts as ids. */
  async #preprocess(
    item: PipelineItem,
    { timeout, continue_final_message, processor_kwargs, ...rest }: Steps["preprocess"],
    signal: AbortSignal | undefined,
  ): Promise<{ input_ids: Tensor }> {
    if (item.kind === "chat") {
      const continues = continuesLast(item.messages, continue_final_message);
      if (continues) checkContinued(item.messages);
      return withinTime(timeout, signal, (limited) =>
        this.processor.apply_chat_template(item.messages, {
          continue_final_message: continues,
          add_generation_prompt: !continues,
          ...rest,
          processor_kwargs: { signal: limited, ...(processor_kwargs as object | undefined) },
          tokenize: true,
          return_dict: true,
        }),
      );
    }
    const { text, images } = item;
    const kwargs = { ...((processor_kwargs as object | undefined) ?? rest) };
    const padded = typeof text !== "string" && text.length > 1 ? { padding: true } : {};
    const loaded = images === undefined ? null : await load_images(images as never, { timeout, signal });
    return this.processor({ ...padded, signal, ...kwargs, images: loaded, text, return_tensors: "pt" });
  }

  /** The caller's settings, over the pipeline's; the defaults where neither these nor the checkpoint say anything. */
  #generateSettings(given: Partial<GenerateOptions>): Partial<GenerateOptions> {
    const settings = given.generation_config ? given : { ...this.#generation, ...given };
    const { generation_config } = settings;
    const set: Record<string, unknown> = {
      ...this.model.generation_config.to_diff_dict(),
      ...generation_config?.to_diff_dict(),
      ...settings,
    };
    if ("max_new_tokens" in set || "max_length" in set) return settings;
    if (!generation_config) return { ...settings, ...GENERATION_DEFAULTS };
    const config = GenerationConfig.from_dict(generation_config.to_dict(), GENERATION_DEFAULTS);
    return { ...settings, generation_config: config };
  }

  #sorted(options: PipelineSettings & Record<string, unknown>): Steps {
    const {
      max_new_tokens,
      generate_kwargs,
      return_full_text,
      return_tensors,
      return_type,
      clean_up_tokenization_spaces,
      stop_sequence,
      skip_special_tokens,
      batch_size,
      ...rest
    } = options;
    const { continue_final_message, timeout } = rest;
    if (timeout !== undefined && !(timeout > 0)) {
      throw new OptionError(`timeout: expected seconds above 0, got ${timeout}`, {
        where: "timeout",
        got: timeout,
      });
    }
    if (batch_size !== undefined && (!Number.isSafeInteger(batch_size) || batch_size < 1)) {
      throw new OptionError(`batch_size: expected a whole number from 1, got ${batch_size}`, {
        where: "batch_size",
        got: batch_size,
      });
    }
    if (max_new_tokens !== undefined && generate_kwargs && "max_new_tokens" in generate_kwargs) {
      throw new OptionError(
        "max_new_tokens was given twice: in generate_kwargs, and beside it. Give it once.",
        {
          where: "max_new_tokens",
        },
      );
    }
    const generate: Partial<GenerateOptions> = { ...generate_kwargs };
    if (stop_sequence !== undefined) {
      Object.assign(generate, { stop_strings: [stop_sequence].flat(), tokenizer: this.tokenizer });
    }
    if (max_new_tokens !== undefined) generate.max_new_tokens = max_new_tokens;
    const type = returnType(return_type, return_full_text, return_tensors);
    const show = {
      return_type: type,
      continue_final_message,
      clean_up_tokenization_spaces,
      skip_special_tokens,
    };
    return {
      preprocess: defined(rest),
      generate: Object.keys(generate).length > 0 ? generate : undefined,
      show: defined(show),
      batch_size,
    };
  }

  /** The call's settings over those that the pipeline was made with. */
  #merged({ preprocess, generate, show, batch_size }: Steps): Steps {
    const own = this.#steps;
    return {
      preprocess: { ...own.preprocess, ...preprocess },
      generate: generate ?? own.generate,
      show: { ...own.show, ...show },
      batch_size: batch_size ?? own.batch_size,
    };
  }
}

function returnType(
  return_type: ReturnType | undefined,
  return_full_text: boolean | undefined,
  return_tensors: boolean | undefined,
): ReturnType | undefined {
  if (return_type !== undefined) {
    if (Object.values(ReturnType).includes(return_type)) return return_type;
    throw new OptionError(`return_type: expected 0, 1 or 2, got ${JSON.stringify(return_type)}`, {
      where: "return_type",
      got: return_type,
    });
  }
  if (return_full_text !== undefined && return_tensors !== undefined) {
    throw new OptionError("return_full_text and return_tensors exclude each other", {
      where: "return_tensors",
    });
  }
  if (return_tensors) return ReturnType.TENSORS;
  if (return_full_text === undefined) return undefined;
  return return_full_text ? ReturnType.FULL_TEXT : ReturnType.NEW_TEXT;
}

function defined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

/** Loads a conversation's pictures in a limited time. */
async function withinTime<T>(
  timeout: number | undefined,
  signal: AbortSignal | undefined,
  load: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (timeout === undefined) return load(signal);
  const limit = AbortSignal.timeout(timeout * 1000);
  try {
    return await load(signal ? AbortSignal.any([signal, limit]) : limit);
  } catch (error) {
    if (error !== limit.reason) throw error;
    throw new ImageError(`The pictures of the conversation were not loaded within ${timeout} s`, {
      where: "timeout",
      expected: timeout,
      cause: error,
    });
  }
}
