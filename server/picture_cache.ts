import { createHash } from "node:crypto";
import type { RawImage } from "../src/index.ts";

/** Pictures that are kept, and bytes of their pixels. */
const MOST_PICTURES = 64;
const MOST_BYTES = 128 * 2 ** 20;

/** Keeps pictures that were read lately: equal files are one object. */
export class PictureCache {
  /** Least recently used first, by the content of the file, or of the address that holds it. */
  readonly #pictures = new Map<string, RawImage>();
  /** Those that are being read. */
  readonly #reading = new Map<string, Promise<RawImage>>();
  #bytes = 0;

  /**
   * @param file its bytes, or the data URI
   * @param decode called where the file is not among those that are kept. Others may wait for the same picture
   */
  async read(file: Uint8Array | string, decode: () => Promise<RawImage>): Promise<RawImage> {
    const key = createHash("sha256").update(file).digest("base64");
    const picture = this.#pictures.get(key) ?? (await this.#decoded(key, decode));
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

  #decoded(key: string, decode: () => Promise<RawImage>): Promise<RawImage> {
    const known = this.#reading.get(key);
    // Where that fails, each is told of its own failure.
    if (known) return known.catch(() => decode());
    const reading = decode().finally(() => this.#reading.delete(key));
    this.#reading.set(key, reading);
    return reading;
  }
}
