import { OptionError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { revisionFault } from "./ids.ts";
import { open } from "./open_node.ts";
import { pathFault } from "./paths.ts";
import { HUB_OPTIONS, type HubOptions, type Repository } from "./repository.ts";

/**
 * Opens the checkpoint that a name stands for: a folder (absolute, relative, `~`, file URL), `"llava-demo"` (the
 * checkpoint inside this package; write `./llava-demo` for a folder of that name), or an id of the Hugging Face Hub.
 * An existing folder goes before a Hub id, as in Transformers.
 *
 * @throws OptionError for options that are unknown or out of range
 * @throws CheckpointError where there is no such folder and the name cannot be a Hub id
 * @throws HubError where the Hub does not give it
 */
export async function openRepository(name_or_path: string, options: HubOptions = {}): Promise<Repository> {
  checkHubOptions("openRepository", name_or_path, options);
  options.signal?.throwIfAborted();
  return open(name_or_path, options);
}

/** Checks a model's name and the options of a look-up; `where` is what was called. */
export function checkHubOptions(where: string, name: unknown, options: HubOptions): void {
  checkOptions(where, options, HUB_OPTIONS);
  if (typeof name !== "string" || name.trim() === "") {
    throw new OptionError(`${where}: expected a folder or the id of a model, got ${JSON.stringify(name)}`, {
      where: "name_or_path",
      got: name,
    });
  }
  checkType(where, "revision", options.revision, "string");
  checkType(where, "cache_dir", options.cache_dir, "string");
  checkType(where, "subfolder", options.subfolder, "string");
  checkType(where, "local_files_only", options.local_files_only, "boolean");
  checkType(where, "force_download", options.force_download, "boolean");
  checkType(where, "progress_callback", options.progress_callback, "function");
  if (options.token !== null && typeof options.token !== "boolean") {
    checkType(where, "token", options.token, "string");
  }
  if (options.force_download === true && options.local_files_only === true) {
    throw new OptionError(`${where}: 'force_download' and 'local_files_only' exclude each other`);
  }
  const fault = options.revision === undefined ? undefined : revisionFault(options.revision);
  if (fault !== undefined) {
    throw new OptionError(`${where}: revision ${JSON.stringify(options.revision)}: ${fault}`, {
      where: "revision",
      got: options.revision,
    });
  }
  const folder = options.subfolder?.replace(/\/$/, "");
  if (folder && pathFault(folder) !== undefined) {
    throw new OptionError(`${where}: subfolder ${JSON.stringify(folder)}: ${pathFault(folder)}`, {
      where: "subfolder",
      got: folder,
    });
  }
}

function checkType(where: string, option: string, value: unknown, type: string): void {
  if (value === undefined || typeof value === type) return;
  // The token's value must not show up in a message.
  throw new OptionError(`${where}: '${option}' must be a ${type}, got a ${typeof value}`, {
    where: option,
    expected: type,
    got: typeof value,
  });
}
