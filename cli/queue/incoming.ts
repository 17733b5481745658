import { isAbsolute, relative, resolve } from "node:path";
import { DEFAULT_LIMITS } from "../../server/limits.ts";
import { RemotePictures } from "../../server/remote_pictures.ts";
import { ImageError, load_image, type RawImage } from "../../src/index.ts";
import type { QueuedImage } from "./job.ts";

/** What a worker may read for others. */
export interface Allowed {
  /** Folders whose files may be read. */
  folders: readonly string[];
  /** Hosts that pictures may be fetched from. */
  hosts: readonly string[];
}

/** Reads the pictures of questions from the queue. Whoever can write there can name any path and address. */
export class IncomingPictures {
  readonly #folders: readonly string[];
  readonly #mayFetch: boolean;
  readonly #remote: RemotePictures;

  constructor({ folders, hosts }: Allowed) {
    this.#folders = folders.map((folder) => resolve(folder));
    this.#mayFetch = hosts.length > 0;
    this.#remote = new RemotePictures(hosts);
  }

  async load(image: QueuedImage, signal: AbortSignal): Promise<RawImage> {
    if ("base64" in image) return loadNamed(Buffer.from(image.base64, "base64"), image.name, signal);
    if ("path" in image) return load_image(this.#allowedPath(image.path), { signal });
    if (/^data:/i.test(image.uri)) return load_image(image.uri, { signal });
    return loadNamed(await this.#fetch(image.uri, signal), image.uri, signal);
  }

  async #fetch(uri: string, signal: AbortSignal): Promise<Uint8Array> {
    const fail = (why: string, cause?: unknown): ImageError =>
      new ImageError(`${uri}: ${why}`, { where: uri, cause });
    if (!this.#mayFetch) throw fail("this worker may not fetch it (--allow-image-host).");
    try {
      return await this.#remote.read(uri, "picture", DEFAULT_LIMITS.pictureBytes, signal);
    } catch (error) {
      throw fail(error instanceof Error ? error.message : String(error), error);
    }
  }

  #allowedPath(path: string): string {
    const inside = this.#folders.some((folder) => {
      const way = relative(folder, resolve(path));
      return way !== "" && !/^\.\.(\/|$)/.test(way) && !isAbsolute(way);
    });
    if (isAbsolute(path) && inside) return path;
    throw new ImageError(`${path}: this worker may not read it (--allow-folder).`, { where: path });
  }
}

async function loadNamed(bytes: Uint8Array, name: string, signal: AbortSignal): Promise<RawImage> {
  try {
    return await load_image(bytes, { signal });
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    throw new ImageError(error.message.replace(/^bytes/, name), { where: name, cause: error });
  }
}

/** Whether another try, perhaps by another worker, may succeed where this picture could not be read. */
export function mayComeLater(image: QueuedImage): boolean {
  return "path" in image || ("uri" in image && !/^data:/i.test(image.uri));
}
