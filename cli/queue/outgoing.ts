import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { load_image } from "../../src/index.ts";
import { locate } from "../batch/question.ts";
import type { QueuedImage } from "./job.ts";

/** A picture's file up to this size travels with its question; a larger one is named by its path. */
const INLINE_BYTES = 8 * 2 ** 20;

/**
 * Makes pictures fit to travel: files as bytes, addresses as they are.
 *
 * @throws where a file cannot be read
 */
export async function packImages(
  sources: readonly string[],
  folder: string | undefined,
): Promise<{ images: QueuedImage[]; bytes: number }> {
  const images = await Promise.all(sources.map((source) => packImage(source, folder)));
  return { images, bytes: JSON.stringify(images).length };
}

async function packImage(source: string, folder: string | undefined): Promise<QueuedImage> {
  if (/^(https?|data):/i.test(source)) return { uri: source };
  const found = /^file:/i.test(source) ? fileURLToPath(source) : await locate(source, folder);
  const size = await sizeOf(found);
  if (size === undefined) {
    // Base64, or what load_image says is wrong with it.
    await load_image(source);
    return { base64: source, name: "base64" };
  }
  if (size > INLINE_BYTES) return { path: resolve(found) };
  return { base64: (await readFile(found)).toString("base64"), name: found };
}

/** Undefined where it is no file. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch {
    return undefined;
  }
}
