import { ImageError, OptionError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { decode } from "./decode.ts";
import { fetchBytes } from "./fetch_bytes.ts";
import { MAX_BYTES, MAX_PIXELS, TIMEOUT } from "./limits.ts";
import { looksLikeRawImage, RawImage, type RawImageData } from "./raw_image.ts";
import { readPath } from "./read_path_node.ts";
import { formatOf } from "./sniff.ts";

/**
 * Where a picture can come from: a path, a file or web address, a data URI, base64, a file's bytes, or a picture
 * that is decoded already.
 */
export type ImageSource = string | URL | Uint8Array | ArrayBuffer | Blob | RawImageData;

export interface LoadImageOptions {
  /** Longest wait for the network, in seconds. */
  timeout?: number | null;
  signal?: AbortSignal;
  /** Most bytes the file may have. */
  maxBytes?: number;
  /** Most pixels the picture may have: checked before any is decoded. */
  maxPixels?: number;
  /** What fetches web addresses. */
  fetch?: typeof fetch;
}

const OPTIONS = ["timeout", "signal", "maxBytes", "maxPixels", "fetch"];

/**
 * Loads a picture as Transformers' `load_image` does: upright by its EXIF orientation, in RGB, without alpha.
 *
 * @throws ImageError naming the source and what to do, where it cannot be found, read or decoded, or is too large
 */
export async function load_image(image: ImageSource, options: LoadImageOptions = {}): Promise<RawImage> {
  checkLoadOptions(options);
  if (looksLikeRawImage(image)) return withoutAlpha(new RawImage(image));
  const { name, bytes } = await read(image, options);
  options.signal?.throwIfAborted();
  return decode(bytes, { name, maxPixels: options.maxPixels ?? MAX_PIXELS });
}

/** Longest text that may be a path and no base64. */
const LONGEST_PATH = 256;

function checkLoadOptions(options: LoadImageOptions): void {
  checkOptions("load_image", options, OPTIONS);
  for (const name of ["timeout", "maxBytes", "maxPixels"] as const) {
    const value = options[name] ?? 1;
    if (typeof value === "number" && value > 0) continue;
    throw new OptionError(`load_image: ${name} must be a number above 0, got ${String(value)}`, {
      where: name,
      expected: "a number above 0",
      got: value,
    });
  }
}

interface Named {
  /** What to call the picture in an error. */
  name: string;
  bytes: Uint8Array;
}

async function read(image: Exclude<ImageSource, RawImageData>, options: LoadImageOptions): Promise<Named> {
  const maxBytes = options.maxBytes ?? MAX_BYTES;
  if (typeof image === "string" || image instanceof URL) return readNamed(image, maxBytes, options);
  const name = image instanceof Blob ? "Blob" : "bytes";
  const size =
    image instanceof Blob
      ? image.size
      : image instanceof Uint8Array || image instanceof ArrayBuffer
        ? image.byteLength
        : -1;
  if (size < 0) {
    throw new OptionError(
      `load_image: expected a path, an address, base64, bytes, a Blob or a RawImage, got ${typeof image}`,
      { got: typeof image },
    );
  }
  if (size > maxBytes) throw tooLarge(name, size, maxBytes);
  if (image instanceof Blob) return { name, bytes: new Uint8Array(await image.arrayBuffer()) };
  return { name, bytes: image instanceof Uint8Array ? image : new Uint8Array(image) };
}

async function readNamed(image: string | URL, maxBytes: number, options: LoadImageOptions): Promise<Named> {
  const text = String(image);
  if (/^https?:\/\//i.test(text)) {
    const timeout = options.timeout ?? TIMEOUT;
    return { name: text, bytes: await fetchBytes(text, { ...options, maxBytes, timeout }) };
  }
  if (/^data:/i.test(text)) return { name: "data URI", bytes: fromDataUri(text, maxBytes) };
  const path = /^file:\/\//i.test(text) ? new URL(text) : text;
  const bytes = await readPath(path, maxBytes, options.signal);
  if (bytes !== undefined) return { name: text, bytes };
  const decoded = typeof path === "string" ? fromBase64(path, maxBytes) : undefined;
  // "pictures/cat" is base64 too: what is short must hold a picture to count as such.
  const isPath = decoded === undefined || (text.length < LONGEST_PATH && formatOf(decoded) === undefined);
  if (!isPath) return { name: "base64", bytes: decoded };
  throw new ImageError(
    `${shorten(text)}: there is no such file. Give a picture's path, http(s) address, data URI or base64.`,
    { where: shorten(text) },
  );
}

function fromDataUri(uri: string, maxBytes: number): Uint8Array {
  const comma = uri.indexOf(",");
  const header = uri.slice(0, comma === -1 ? 0 : comma);
  const bytes = /;base64$/i.test(header.trim()) ? fromBase64(uri.slice(comma + 1), maxBytes) : undefined;
  if (bytes !== undefined) return bytes;
  throw new ImageError(`${shorten(uri)}: expected data:image/...;base64, and base64 after it.`, {
    where: "data URI",
  });
}

/** The bytes, or undefined where the text is no base64. */
function fromBase64(text: string, maxBytes: number): Uint8Array | undefined {
  if (text.length < 4 || /[^A-Za-z0-9+/=\s]/.test(text)) return undefined;
  const size = Math.floor((text.length * 3) / 4);
  if (size > maxBytes) throw tooLarge("base64", size, maxBytes);
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    return undefined;
  }
}

function tooLarge(name: string, size: number, maxBytes: number): ImageError {
  return new ImageError(`${name}: the picture has ${size} bytes, more than the limit of ${maxBytes}.`, {
    where: name,
    expected: maxBytes,
    got: size,
  });
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 60)}... (${text.length} characters)`;
}

/** What Pillow's `convert("RGB")` makes of a picture with alpha: its colours, as they are. */
function withoutAlpha(image: RawImage): RawImage {
  const { width, height, channels, data } = image;
  if (channels === 3) return image;
  const rgb = new Uint8Array(width * height * 3);
  const colours = channels > 2 ? 3 : 1;
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = data[i * channels + (c % colours)];
  }
  return new RawImage({ width, height, channels: 3, data: rgb });
}
