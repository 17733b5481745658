import { CheckpointError } from "../../base/errors.ts";
import type { Repository } from "../../hub/repository.ts";
import { type AddedToken, readAddedToken } from "../../text/added_tokens.ts";
import { isRecord } from "../../text/component.ts";
import { checkToken, SPECIAL_TOKENS_ATTRIBUTES, type TokenLike, textOf } from "./special_tokens.ts";
import { type ChatTemplates, TOKENIZER_SETTINGS } from "./tokenizer_init.ts";

export const TOKENIZER_FILE = "tokenizer.json";
export const TOKENIZER_CONFIG_FILE = "tokenizer_config.json";
const SPECIAL_TOKENS_MAP_FILE = "special_tokens_map.json";
const ADDED_TOKENS_FILE = "added_tokens.json";
export const CHAT_TEMPLATE_FILE = "chat_template.jinja";
export const CHAT_TEMPLATE_DIR = "additional_chat_templates";

/** What the files of a tokenizer say. */
export interface TokenizerFiles {
  /** tokenizer.json, parsed. */
  tokenizer: unknown;
  /** Settings, and whatever else tokenizer_config.json holds. */
  init: Record<string, unknown>;
  added_tokens: AddedToken[];
}

/**
 * Reads the files of a tokenizer, the older ones where newer ones leave it to them.
 *
 * @throws CheckpointError where tokenizer.json is missing, or a file is damaged
 */
export async function readTokenizerFiles(repository: Repository): Promise<TokenizerFiles> {
  if (!(await repository.has(TOKENIZER_FILE))) {
    throw new CheckpointError(
      `${repository.name}: there is no ${TOKENIZER_FILE}. Tokenizers are read from that file alone; save it with Transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...).`,
      { file: TOKENIZER_FILE },
    );
  }
  const tokenizer = await repository.json(TOKENIZER_FILE);
  const init = { ...(await optionalRecord(repository, TOKENIZER_CONFIG_FILE)) };
  // tokenizer.json has them in its post-processor; what stands beside it may be stale.
  for (const key of ["add_bos_token", "add_eos_token", "tokenizer_class", "init_inputs"]) delete init[key];
  const templates = await readTemplateFiles(repository);
  if (templates !== undefined) init.chat_template = templates;
  const added = isRecord(init.added_tokens_decoder)
    ? readDecoder(init.added_tokens_decoder)
    : await readLegacyTokens(repository, init, tokenizer);
  delete init.added_tokens_decoder;
  return { tokenizer, init: withTokens(init, added), added_tokens: added };
}

/** Templates in files of their own: one as text, several by name, undefined for none. */
export async function readTemplateFiles(repository: Repository): Promise<ChatTemplates | undefined> {
  const templates = new Map<string, string>();
  const prefix = `${CHAT_TEMPLATE_DIR}/`;
  for (const path of await repository.list()) {
    const name = path.startsWith(prefix) ? path.slice(prefix.length) : "";
    if (/^[^/]+\.jinja$/.test(name))
      templates.set(name.slice(0, -".jinja".length), await repository.text(path));
  }
  if (await repository.has(CHAT_TEMPLATE_FILE)) {
    templates.set("default", await repository.text(CHAT_TEMPLATE_FILE));
  }
  if (templates.size === 0) return undefined;
  const only = templates.size === 1 ? templates.get("default") : undefined;
  return only ?? Object.fromEntries(templates);
}

/** A JSON object, or undefined where there is no such file. */
export async function optionalRecord(
  repository: Repository,
  path: string,
): Promise<Record<string, unknown> | undefined> {
  if (!(await repository.has(path))) return undefined;
  const value = await repository.json(path);
  if (isRecord(value)) return value;
  throw new CheckpointError(`${path}: expected a JSON object`, {
    file: path,
    expected: "object",
    got: value,
  });
}

