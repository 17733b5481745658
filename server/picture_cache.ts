import { createHash } from "node:crypto";
import { RawImage } from "../src/index.ts";
import type { Loaded } from "./model_pool.ts";

/** Pictures that are kept, and bytes of their pixels. */
const MOST_PICTURES = 64;
const MOST_BYTES = 128 * 2 ** 20;

/** Keeps pictures that were read lately: equal files are one object. */
export class PictureCache {
  /** Least recently used first, by the content of the file. */
  readonly #pictures = new Map<string, RawImage>();
  #bytes = 0;

  /** @param decode called where the file is not among those that are kept */
  async read(file: Uint8Array, decode: () => Promise<RawImage>): Promise<RawImage> {
    const key = createHash("sha256").update(file).digest("base64");
    const picture = this.#pictures.get(key) ?? (await decode());
    if (this.#pictures.delete(key)) this.#bytes -= picture.data.byteLength;
    this.#pictures.set(key, picture);
    this.#bytes += picture.data.byteLength;
    for (const [oldest, { data }] of this.#pictures) {
      if (this.#pictures.size <= MOST_PICTURES && this.#bytes <= MOST_BYTES) break;
      this.#pictures.delete(oldest);
      this.#bytes -= data.byteLength;
    }
    return picture;
  }
}

/**
 * Makes a processor prepare a picture once for as long as it is kept. To resize one takes longer than a step of a small
 * model, and all requests wait meanwhile.
 */
export function prepareOnce({ image_processor }: Loaded["processor"]): void {
  type Arguments = Parameters<typeof image_processor.preprocess>;
  const original = image_processor.preprocess.bind(image_processor);
  const prepare = (...[images, options]: Arguments): Promise<unknown> => original(images, options);
  const prepared = new WeakMap<RawImage, Map<string, Promise<unknown>>>();
  const remembering = (...[images, options]: Arguments): Promise<unknown> => {
    const [picture, ...others] = [images].flat(2);
    if (!(picture instanceof RawImage) || others.length > 0) return prepare(images, options);
    const known = prepared.get(picture) ?? new Map<string, Promise<unknown>>();
    prepared.set(picture, known);
    const key = JSON.stringify(options ?? {});
    const features = known.get(key) ?? prepare(images, options);
    known.set(key, features);
    features.catch(() => known.delete(key));
    return features;
  };
  Object.defineProperty(image_processor, "preprocess", { value: remembering });
}
