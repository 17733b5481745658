import { CheckpointError, OptionError, UnsupportedError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { openRepository } from "../../hub/open.ts";
import { HUB_OPTIONS, type HubOptions, type Repository, splitHubOptions } from "../../hub/repository.ts";
import { TextTokenizer } from "../../text/text_tokenizer.ts";
import { readTokenizerFiles, TOKENIZER_CONFIG_FILE } from "./tokenizer_files.ts";
import { TOKENIZER_SETTINGS, type TokenizerInit, type TokenizerSettings } from "./tokenizer_init.ts";

/** What `from_pretrained` takes: where to look, and settings that go before the files'. */
export interface TokenizerFromPretrained extends HubOptions, TokenizerSettings {
  /** Only tokenizers of this kind are there: true or left out. */
  use_fast?: true;
  /** Code from the Hub is never run: false or left out. */
  trust_remote_code?: false;
  /** Of LlamaTokenizer: whether text after a special token starts a word too. */
  legacy?: boolean;
  /** Of LlamaTokenizer: whether a text starts a word. */
  add_prefix_space?: boolean | null;
}

/** The static side of a tokenizer class. */
export interface TokenizerClass<T> {
  new (init: TokenizerInit): T;
  readonly tokenizer_class: string;
  readonly own_settings: readonly string[];
  pipeline(file: unknown, settings: Readonly<Record<string, unknown>>): unknown;
}

/** Splits options into those that say where to look, and settings. @throws OptionError for others */
export function splitOptions(
  where: string,
  options: TokenizerFromPretrained,
  known: readonly string[],
): { hub: HubOptions; settings: Record<string, unknown> } {
  const { use_fast, trust_remote_code, ...rest } = options as TokenizerFromPretrained &
    Record<string, unknown>;
  checkOptions(where, rest, [...HUB_OPTIONS, ...known, "use_fast", "trust_remote_code"]);
  if ((use_fast as unknown) === false) {
    throw new UnsupportedError("use_fast: false: there are only tokenizers that read tokenizer.json", {
      where: "use_fast",
    });
  }
  if ((trust_remote_code as unknown) === true) {
    throw new UnsupportedError("trust_remote_code: code from the Hub is never run", {
      where: "trust_remote_code",
    });
  }
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  const [hub, settings] = splitHubOptions(Object.fromEntries(given));
  return { hub, settings };
}

/** Opens a checkpoint and makes a tokenizer of its files. */
export async function loadTokenizer<T>(
  tokenizerClass: TokenizerClass<T>,
  name_or_path: string,
  options: TokenizerFromPretrained,
): Promise<T> {
  const { tokenizer_class, own_settings } = tokenizerClass;
  const { hub, settings } = splitOptions(`${tokenizer_class}.from_pretrained`, options, [
    ...TOKENIZER_SETTINGS,
    ...own_settings,
  ]);
  return tokenizerFrom(tokenizerClass, await openRepository(name_or_path, hub), settings);
}

/** Makes a tokenizer of the files of a checkpoint; settings go before what they say. */
export async function tokenizerFrom<T>(
  tokenizerClass: TokenizerClass<T>,
  repository: Repository,
  settings: Readonly<Record<string, unknown>>,
): Promise<T> {
  const { tokenizer, init, added_tokens } = await readTokenizerFiles(repository);
  const merged = { ...init, ...settings };
  const tokenizer_object = new TextTokenizer(tokenizerClass.pipeline(tokenizer, merged));
  try {
    return new tokenizerClass({ ...merged, tokenizer_object, added_tokens, name_or_path: repository.name });
  } catch (error) {
    // What the caller did not say, the file said.
    if (!(error instanceof OptionError) || (error.where !== undefined && error.where in settings))
      throw error;
    const { where, expected, got } = error;
    throw new CheckpointError(`${TOKENIZER_CONFIG_FILE}: ${error.message}`, {
      file: TOKENIZER_CONFIG_FILE,
      where,
      expected,
      got,
      cause: error,
    });
  }
}
