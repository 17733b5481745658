import { stat } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, UnsupportedError } from "../base/errors.ts";
import { FolderRepository } from "./folder_node.ts";
import { locate } from "./locate_node.ts";
import type { HubOptions, Repository } from "./repository.ts";

/** `openRepository` in Node. Its options are checked. */
export async function open(name: string, options: HubOptions): Promise<Repository> {
  const place = await locate(name);
  if ("folder" in place) return openFolder(name, place.folder, options.subfolder);
  throw new UnsupportedError(`${name}: reading from the Hugging Face Hub is not there yet`);
}

async function openFolder(name: string, folder: string, subfolder: string | undefined): Promise<Repository> {
  if (!subfolder) return new FolderRepository(name, folder);
  const inner = join(folder, subfolder);
  const found = await stat(inner).catch(() => undefined);
  if (!found?.isDirectory()) {
    throw new CheckpointError(`${name}: there is no folder '${subfolder}' in it`, { file: inner });
  }
  return new FolderRepository(name, inner);
}
