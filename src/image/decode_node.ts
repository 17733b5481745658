import type Sharp from "sharp";
import { ImageError } from "../base/errors.ts";
import { orient } from "./orientation.ts";
import { RawImage } from "./raw_image.ts";
import type { Format } from "./sniff.ts";

/** How a picture is decoded. */
export interface DecodeOptions {
  /** What to call the picture in an error. */
  readonly name: string;
  readonly maxPixels: number;
}

/**
 * Decodes with sharp, upright, to the bytes that Pillow's `convert("RGB")` gives: colour profiles are ignored,
 * alpha is dropped.
 */
export async function decodePlatform(
  bytes: Uint8Array,
  _format: Format,
  { name, maxPixels }: DecodeOptions,
): Promise<RawImage> {
  const sharp = await loadSharp();
  const open = () => sharp(bytes, { ignoreIcc: true, failOn: "error", limitInputPixels: false });
  try {
    const { width, height, orientation } = await open().metadata();
    checkPixels(name, width, height, maxPixels);
    const pixels = await open().toColourspace("srgb").removeAlpha().raw().toBuffer();
    const turned = orient(pixels, width, height, 3, orientation ?? 1);
    return new RawImage({ ...turned, channels: 3 });
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw damaged(name, error);
  }
}

async function loadSharp(): Promise<typeof Sharp> {
  try {
    return (await import("sharp")).default;
  } catch (error) {
    throw new ImageError("The package sharp, which decodes pictures, cannot be loaded. Install it again.", {
      cause: error,
    });
  }
}

function checkPixels(name: string, width: number, height: number, maxPixels: number): void {
  if (width * height <= maxPixels) return;
  throw new ImageError(
    `${name}: the picture has ${width} x ${height} pixels, more than the limit of ${maxPixels}. Make it smaller first.`,
    { where: name, expected: maxPixels, got: width * height },
  );
}

function damaged(name: string, cause: unknown): ImageError {
  const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
  return new ImageError(`${name}: the picture is damaged or cut off (${reason}).`, { where: name, cause });
}