function readDecoder(decoder: Record<string, unknown>): AddedToken[] {
  return Object.entries(decoder)
    .map(([id, token]) => ({ id: Number(id), token: fileToken(token, `added_tokens_decoder['${id}']`) }))
    .sort((a, b) => a.id - b.id)
    .map(({ token }) => token);
}

function fileToken(value: unknown, where: string): AddedToken {
  try {
    return readAddedToken(value, where);
  } catch (cause) {
    throw new CheckpointError(`${TOKENIZER_CONFIG_FILE}: ${where} is no token`, {
      file: TOKENIZER_CONFIG_FILE,
      where,
      got: value,
      cause,
    });
  }
}

/** Before `added_tokens_decoder` there were special_tokens_map.json, added_tokens.json and tokenizer.json's list. */
async function readLegacyTokens(
  repository: Repository,
  init: Record<string, unknown>,
  tokenizer: unknown,
): Promise<AddedToken[]> {
  const map = (await optionalRecord(repository, SPECIAL_TOKENS_MAP_FILE)) ?? {};
  for (const [key, value] of Object.entries(map)) {
    init[key] = isRecord(value) && "content" in value ? { ...value, special: true } : value;
  }
  const added = new Map<number, AddedToken>();
  const specials = new Set(
    [...SPECIAL_TOKENS_ATTRIBUTES].flatMap((name) => (init[name] ? [textOf(init[name] as TokenLike)] : [])),
  );
  const older = (await optionalRecord(repository, ADDED_TOKENS_FILE)) ?? {};
  for (const [content, id] of Object.entries(older)) {
    const special = specials.has(content);
    added.set(Number(id), readAddedToken({ content, special, normalized: !special }, ADDED_TOKENS_FILE));
  }
  const listed = isRecord(tokenizer) && Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
  for (const [i, entry] of listed.entries()) {
    added.set(Number(isRecord(entry) ? entry.id : i), readAddedToken(entry, `added_tokens[${i}]`));
  }
  return [...added].sort(([a], [b]) => a - b).map(([, token]) => token);
}

/** Special tokens by name, with the flags that the list of added tokens gives them. */
function withTokens(init: Record<string, unknown>, added: readonly AddedToken[]): Record<string, unknown> {
  const byContent = new Map(added.map((token) => [token.content, token]));
  const withFlags = (key: string, value: unknown): unknown => {
    if (value === null || value === undefined) return value;
    const text = textOf(checkFileToken(key, value));
    return byContent.get(text) ?? value;
  };
  const result: Record<string, unknown> = {};
  const own: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(init)) {
    const usual = (SPECIAL_TOKENS_ATTRIBUTES as readonly string[]).includes(key);
    if (usual) result[key] = withFlags(key, value);
    else if (isTokenName(key, value)) own[key] = value;
    else result[key] = value;
  }
  if (result.additional_special_tokens !== undefined) {
    result.extra_special_tokens ??= result.additional_special_tokens;
    delete result.additional_special_tokens;
  }
  if (isRecord(result.extra_special_tokens)) {
    Object.assign(own, result.extra_special_tokens);
    delete result.extra_special_tokens;
  }
  if (Object.keys(own).length > 0) {
    result.model_specific_special_tokens = {
      ...(result.model_specific_special_tokens as object | null),
      ...own,
    };
  }
  return result;
}

/** Whether a key names a special token of the model, such as `image_token`. */
function isTokenName(key: string, value: unknown): boolean {
  if (!key.endsWith("_token") || (TOKENIZER_SETTINGS as readonly string[]).includes(key)) return false;
  return typeof value === "string" || (isRecord(value) && typeof value.content === "string");
}

function checkFileToken(key: string, value: unknown): TokenLike {
  try {
    return checkToken(key, value);
  } catch (cause) {
    throw new CheckpointError(
      `${TOKENIZER_CONFIG_FILE}: ${key}: expected a token, got ${JSON.stringify(value)}`,
      {
        file: TOKENIZER_CONFIG_FILE,
        where: key,
        got: value,
        cause,
      },
    );
  }
}
