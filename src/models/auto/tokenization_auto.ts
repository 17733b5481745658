import { warnOnce } from "../../base/env.ts";
import { OptionError } from "../../base/errors.ts";
import { openRepository } from "../../hub/open.ts";
import type { Repository } from "../../hub/repository.ts";
import { LlamaTokenizer } from "../llama/tokenization_llama.ts";
import {
  splitOptions,
  type TokenizerClass,
  type TokenizerFromPretrained,
  tokenizerFrom,
} from "../tokenization/load.ts";
import { optionalRecord, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE } from "../tokenization/tokenizer_files.ts";
import { TOKENIZER_SETTINGS } from "../tokenization/tokenizer_init.ts";
import { TokenizersBackend } from "../tokenization_utils_tokenizers.ts";

/** What AutoTokenizer takes: `config` is the model's config, or its JSON, where it is at hand. */
export interface AutoTokenizerOptions extends TokenizerFromPretrained {
  config?: object;
}

/** Model types whose checkpoints mostly name the wrong class: their tokenizer.json is taken as it is. */
const TAKEN_AS_IS = ["llava", "llava_next", "vipllava", "mistral", "mistral3", "pixtral", "qwen2", "phi3"];

/** Finds the tokenizer class by what a checkpoint says it is. */
export class AutoTokenizer {
  constructor() {
    throw new OptionError("AutoTokenizer is made with AutoTokenizer.from_pretrained(name)");
  }

  /**
   * The tokenizer of a checkpoint.
   *
   * @param name_or_path a folder, a Hub id, or `"llava-demo"`
   * @throws CheckpointError where files are missing or damaged
   */
  static async from_pretrained(
    name_or_path: string,
    options: AutoTokenizerOptions = {},
  ): Promise<TokenizersBackend> {
    const { config, ...rest } = options;
    const { hub, settings } = splitOptions("AutoTokenizer.from_pretrained", rest, [
      ...TOKENIZER_SETTINGS,
      ...LlamaTokenizer.own_settings,
    ]);
    return autoTokenizerFrom(await openRepository(name_or_path, hub), settings, config);
  }
}

/** As AutoTokenizer, from files that are open already. */
export async function autoTokenizerFrom(
  repository: Repository,
  settings: Readonly<Record<string, unknown>>,
  config?: object,
): Promise<TokenizersBackend> {
  const tokenizerClass = await classFor(repository, config);
  // The settings of a class that was not found out before the call.
  const foreign = LlamaTokenizer.own_settings.find(
    (name) => name in settings && !tokenizerClass.own_settings.includes(name),
  );
  if (foreign !== undefined) {
    throw new OptionError(
      `${foreign}: the tokenizer of ${repository.name} is taken as tokenizer.json describes it, and has no such setting`,
      { where: foreign },
    );
  }
  return tokenizerFrom(tokenizerClass, repository, settings);
}

async function classFor(
  repository: Repository,
  given: object | undefined,
): Promise<TokenizerClass<TokenizersBackend>> {
  const config = (given ?? (await optionalRecord(repository, "config.json")) ?? {}) as Record<
    string,
    unknown
  >;
  const tokenizerConfig = (await optionalRecord(repository, TOKENIZER_CONFIG_FILE)) ?? {};
  const named = tokenizerConfig.tokenizer_class ?? config.tokenizer_class;
  const isLlama = typeof named === "string" && named.replace(/Fast$/, "") === "LlamaTokenizer";
  const byType = named === undefined && config.model_type === "llama";
  if (TAKEN_AS_IS.includes(String(config.model_type)) || !(isLlama || byType)) return TokenizersBackend;
  const isByteLevel =
    (await repository.has(TOKENIZER_FILE)) && (await repository.text(TOKENIZER_FILE)).includes('"ByteLevel"');
  if (!isByteLevel) return LlamaTokenizer;
  warnOnce(
    `${repository.name}: tokenizer_class is 'LlamaTokenizer', but tokenizer.json works on bytes; it is taken as it is.`,
  );
  return TokenizersBackend;
}
