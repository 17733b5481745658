import { readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ImageError } from "../base/errors.ts";

/**
 * The bytes of a picture's file, or undefined where there is no such file.
 *
 * @param path a path, or a file URL
 * @throws ImageError where it is a folder or no regular file, may not be read, or has more than `maxBytes`
 */
export async function readPath(
  path: string | URL,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Uint8Array | undefined> {
  const name = String(path);
  try {
    const file = path instanceof URL ? fileURLToPath(path) : path;
    const { size, isFile } = await describe(file);
    if (!isFile) throw new ImageError(`${name}: this is no file. Give a picture's file.`, { where: name });
    if (size > maxBytes) {
      throw new ImageError(`${name}: the file has ${size} bytes, more than the limit of ${maxBytes}.`, {
        where: name,
        expected: maxBytes,
        got: size,
      });
    }
    return await readFile(file, { signal });
  } catch (error) {
    if (error instanceof ImageError) throw error;
    signal?.throwIfAborted();
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ERR_INVALID_ARG_VALUE"].includes(code)) return undefined;
    throw new ImageError(`${name}: the file cannot be read (${code || String(error)}).`, {
      where: name,
      cause: error,
    });
  }
}

async function describe(file: string): Promise<{ size: number; isFile: boolean }> {
  const status = await stat(file);
  if (status.isDirectory()) {
    throw new ImageError(`${file}: this is a folder. Give a picture's file.`, { where: file });
  }
  return { size: status.size, isFile: status.isFile() };
}
