import { rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { OptionError } from "../base/errors.ts";
import type { CachedModel } from "./cache_info_node.ts";
import { type PackedCopyInfo, removeCopy, sweepDrafts } from "./packed_folder_node.ts";

/**
 * Removes a model of the shared cache, or a packed copy, as `cacheInfo` lists them; and packed copies that processes
 * which died have left unfinished.
 *
 * @throws OptionError where the folder is neither
 */
export async function removeCached(entry: CachedModel | PackedCopyInfo): Promise<void> {
  const { folder } = entry;
  const name = basename(folder);
  if (/^[0-9a-f]{32}$/.test(name) && basename(dirname(folder)) === "packed") {
    await removeCopy(folder);
    await sweepDrafts();
  } else if (name.startsWith("models--")) {
    await rm(folder, { recursive: true, force: true });
    await rm(join(dirname(folder), ".locks", name), { recursive: true, force: true });
  } else {
    throw new OptionError(
      `removeCached: ${folder} is neither a model of the shared cache nor a packed copy`,
      {
        where: "folder",
        got: folder,
      },
    );
  }
}
