import { UnsupportedError } from "../base/errors.ts";

/** A browser gives a page no files of the disk. */
function noFiles(path: string): UnsupportedError {
  return new UnsupportedError(`${path}: a browser has no files that a page may read or write by name`, {
    where: path,
  });
}

export async function readText(path: string): Promise<string> {
  throw noFiles(path);
}

export async function writeText(directory: string, name: string): Promise<void> {
  throw noFiles(`${directory}/${name}`);
}

export function splitPath(path: string): { directory: string; name: string } {
  throw noFiles(path);
}
