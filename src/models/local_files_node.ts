import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** A file's text. Rejects with the system's error. */
export function readText(path: string): Promise<string> {
  return readFile(path, "utf8");
}

/**
 * Writes `directory/name`, making the directory where there is none. The file is there whole or not at all: it is
 * written under another name first. Rejects with the system's error.
 */
export async function writeText(directory: string, name: string, contents: string): Promise<void> {
  const target = join(directory, name);
  const partial = `${target}.${globalThis.crypto.randomUUID()}.partial`;
  try {
    await mkdir(directory, { recursive: true });
    await writeFile(partial, contents);
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  }
}

/** A path's folder and the name in it. */
export function splitPath(path: string): { directory: string; name: string } {
  return { directory: dirname(path), name: basename(path) };
}
