import type { Stats } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import type { FileIdentity } from "./repository.ts";

/** The identity of a file, from where it really is and what the system says of it. */
export function identify(path: string, { size, mtimeMs }: Pick<Stats, "size" | "mtimeMs">): FileIdentity {
  const blob = /[/\\]models--[^/\\]+[/\\]blobs[/\\]([0-9a-f]{40,64})$/.exec(path)?.[1];
  return { path, bytes: size, stamp: blob ?? mtimeMs };
}

/** Whether a file is still what it was. */
export async function isUnchanged({ path, bytes, stamp }: FileIdentity): Promise<boolean> {
  try {
    const now = identify(await realpath(path), await stat(path));
    return now.bytes === bytes && now.stamp === stamp;
  } catch {
    return false;
  }
}
