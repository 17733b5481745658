import { CheckpointError, OptionError, UnsupportedError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { openRepository } from "../../hub/open.ts";
import { HUB_OPTIONS, type HubOptions, type Repository } from "../../hub/repository.ts";
import { AutoImageProcessor, type AutoImageProcessorOptions } from "../auto/image_processing_auto.ts";
import { autoTokenizerFrom } from "../auto/tokenization_auto.ts";
import { TOKENIZER_SETTINGS, type TokenizerSettings } from "../tokenization/tokenizer_init.ts";
import type { TokenizersBackend } from "../tokenization_utils_tokenizers.ts";
import { IMAGES_KWARGS, type ImagesKwargs } from "./image_kwargs.ts";
import type { BaseImageProcessor } from "./image_processing_utils.ts";
import { PROCESSOR_NAME, readConfig, readProcessorDict } from "./processor_files.ts";

/** What `from_pretrained` takes: where to look, and settings of all parts. */
export interface ProcessorFromPretrained extends HubOptions, TokenizerSettings, ImagesKwargs {
  patch_size?: number | null;
  vision_feature_select_strategy?: string | null;
  num_additional_image_tokens?: number;
  spatial_merge_size?: number;
  image_token?: string;
  image_break_token?: string;
  image_end_token?: string;
  /** Whose arithmetic the image processor computes. */
  backend?: AutoImageProcessorOptions["backend"];
  use_fast?: boolean | null;
  /** Code from the Hub is never run: false or left out. */
  trust_remote_code?: false;
  /** The model's config, if it is there already. */
  config?: object | null;
}

/** The static side of a processor. */
export interface ProcessorClass<P> {
  new (init: {
    image_processor: BaseImageProcessor;
    tokenizer: TokenizersBackend;
    [setting: string]: unknown;
  }): P;
  readonly processor_class: string;
  readonly own_init: readonly string[];
  settingsFromConfig(config: Readonly<Record<string, unknown>>): Record<string, unknown>;
}

const OTHERS = ["backend", "use_fast", "trust_remote_code", "config"];

/** Opens a checkpoint and makes a processor of its files. */
export async function loadProcessor<P>(
  processorClass: ProcessorClass<P>,
  name_or_path: string,
  options: ProcessorFromPretrained,
): Promise<P> {
  const { processor_class, own_init } = processorClass;
  const names = [...HUB_OPTIONS, ...own_init, ...TOKENIZER_SETTINGS, ...IMAGES_KWARGS, ...OTHERS];
  checkOptions(`${processor_class}.from_pretrained`, options, names);
  if ((options.trust_remote_code as unknown) === true) {
    throw new UnsupportedError("trust_remote_code: code from the Hub is never run", {
      where: "trust_remote_code",
    });
  }
  const { backend, use_fast, config } = options;
  const hub: HubOptions = pick(options, HUB_OPTIONS);
  const repository = await openRepository(name_or_path, hub);
  const tokenizer = await autoTokenizerFrom(
    repository,
    pick(options, TOKENIZER_SETTINGS),
    config ?? undefined,
  );
  const image_processor = await AutoImageProcessor.from_pretrained(name_or_path, {
    ...hub,
    ...pick(options, IMAGES_KWARGS),
    backend,
    use_fast,
  });
  const settings = await settingsOf(processorClass, repository, config ?? undefined);
  return build(processorClass, settings, pick(options, own_init), { tokenizer, image_processor });
}

/** What the files say about the processor itself; what its own file leaves out is taken from config.json. */
async function settingsOf<P>(
  { own_init, settingsFromConfig }: ProcessorClass<P>,
  repository: Repository,
  given: object | undefined,
): Promise<Record<string, unknown>> {
  const dict = pick(await readProcessorDict(repository), own_init);
  const config = (given ?? (await readConfig(repository))) as Readonly<Record<string, unknown>>;
  const stated = Object.entries(dict).filter(([, value]) => value !== null);
  return { ...dict, ...settingsFromConfig(config), ...Object.fromEntries(stated) };
}

function build<P>(
  processorClass: ProcessorClass<P>,
  settings: Record<string, unknown>,
  overrides: Record<string, unknown>,
  parts: { tokenizer: TokenizersBackend; image_processor: BaseImageProcessor },
): P {
  try {
    return new processorClass({ ...settings, ...overrides, ...parts });
  } catch (error) {
    // What the caller did not say, the file said.
    if (!(error instanceof OptionError) || (error.where !== undefined && error.where in overrides))
      throw error;
    const { where, expected, got } = error;
    throw new CheckpointError(`${PROCESSOR_NAME}: ${error.message}`, {
      file: PROCESSOR_NAME,
      where,
      expected,
      got,
      cause: error,
    });
  }
}

/** What the files of a checkpoint say about its processor, and the options that do not say where to look. */
export async function readProcessorDictOf(
  name_or_path: string,
  options: ProcessorFromPretrained,
): Promise<[Record<string, unknown>, Record<string, unknown>]> {
  const rest = Object.entries(options).filter(([name]) => !HUB_OPTIONS.includes(name));
  const repository = await openRepository(name_or_path, pick(options, HUB_OPTIONS));
  return [await readProcessorDict(repository), Object.fromEntries(rest)];
}

/** Those of the names that are there. */
function pick(options: object, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) => names.includes(name) && value !== undefined),
  );
}
