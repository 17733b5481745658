import { Callable } from "../../base/callable.ts";
import { OptionError, UnsupportedError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { pythonJson } from "../config_json.ts";
import type { Conversation } from "../tokenization/chat.ts";
import type { DecodeOptions, Ids, IdsRow } from "../tokenization/decode.ts";
import { saveFiles, templateFiles } from "../tokenization/save.ts";
import { type ChatTemplates, chatTemplateSetting } from "../tokenization/tokenizer_init.ts";
import { TokenizersBackend } from "../tokenization_utils_tokenizers.ts";
import { BatchFeature, type TensorType } from "./batch_feature.ts";
import { type ImageInput, make_flat_list_of_images, type SingleImage } from "./image_inputs.ts";
import { IMAGES_KWARGS, type ImagesKwargs } from "./image_kwargs.ts";
import { BaseImageProcessor } from "./image_processing_utils.ts";
import {
  checkPlaceholderCount,
  checkTokenCount,
  type Replacement,
  replacePlaceholders,
} from "./placeholders.ts";
import { applyChatTemplate, type ProcessorChatOptions } from "./processor_chat.ts";
import { PROCESSOR_NAME } from "./processor_files.ts";
import {
  type KwargsContext,
  type MergedKwargs,
  mergeKwargs,
  type ProcessorArguments,
  type ProcessorInputs,
  refuseOthers,
} from "./processor_kwargs.ts";
import {
  loadProcessor,
  type ProcessorClass,
  type ProcessorFromPretrained,
  readProcessorDictOf,
} from "./processor_load.ts";
import type { ImageLists, ImageTensors, ProcessorCall, TextLists, TextTensors } from "./processor_outputs.ts";

/** What every processor is made of. */
export interface ProcessorInit {
  image_processor?: BaseImageProcessor | null;
  tokenizer?: TokenizersBackend | null;
  chat_template?: ChatTemplates | null;
}

/** What a call has made of its inputs, before anything becomes a tensor. */
export interface Processed {
  data: Record<string, unknown>;
  tensors: TensorType | null;
  /** For each text, what became of its place holders. */
  replacements: Replacement[][];
}

const CallableProcessor = Callable as unknown as abstract new () => ProcessorCall;

/**
 * Base of processors: pictures through the image processor, texts through the tokenizer, with as many picture
 * tokens in the text as the model will put picture features there.
 */
export abstract class ProcessorMixin extends CallableProcessor {
  /** The name by which files know the class. */
  static readonly processor_class: string = "ProcessorMixin";
  /** Names of what the constructor takes beside tokenizer and image processor. */
  static readonly own_init: readonly string[] = ["chat_template"];
  /** Defaults of the class. */
  static readonly defaults: KwargsContext["defaults"] = {};

  readonly image_processor: BaseImageProcessor;
  readonly tokenizer: TokenizersBackend;
  chat_template: ChatTemplates | null;
  /** What stands for a picture in text. */
  abstract image_token: string;
  abstract image_token_id: number;

  /** @throws OptionError where a part is missing or of the wrong kind */
  constructor({ image_processor, tokenizer, chat_template }: ProcessorInit) {
    super();
    const { processor_class } = this.#class;
    if (!(tokenizer instanceof TokenizersBackend)) {
      throw wrongPart(processor_class, "tokenizer", "a tokenizer", tokenizer);
    }
    if (!(image_processor instanceof BaseImageProcessor)) {
      throw wrongPart(processor_class, "image_processor", "an image processor", image_processor);
    }
    this.image_processor = image_processor;
    this.tokenizer = tokenizer;
    this.chat_template = chatTemplateSetting(chat_template);
  }

  /** The names of the parts. */
  static get_attributes(): string[] {
    return ["image_processor", "tokenizer"];
  }

  /** All that stands in the text for one picture. */
  abstract replace_image_token(image_inputs: Readonly<Record<string, unknown>>, image_idx: number): string;

  /** What the constructor was given, apart from the parts and the template, for saving. */
  protected abstract ownSettings(): Record<string, unknown>;

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
  async process(args: ProcessorArguments): Promise<Processed> {
    const { where } = this.#context();
    if ("audios" in args) throw new OptionError(`${where}: 'audios' is no option`, { where: "audios" });
    const merged = mergeKwargs(args as Readonly<Record<string, unknown>>, this.#context());
    const images = args.images ?? null;
    const text = args.text ?? null;
    if (images === null && text === null) {
      throw new OptionError(`${where}: give images, text, or both`, { where: "text" });
    }
    const texts = text === null ? null : this.#checkTexts(text, images, merged);
    const pictures = images === null ? {} : await this.#processImages(images, merged);
    if (texts === null)
      return { data: pictures, tensors: merged.images_kwargs.return_tensors ?? null, replacements: [] };
    const replacements = images === null ? [] : this.#replacementsFor(pictures, images);
    const [expanded, made] = replacePlaceholders(texts, this.image_token, replacements);
    const { data, tensors } = this.#processTexts(expanded, merged);
    if (merged.output.return_text_replacement_offsets) data.text_replacement_offsets = made;
    return { data: { ...data, ...pictures }, tensors, replacements: made };
  }

  #checkTexts(text: unknown, images: ImageInput | null, { text_kwargs }: MergedKwargs): string[] {
    const texts = typeof text === "string" ? [text] : text;
    if (!Array.isArray(texts) || !texts.every((item) => typeof item === "string")) {
      throw new OptionError("text: expected a string or a list of strings", {
        where: "text",
        expected: "a string or a list of strings",
        got: text,
      });
    }
    if (texts.length === 0) throw new OptionError("text: there is none in the list", { where: "text" });
    const count = images === null ? null : make_flat_list_of_images(images).length;
    checkPlaceholderCount(texts, this.image_token, count, text_kwargs.sanitize_control_tokens === true);
    return [...texts];
  }

  async #processImages(images: ImageInput, merged: MergedKwargs): Promise<Record<string, unknown>> {
    const options = { ...merged.images_kwargs, ...this.imageOptions() };
    return { ...(await this.image_processor(images, options)) };
  }

  #replacementsFor(pictures: Record<string, unknown>, images: ImageInput): string[] {
    return make_flat_list_of_images(images).map((_, i) => this.replace_image_token(pictures, i));
  }

  #processTexts(
    texts: readonly string[],
    merged: MergedKwargs,
  ): { data: Record<string, unknown>; tensors: TensorType | null } {
    const { return_tensors, ...options } = merged.text_kwargs;
    const encoded = this.tokenizer(texts, { ...options, return_tensors: null });
    checkTokenCount(texts, encoded.input_ids, this.image_token, this.image_token_id);
    const data: Record<string, unknown> = { ...encoded };
    if (merged.output.return_mm_token_type_ids) {
      data.mm_token_type_ids = this.create_mm_token_type_ids(encoded.input_ids);
    }
    return { data, tensors: return_tensors === undefined ? "pt" : return_tensors };
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
    if (images === null && text === null) {
      throw new OptionError(`${this.#class.processor_class}: give images, text, or both`, { where: "text" });
    }
    if (text !== null) this.#checkTexts(text, images, mergeKwargs({}, this.#context()));
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

  /** What processor_config.json holds: the settings, and the image processor's. */
  to_dict(): Record<string, unknown> {
    return {
      ...this.ownSettings(),
      image_processor: this.image_processor.to_dict(),
      processor_class: this.#class.processor_class,
    };
  }

  /** The text of processor_config.json. */
  to_json_string(): string {
    return pythonJson(this.to_dict(), () => false);
  }

  async to_json_file(json_file_path: string): Promise<void> {
    const slash = json_file_path.replaceAll("\\", "/").lastIndexOf("/");
    const folder = slash < 0 ? "." : json_file_path.slice(0, slash + 1);
    await saveFiles(folder, [[json_file_path.slice(slash + 1), this.to_json_string()]]);
  }

  /**
   * Writes the processor, its tokenizer and its chat templates, in the layout of Transformers 5.
   *
   * @returns the path of processor_config.json
   * @throws CheckpointError where the folder cannot be written
   */
  async save_pretrained(save_directory: string): Promise<string[]> {
    this.tokenizer.processorClass = this.#class.processor_class;
    await this.tokenizer.save_pretrained(save_directory);
    const templates = this.chat_template === null ? [] : templateFiles(this.chat_template);
    await saveFiles(save_directory, templates);
    return saveFiles(save_directory, [[PROCESSOR_NAME, this.to_json_string()]]);
  }

  /**
   * The processor of a checkpoint.
   *
   * @param name_or_path a folder, a Hub id, or `"llava-demo"`
   * @param options where to look, and settings of the processor, the tokenizer and the image processor that go
   *   before the files'
   * @throws CheckpointError where files are missing or damaged
   */
  static from_pretrained<P>(
    this: ProcessorClass<P>,
    name_or_path: string,
    options: ProcessorFromPretrained = {},
  ): Promise<P> {
    return loadProcessor(this, name_or_path, options);
  }

  /** What a checkpoint's files say about the processor, and the options that do not say where to look. */
  static get_processor_dict(
    name_or_path: string,
    options: ProcessorFromPretrained = {},
  ): Promise<[Record<string, unknown>, Record<string, unknown>]> {
    return readProcessorDictOf(name_or_path, options);
  }

  /** Sorts settings of a file into those that the constructor does not take, and those that it does. */
  static validate_init_kwargs(
    processor_config: Readonly<Record<string, unknown>>,
    valid_kwargs: readonly string[],
  ): [Record<string, unknown>, Record<string, unknown>] {
    const entries = Object.entries(processor_config);
    return [
      Object.fromEntries(entries.filter(([name]) => !valid_kwargs.includes(name))),
      Object.fromEntries(entries.filter(([name]) => valid_kwargs.includes(name))),
    ];
  }

  /** What config.json knows and the processor's own file does not say. */
  static settingsFromConfig(_config: Readonly<Record<string, unknown>>): Record<string, unknown> {
    return {};
  }

  /** Names of the options that go to the image processor. */
  get imageKwargs(): readonly string[] {
    const { valid_kwargs } = this.image_processor.constructor as typeof BaseImageProcessor;
    return [...new Set([...IMAGES_KWARGS, ...valid_kwargs])];
  }

  get #class(): typeof ProcessorMixin {
    return this.constructor as typeof ProcessorMixin;
  }

  #context(): KwargsContext {
    const { processor_class, defaults } = this.#class;
    return { where: processor_class, imageKwargs: this.imageKwargs, tokenizer: this.tokenizer, defaults };
  }
}

function wrongPart(where: string, name: string, expected: string, got: unknown): OptionError {
  const found =
    typeof got === "function" || typeof got === "object" ? (got?.constructor.name ?? "nothing") : typeof got;
  return new OptionError(`${where}: ${name}: expected ${expected}, got ${found}`, {
    where: name,
    expected,
    got,
  });
}
