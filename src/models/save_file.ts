import { CheckpointError, UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";

/**
 * Writes `directory/name`, making the directory where there is none. The file is there whole or not at all:
 * it is written under another name first.
 *
 * @throws CheckpointError where `directory` is a file or cannot be written
 */
export async function saveTextFile(directory: string, name: string, contents: string): Promise<void> {
  const { mkdir, rename, rm, writeFile } = await import("node:fs/promises");
  const { join } = await import("node:path");
  const target = join(directory, name);
  const partial = `${target}.${globalThis.crypto.randomUUID()}.partial`;
  try {
    await mkdir(directory, { recursive: true });
    await writeFile(partial, contents);
    await rename(partial, target);
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => {});
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(
      `Cannot save ${target}: ${reason}. Is ${directory} a folder that may be written?`,
      {
        file: target,
        cause,
      },
    );
  }
}

/** @throws UnsupportedError where something is to be uploaded */
export function checkSaveOptions(where: string, options: { push_to_hub?: boolean }): void {
  checkOptions(where, options, ["push_to_hub"]);
  if (!options.push_to_hub) return;
  throw new UnsupportedError(`${where}: push_to_hub: uploading is not this library's job`, {
    where: "push_to_hub",
  });
}
