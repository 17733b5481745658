import { join } from "node:path";
import { CheckpointError } from "../base/errors.ts";
import { FolderRepository, isFolder } from "./folder_node.ts";
import { HubRepository } from "./hub_repository_node.ts";
import { locate } from "./locate_node.ts";
import type { HubOptions, Repository } from "./repository.ts";
import { readSettings } from "./settings_node.ts";

/** `openRepository` in Node. Its options are checked. */
export async function open(name: string, options: HubOptions): Promise<Repository> {
  const place = await locate(name);
  if ("folder" in place) return openFolder(name, place.folder, options.subfolder);
  return HubRepository.open(place.id, options, await readSettings(options));
}

async function openFolder(name: string, folder: string, subfolder: string | undefined): Promise<Repository> {
  if (!subfolder) return new FolderRepository(name, folder);
  const inner = join(folder, subfolder);
  if (!(await isFolder(inner))) {
    throw new CheckpointError(`${name}: there is no folder '${subfolder}' in it`, { file: inner });
  }
  return new FolderRepository(name, inner);
}
