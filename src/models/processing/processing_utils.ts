import { OptionError, UnsupportedError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Conversation } from "../tokenization/chat.ts";
import type { DecodeOptions, Ids, IdsRow } from "../tokenization/decode.ts";
import { BatchFeature } from "./batch_feature.ts";
import type { SingleImage } from "./image_inputs.ts";
import type { ImagesKwargs } from "./image_kwargs.ts";
import { type Replacement, replacePlaceholders } from "./placeholders.ts";
import { applyChatTemplate, type ProcessorChatOptions } from "./processor_chat.ts";
import { checkGiven, checkTexts, type ProcessedInputs, prepareInputs } from "./processor_inputs.ts";
import {
  type KwargsContext,
  mergeKwargs,
  type ProcessorArguments,
  type ProcessorInputs,
  refuseOthers,
} from "./processor_kwargs.ts";
import type { ImageLists, ImageTensors, TextLists, TextTensors } from "./processor_outputs.ts";
import { ProcessorParts } from "./processor_parts.ts";

/**
 * Base of processors: pictures through the image processor, texts through the tokenizer, with as many picture
 * tokens in the text as the model will put picture features there.
 */
export abstract class ProcessorMixin extends ProcessorParts {
  static override readonly processor_class: string = "ProcessorMixin";
  /** Defaults of the class. */
  static readonly defaults: KwargsContext["defaults"] = {};

  /** What stands for a picture in text. */
  abstract image_token: string;
  abstract image_token_id: number;

  /** All that stands in the text for one picture. */
  abstract replace_image_token(image_inputs: Readonly<Record<string, unknown>>, image_idx: number): string;

  /** Options for the image processor that the processor itself gives. */
  protected imageOptions(): ImagesKwargs & Readonly<Record<string, unknown>> {
    return {};
  }

  /**
   * Prepares texts and pictures for the model.
   *
   * @throws OptionError where place holders and pictures do not match, or options are not known
   * @throws ImageError where a picture cannot be loaded
   * @throws ShapeError where rows of unequal length are to be tensors
   */
  async __call__(args: ProcessorArguments): Promise<BatchFeature> {
    const { data, tensors } = await this.process(args);
    return new BatchFeature(data, tensors, ["text_replacement_offsets"]);
  }

  /** As a call, with the parts that `apply_chat_template` looks at. */
  async process(args: ProcessorArguments): Promise<ProcessedInputs> {
    const context = this.#context();
    const { where } = context;
    if ("audios" in args) throw new OptionError(`${where}: 'audios' is no option`, { where: "audios" });
    const merged = mergeKwargs(args as Readonly<Record<string, unknown>>, context);
    checkGiven(where, args);
    const images_kwargs = { ...merged.images_kwargs, ...this.imageOptions() };
    return prepareInputs(this, args, { ...merged, images_kwargs });
  }

  /** Makes the inputs into lists, and loads pictures. @returns images, text, videos and audio */
  async prepare_inputs_layout(
    inputs: ProcessorInputs = {},
  ): Promise<[images: unknown, text: string[] | null, videos: null, audio: null]> {
    checkOptions("prepare_inputs_layout", inputs, ["images", "text", "videos", "audio"]);
    refuseOthers({ ...inputs });
    const { images = null, text = null } = inputs;
    const fetched = images === null ? null : await this.image_processor.fetch_images(images as SingleImage[]);
    return [fetched, text === null ? null : typeof text === "string" ? [text] : [...text], null, null];
  }

  /** @throws OptionError where a call with these inputs would fail for what they are */
  validate_inputs(inputs: ProcessorInputs = {}): void {
    checkOptions("validate_inputs", inputs, ["images", "text", "videos", "audio"]);
    refuseOthers({ ...inputs });
    const { images = null, text = null } = inputs;
    const context = this.#context();
    checkGiven(context.where, inputs);
    if (text !== null) checkTexts(text, images, this.image_token, mergeKwargs({}, context));
  }

  /** Puts replacements where place holders are. @returns the texts, and what was replaced in each */
  get_text_with_replacements(
    text: readonly string[],
    options: {
      images_replacements?: readonly string[];
      videos_replacements?: readonly never[];
      audio_replacements?: readonly never[];
    } = {},
  ): [string[], Replacement[][]] {
    const { images_replacements, ...others } = options;
    checkOptions("get_text_with_replacements", options, [
      "images_replacements",
      "videos_replacements",
      "audio_replacements",
    ]);
    if (Object.values(others).flat().length > 0) {
      throw new UnsupportedError("get_text_with_replacements: LLaVA takes pictures and text only", {
        where: "videos_replacements",
      });
    }
    return replacePlaceholders(text, this.image_token, images_replacements ?? []);
  }

