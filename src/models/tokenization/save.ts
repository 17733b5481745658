import { OptionError } from "../../base/errors.ts";
import { saveTextFile } from "../save_file.ts";
import type { TokenizersBackend } from "../tokenization_utils_tokenizers.ts";
import {
  CHAT_TEMPLATE_DIR,
  CHAT_TEMPLATE_FILE,
  TOKENIZER_CONFIG_FILE,
  TOKENIZER_FILE,
} from "./tokenizer_files.ts";
import { type ChatTemplates, TOKENIZER_SETTINGS } from "./tokenizer_init.ts";

export interface SaveSettings {
  /** Comes before the names of the files, with a dash. */
  prefix: string | null;
  /** Whether chat templates get files of their own, or stand in tokenizer_config.json. */
  jinja: boolean;
  processorClass: string | null;
}

/** What is not saved: it says where the tokenizer came from, or stands in another file. */
const NOT_SAVED = [
  "name_or_path",
  "add_bos_token",
  "add_eos_token",
  "chat_template",
  "processor_class",
  "vocab_file",
  "tokenizer_file",
  "special_tokens_map_file",
  "files_loaded",
  "device_map",
];

/** Writes the files of a tokenizer, in the layout of Transformers 5. */
export async function saveTokenizer(
  tokenizer: TokenizersBackend,
  directory: string,
  settings: SaveSettings,
): Promise<string[]> {
  const prefix = settings.prefix ? `${settings.prefix}-` : "";
  const config: Record<string, unknown> = { ...tokenizer.init_kwargs };
  for (const key of NOT_SAVED) delete config[key];
  Object.assign(config, currentSettings(tokenizer, config));
  if (settings.processorClass !== null) config.processor_class = settings.processorClass;
  const files: [string, string][] = [];
  if (tokenizer.chat_template !== null) {
    if (settings.jinja) files.push(...templateFiles(tokenizer.chat_template, prefix));
    else config.chat_template = templateEntry(tokenizer.chat_template);
  }
  files.unshift([`${prefix}${TOKENIZER_CONFIG_FILE}`, `${sortedJson(config)}\n`]);
  files.push([`${prefix}${TOKENIZER_FILE}`, JSON.stringify(tokenizer.backend_tokenizer, null, 2)]);
  return saveFiles(directory, files);
}

/** Writes files, given as path and contents. @returns their paths */
export async function saveFiles(
  directory: string,
  files: readonly (readonly [string, string])[],
): Promise<string[]> {
  const base = directory.replace(/[/\\]+$/, "");
  const saved: string[] = [];
  for (const [path, contents] of files) {
    const slash = path.lastIndexOf("/");
    const folder = slash < 0 ? base : `${base}/${path.slice(0, slash)}`;
    await saveTextFile(folder, path.slice(slash + 1), contents);
    saved.push(`${base}/${path}`);
  }
  return saved;
}

/** The settings as they are now; those that nobody gave are left out. */
function currentSettings(
  tokenizer: TokenizersBackend,
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const now = tokenizer as unknown as Readonly<Record<string, unknown>>;
  const settings: Record<string, unknown> = {
    backend: "tokenizers",
    model_max_length: tokenizer.model_max_length,
    padding_side: tokenizer.padding_side,
    tokenizer_class: (tokenizer.constructor as typeof TokenizersBackend).tokenizer_class,
    ...tokenizer.special_tokens_map,
  };
  for (const key of TOKENIZER_SETTINGS) if (key in given && !(key in settings)) settings[key] = now[key];
  if (tokenizer.extra_special_tokens.length > 0) {
    settings.extra_special_tokens = tokenizer.extra_special_tokens;
  }
  if (given.model_specific_special_tokens) {
    const names = Object.keys(given.model_specific_special_tokens);
    settings.model_specific_special_tokens = Object.fromEntries(names.map((name) => [name, now[name]]));
  }
  return settings;
}

/** Chat templates as files: the default one, and others by name. @throws OptionError for a name that is a path */
export function templateFiles(templates: ChatTemplates, prefix = ""): [string, string][] {
  if (typeof templates === "string") return [[`${prefix}${CHAT_TEMPLATE_FILE}`, templates]];
  return Object.entries(templates).map(([name, template]) => {
    if (name === "default") return [`${prefix}${CHAT_TEMPLATE_FILE}`, template];
    if (!/^[^/\\]+$/.test(name) || name.startsWith(".")) {
      throw new OptionError(
        `chat_template: ${JSON.stringify(name)} cannot be the name of a template's file`,
        {
          where: "chat_template",
          got: name,
        },
      );
    }
    return [`${prefix}${CHAT_TEMPLATE_DIR}/${name}.jinja`, template];
  });
}

function templateEntry(templates: ChatTemplates): unknown {
  if (typeof templates === "string") return templates;
  return Object.entries(templates).map(([name, template]) => ({ name, template }));
}

/** JSON with sorted keys. */
function sortedJson(value: unknown): string {
  const sort = (_: string, item: unknown): unknown => {
    if (typeof item !== "object" || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  };
  return JSON.stringify(value, sort, 2);
}
