import { warnOnce } from "../../base/env.ts";
import { CheckpointError } from "../../base/errors.ts";
import type { Repository } from "../../hub/repository.ts";
import { isRecord } from "../config_fields.ts";
import { CHAT_TEMPLATE_DIR, optionalRecord, readTemplateFiles } from "../tokenization/tokenizer_files.ts";

export const PROCESSOR_NAME = "processor_config.json";
const PREPROCESSOR_NAME = "preprocessor_config.json";
const LEGACY_TEMPLATE_FILE = "chat_template.json";

/**
 * What processor_config.json says, with the chat template of wherever it stands.
 *
 * @throws CheckpointError where a file is damaged, or templates stand in files that exclude each other
 */
export async function readProcessorDict(repository: Repository): Promise<Record<string, unknown>> {
  const dict = { ...(await optionalRecord(repository, PROCESSOR_NAME)) };
  if (typeof dict.chat_template === "string" || isRecord(dict.chat_template)) {
    warnOnce(
      `${repository.name}: the chat template in ${PROCESSOR_NAME} is taken. It should stand in chat_template.jinja.`,
    );
    return dict;
  }
  delete dict.chat_template;
  const template = await readChatTemplate(repository);
  return template === undefined ? dict : { ...dict, chat_template: template };
}

/** The older chat_template.json goes before chat_template.jinja. */
async function readChatTemplate(
  repository: Repository,
): Promise<string | Readonly<Record<string, string>> | undefined> {
  const legacy = await optionalRecord(repository, LEGACY_TEMPLATE_FILE);
  if (legacy === undefined) return readTemplateFiles(repository);
  const files = await repository.list();
  if (files.some((path) => path.startsWith(`${CHAT_TEMPLATE_DIR}/`) && path.endsWith(".jinja"))) {
    throw new CheckpointError(
      `${repository.name}: has both ${LEGACY_TEMPLATE_FILE} and ${CHAT_TEMPLATE_DIR}/, which exclude each other. Save the first as chat_template.jinja.`,
      { file: LEGACY_TEMPLATE_FILE },
    );
  }
  if (typeof legacy.chat_template === "string") return legacy.chat_template;
  throw new CheckpointError(`${LEGACY_TEMPLATE_FILE}: expected a template under 'chat_template'`, {
    file: LEGACY_TEMPLATE_FILE,
    where: "chat_template",
    got: legacy.chat_template,
  });
}

/** The name of the processor's class, from the first file that has one. */
export async function readProcessorClass(repository: Repository): Promise<string | undefined> {
  for (const file of [PROCESSOR_NAME, PREPROCESSOR_NAME, "tokenizer_config.json", "config.json"]) {
    const { processor_class } = (await optionalRecord(repository, file)) ?? {};
    if (typeof processor_class === "string") return processor_class;
  }
  return undefined;
}

/** config.json, or nothing where there is none. */
export async function readConfig(repository: Repository): Promise<Record<string, unknown>> {
  return (await optionalRecord(repository, "config.json")) ?? {};
}