  /** For each id, 1 for a picture token and 0 for text. */
  create_mm_token_type_ids(input_ids: Tensor | readonly (readonly number[])[]): number[][] {
    const rows = Array.isArray(input_ids) ? input_ids : ((input_ids as Tensor).tolist() as number[][]);
    const picture = new Set(this.image_token_ids);
    return rows.map((row: readonly number[]) => row.map((id) => (picture.has(id) ? 1 : 0)));
  }

  /** The ids that stand for parts of pictures. */
  get image_token_ids(): number[] {
    return [this.image_token_id];
  }

  get video_token_ids(): (number | null)[] {
    return [null];
  }

  get audio_token_ids(): (number | null)[] {
    return [null];
  }

  get all_special_multimodal_tokens(): string[] {
    return [this.image_token];
  }

  get unused_input_names(): string[] {
    return [];
  }

  get model_input_names(): string[] {
    return [...this.image_processor.model_input_names, ...this.tokenizer.model_input_names];
  }

  /**
   * Renders a conversation by the chat template; with `tokenize`, prepares it for the model, pictures and all. A key
   * that the template reads is a variable of it; any other goes to the processor.
   *
   * @throws OptionError where there is no template, it refuses the conversation, or a key is not known
   */
  apply_chat_template(
    conversation: Conversation | readonly Conversation[],
    options: ProcessorChatOptions & { tokenize: true; return_dict: true; return_tensors: null },
  ): Promise<BatchFeature<TextLists & Partial<ImageLists>>>;
  apply_chat_template(
    conversation: Conversation | readonly Conversation[],
    options: ProcessorChatOptions & { tokenize: true; return_dict: true },
  ): Promise<BatchFeature<TextTensors & Partial<ImageTensors>>>;
  apply_chat_template(
    conversation: Conversation | readonly Conversation[],
    options: ProcessorChatOptions & { tokenize: true; return_dict?: false; return_tensors: null },
  ): Promise<number[][]>;
  apply_chat_template(
    conversation: Conversation | readonly Conversation[],
    options: ProcessorChatOptions & { tokenize: true; return_dict?: false },
  ): Promise<Tensor>;
  apply_chat_template(
    conversation: Conversation,
    options?: ProcessorChatOptions & { tokenize?: false },
  ): Promise<string>;
  apply_chat_template(
    conversation: readonly Conversation[],
    options?: ProcessorChatOptions & { tokenize?: false },
  ): Promise<string[]>;
  apply_chat_template(
    conversation: Conversation | readonly Conversation[],
    options?: ProcessorChatOptions,
  ): Promise<unknown>;
  apply_chat_template(conversation: unknown, options: ProcessorChatOptions = {}): Promise<unknown> {
    return applyChatTemplate(this, conversation, options, this.imageKwargs);
  }

  /** Ids to text; several rows give several texts. */
  decode(token_ids: IdsRow, options?: DecodeOptions): string;
  decode(token_ids: readonly IdsRow[], options?: DecodeOptions): string[];
  decode(token_ids: Ids, options?: DecodeOptions): string | string[];
  decode(token_ids: Ids, options: DecodeOptions = {}): string | string[] {
    return this.tokenizer.decode(token_ids, options);
  }

  /** Ids of several rows to text. */
  batch_decode(sequences: Ids, options: DecodeOptions = {}): string[] {
    return this.tokenizer.batch_decode(sequences, options);
  }

  /** What the model generated as text, without special tokens. */
  post_process_image_text_to_text(generated_outputs: IdsRow, options?: DecodeOptions): string;
  post_process_image_text_to_text(generated_outputs: readonly IdsRow[], options?: DecodeOptions): string[];
  post_process_image_text_to_text(generated_outputs: Ids, options?: DecodeOptions): string | string[];
  post_process_image_text_to_text(generated_outputs: Ids, options: DecodeOptions = {}): string | string[] {
    return this.tokenizer.decode(generated_outputs, { skip_special_tokens: true, ...options });
  }

  /** As `post_process_image_text_to_text`; no other kind of output is there. */
  post_process_multimodal_output(
    generated_outputs: Ids,
    options: DecodeOptions & { generation_mode?: "text" | null } = {},
  ): string | string[] {
    const { generation_mode = null, ...rest } = options;
    if (generation_mode !== null && generation_mode !== "text") {
      throw new OptionError(`generation_mode: only 'text' is there, got ${JSON.stringify(generation_mode)}`, {
        where: "generation_mode",
        expected: "text",
        got: generation_mode,
      });
    }
    return this.post_process_image_text_to_text(generated_outputs, rest);
  }

  /** @throws UnsupportedError always: no template of a LLaVA checkpoint says how an answer is taken apart */
  parse_response(
    _response: unknown,
    _options: { schema?: unknown; prefix?: unknown; tools?: unknown } = {},
  ): never {
    throw new UnsupportedError("parse_response: response templates are not supported");
  }
  #context(): KwargsContext {
    const { processor_class, defaults } = this.constructor as typeof ProcessorMixin;
    return { where: processor_class, imageKwargs: this.imageKwargs, tokenizer: this.tokenizer, defaults };
  }
}
