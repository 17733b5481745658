import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../base/errors.ts";
import { FileAccess } from "./file_access_node.ts";
import { decodeText, parseJson, TEXT_LIMIT } from "./json.ts";
import { checkPath } from "./paths.ts";
import type { RandomAccess, Repository } from "./repository.ts";

/** A checkpoint's folders are at most so deep, and hold at most so many files, as far as `list` looks. */
const LIST_DEPTH = 4;
const LIST_LIMIT = 10_000;

/** A checkpoint in a folder on disk. */
export class FolderRepository implements Repository {
  readonly name: string;
  /** The folder's path. */
  readonly folder: string;

  constructor(name: string, folder: string) {
    this.name = name;
    this.folder = folder;
  }

  async has(path: string): Promise<boolean> {
    return (await sizeOfFile(this.#path(path))) !== undefined;
  }

  async text(path: string): Promise<string> {
    return decodeText(await readSmall(this.#path(path), path, this.name), path);
  }

  async json(path: string): Promise<unknown> {
    return parseJson(await this.text(path), path);
  }

  async open(path: string): Promise<RandomAccess> {
    const file = this.#path(path);
    if ((await sizeOfFile(file)) === undefined) throw missing(path, this.name);
    return FileAccess.open(file, path);
  }

  list(): Promise<string[]> {
    return listFiles(this.folder);
  }

  #path(path: string): string {
    return join(this.folder, checkPath(path, this.name));
  }
}

/** The length of a regular file (or of what a link leads to), or undefined where there is none. */
export async function sizeOfFile(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/**
 * A small file, whole.
 *
 * @param name how messages call it
 * @throws CheckpointError where there is none or it is too large
 */
export async function readSmall(path: string, name: string, repository: string): Promise<Uint8Array> {
  const size = await sizeOfFile(path);
  if (size === undefined) throw missing(name, repository);
  if (size > TEXT_LIMIT) {
    throw new CheckpointError(`${name}: ${size} bytes are too many for a text file (at most ${TEXT_LIMIT})`, {
      file: name,
      expected: TEXT_LIMIT,
      got: size,
    });
  }
  return readFile(path);
}

/** Paths of the files under a folder, with `/`, sorted. Links are followed to files, not to folders. */
export async function listFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  const visit = async (prefix: string, depth: number): Promise<void> => {
    for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
      if (files.length >= LIST_LIMIT) return;
      const path = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
      if (entry.isDirectory()) {
        if (depth < LIST_DEPTH && !entry.name.startsWith(".")) await visit(path, depth + 1);
      } else if (entry.isFile() || (await sizeOfFile(join(folder, path))) !== undefined) files.push(path);
    }
  };
  await visit("", 1);
  return files.sort();
}

/** Whether a file system call failed because nothing is at the path. */
export function isMissing(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

/** The name of an operating system's error: `ENOENT` and the like. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

function missing(path: string, repository: string): CheckpointError {
  return new CheckpointError(`${repository}: there is no file '${path}'`, { file: path, where: repository });
}
