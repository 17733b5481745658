import { Callable } from "../../base/callable.ts";
import { OptionError } from "../../base/errors.ts";
import { pythonJson } from "../config_json.ts";
import { saveTextFileAt } from "../save_file.ts";
import { saveFiles, templateFiles } from "../tokenization/save.ts";
import { type ChatTemplates, chatTemplateSetting } from "../tokenization/tokenizer_init.ts";
import { TokenizersBackend } from "../tokenization_utils_tokenizers.ts";
import { IMAGES_KWARGS } from "./image_kwargs.ts";
import { BaseImageProcessor } from "./image_processing_utils.ts";
import { PROCESSOR_NAME } from "./processor_files.ts";
import {
  loadProcessor,
  type ProcessorClass,
  type ProcessorFromPretrained,
  readProcessorDictOf,
} from "./processor_load.ts";
import type { ProcessorCall } from "./processor_outputs.ts";

/** What every processor is made of. */
export interface ProcessorInit {
  image_processor?: BaseImageProcessor | null;
  tokenizer?: TokenizersBackend | null;
  chat_template?: ChatTemplates | null;
}

const CallableProcessor = Callable as unknown as abstract new () => ProcessorCall;

/** The parts and settings of a processor, and its files, without what it does with texts and pictures. */
export abstract class ProcessorParts extends CallableProcessor {
  /** The name by which files know the class. */
  declare static readonly processor_class: string;
  /** Names of what the constructor takes beside tokenizer and image processor. */
  static readonly own_init: readonly string[] = ["chat_template"];

  readonly image_processor: BaseImageProcessor;
  readonly tokenizer: TokenizersBackend;
  chat_template: ChatTemplates | null;

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

  /** What the constructor was given, apart from the parts and the template, for saving. */
  protected abstract ownSettings(): Record<string, unknown>;

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
    await saveTextFileAt(json_file_path, this.to_json_string());
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

  get #class(): typeof ProcessorParts {
    return this.constructor as typeof ProcessorParts;
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
