import { statfs } from "node:fs/promises";
import { HubError } from "../base/errors.ts";
import { codeOf } from "./folder_node.ts";

/**
 * Makes sure that `needed` bytes fit on the disk of a folder.
 *
 * @throws HubError that names both numbers
 */
export async function checkFreeSpace(folder: string, needed: number, what: string): Promise<void> {
  const free = await freeBytes(folder);
  if (free === undefined || free >= needed) return;
  throw new HubError(
    `${what}: ${inUnits(needed)} must be downloaded, but only ${inUnits(free)} are free in ${folder}. Make room, or name another place with HF_HOME or 'cache_dir'.`,
    { where: folder, expected: needed, got: free },
  );
}

/** Bytes that may be written in a folder; undefined where the system does not tell. */
export async function freeBytes(folder: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/** What went wrong with the cache's disk in words; other errors as they are. */
export function diskError(error: unknown, folder: string): unknown {
  const advice = "name another place with HF_HOME or 'cache_dir'";
  switch (codeOf(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return new HubError(`the disk of ${folder} is full. Make room, or ${advice}.`, {
        where: folder,
        cause: error,
      });
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new HubError(`${folder} cannot be written to. Check its permissions, or ${advice}.`, {
        where: folder,
        cause: error,
      });
    default:
      return error;
  }
}

/** As in `1.50 GB (1500000000 bytes)`. */
function inUnits(bytes: number): string {
  const gigabytes = bytes / 1e9;
  return `${gigabytes >= 0.01 ? `${gigabytes.toFixed(2)} GB` : `${(bytes / 1e6).toFixed(3)} MB`} (${bytes} bytes)`;
}
