import { CheckpointError } from "../../base/errors.ts";
import { openRepository } from "../../hub/open.ts";
import type { HubOptions } from "../../hub/repository.ts";
import { isRecord } from "../config_fields.ts";

const IMAGE_PROCESSOR_NAME = "preprocessor_config.json";
const CONFIG_NAME = "config.json";
const PROCESSOR_NAME = "processor_config.json";

/** The JSON that describes the image processor of a checkpoint. */
export async function readImageProcessorDict(
  name_or_path: string,
  options: HubOptions,
  filename: string = IMAGE_PROCESSOR_NAME,
): Promise<Record<string, unknown>> {
  if (/\.json$/i.test(name_or_path)) return readJsonFile(name_or_path);
  const repository = await openRepository(name_or_path, options);
  if (await repository.has(PROCESSOR_NAME)) {
    const processor = asRecord(await repository.json(PROCESSOR_NAME), PROCESSOR_NAME);
    const { image_processor } = processor;
    if (image_processor !== undefined) return asRecord(image_processor, `${PROCESSOR_NAME}: image_processor`);
  }
  if (await repository.has(filename)) return asRecord(await repository.json(filename), filename);
  throw new CheckpointError(
    `${name_or_path}: there is no ${filename}, and no image_processor in ${PROCESSOR_NAME}. Is this a checkpoint that looks at pictures?`,
    { file: filename, where: name_or_path },
  );
}

/** config.json of a checkpoint, or nothing where there is none. */
export async function readModelConfig(
  name_or_path: string,
  options: HubOptions,
): Promise<Record<string, unknown>> {
  if (/\.json$/i.test(name_or_path)) return {};
  const repository = await openRepository(name_or_path, options);
  if (!(await repository.has(CONFIG_NAME))) return {};
  return asRecord(await repository.json(CONFIG_NAME), CONFIG_NAME);
}

/** A JSON file by its path: its folder is opened like a checkpoint's. */
export async function readJsonFile(path: string): Promise<Record<string, unknown>> {
  const slash = path.replaceAll("\\", "/").lastIndexOf("/");
  const folder = slash === -1 ? "." : path.slice(0, slash + 1);
  const repository = await openRepository(folder, { local_files_only: true });
  return asRecord(await repository.json(path.slice(slash + 1)), path);
}

function asRecord(value: unknown, file: string): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw new CheckpointError(`${file}: expected a JSON object`, {
    file,
    expected: "object",
    got: typeof value,
  });
}
