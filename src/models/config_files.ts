import { warnOnce } from "../base/env.ts";
import { CheckpointError, OptionError, UnsupportedError } from "../base/errors.ts";
import { type ConfigDict, isRecord } from "./config_fields.ts";
import { decodeSpecialFloats } from "./config_json.ts";
import { readText } from "./local_files_node.ts";

/** A JSON object from a file on disk. @throws CheckpointError where there is none */
export async function readJsonFile(path: string): Promise<ConfigDict> {
  let contents: string;
  try {
    contents = await readText(path);
  } catch (cause) {
    if (cause instanceof UnsupportedError) throw cause;
    throw new CheckpointError(`Cannot read ${path}. Is there such a file?`, { file: path, cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(contents);
  } catch (cause) {
    throw new CheckpointError(`${path} is not valid JSON: ${(cause as Error).message}`, {
      file: path,
      cause,
    });
  }
  return asConfigDict(json, path);
}

/** @throws CheckpointError where the JSON of `file` is not an object */
export function asConfigDict(json: unknown, file: string): ConfigDict {
  const value = decodeSpecialFloats(json);
  if (isRecord(value)) return value;
  throw new CheckpointError(`${file}: expected a JSON object, got ${JSON.stringify(value)?.slice(0, 40)}`, {
    file,
  });
}

/** Runs `build` on what stands in `file`: what it finds wrong with a field is the file's fault. */
export function inFile<T>(file: string, build: () => T): T {
  try {
    return build();
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    const { where, expected, got } = error;
    throw new CheckpointError(`${file}: ${error.message}`, { file, where, expected, got, cause: error });
  }
}

/** The part of a checkpoint's config that a class describes: the whole, or the sub-config of its type. */
export function partFor(
  cls: { readonly model_type: string; readonly base_config_key: string },
  whole: ConfigDict,
): ConfigDict {
  const named = cls.base_config_key === "" ? undefined : whole[cls.base_config_key];
  if (isRecord(named)) return named;
  const type = whole.model_type;
  if (type === undefined || type === cls.model_type) return whole;
  const part = Object.values(whole).find((value) => isRecord(value) && value.model_type === cls.model_type);
  if (isRecord(part)) return part;
  warnOnce(
    `The checkpoint's model_type is '${type}', and it is read as '${cls.model_type}'. This may be meant, or a mistake.`,
  );
  return whole;
}
