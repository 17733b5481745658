import { CheckpointError, UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { splitPath, writeText } from "./local_files_node.ts";

/**
 * Writes `directory/name`, making the directory where there is none. The file is there whole or not at all:
 * it is written under another name first.
 *
 * @throws CheckpointError where `directory` is a file or cannot be written
 */
export async function saveTextFile(directory: string, name: string, contents: string): Promise<void> {
  try {
    await writeText(directory, name, contents);
  } catch (cause) {
    if (cause instanceof UnsupportedError) throw cause;
    const target = `${directory.replace(/[\\/]+$/, "")}/${name}`;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(
      `Cannot save ${target}: ${reason}. Is ${directory} a folder that may be written?`,
      { file: target, cause },
    );
  }
}

/** The same for a path that names the file. */
export async function saveTextFileAt(path: string, contents: string): Promise<void> {
  const { directory, name } = splitPath(path);
  await saveTextFile(directory, name, contents);
}

/** @throws UnsupportedError where something is to be uploaded */
export function checkSaveOptions(where: string, options: { push_to_hub?: boolean }): void {
  checkOptions(where, options, ["push_to_hub"]);
  if (!options.push_to_hub) return;
  throw new UnsupportedError(`${where}: push_to_hub: uploading is not this library's job`, {
    where: "push_to_hub",
  });
}
