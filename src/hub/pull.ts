import { openRepository } from "./open.ts";
import type { HubOptions, Repository } from "./repository.ts";
import { type WeightsOptions, weightFiles } from "./weights.ts";

/** Small files that a model of this library may be read from. */
const SMALL_FILES: readonly string[] = [
  "config.json",
  "generation_config.json",
  "preprocessor_config.json",
  "processor_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.json",
  "chat_template.jinja",
];

/** Templates beside the main one. */
const TEMPLATES = /^additional_chat_templates\/[^/]+\.jinja$/;

/**
 * The files of a repository that a model is read from: configurations, tokenizer, templates, weights. No others are
 * ever downloaded, so no `.bin`.
 *
 * @throws CheckpointError where there are no weights
 */
export async function modelFiles(repository: Repository, options: WeightsOptions = {}): Promise<string[]> {
  const listed = await repository.list();
  const small = listed.filter((path) => SMALL_FILES.includes(path) || TEMPLATES.test(path));
  return [...small, ...(await weightFiles(repository, options))];
}

/**
 * Downloads all that a model needs, as far as it is not there yet.
 *
 * @returns the folder that the files are in
 * @throws as `openRepository` does, and CheckpointError where there are no weights
 */
export async function pull(name_or_path: string, options: HubOptions & WeightsOptions = {}): Promise<string> {
  const { variant, ...hubOptions } = options;
  const repository = await openRepository(name_or_path, hubOptions);
  await repository.prepare?.(await modelFiles(repository, { variant }));
  return repository.folder ?? name_or_path;
}
