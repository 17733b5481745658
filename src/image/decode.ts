import { ImageError } from "../base/errors.ts";
import { decodeBmp } from "./bmp.ts";
import { type DecodeOptions, damaged } from "./decode_checks.ts";
import { decodePlatform } from "./decode_node.ts";
import { decodeGif } from "./gif.ts";
import { RawImage } from "./raw_image.ts";
import { sniff } from "./sniff.ts";
import { transparentInPng } from "./transparent_colour.ts";

/**
 * A picture's file in RGB, upright by its EXIF orientation, byte for byte as Pillow's `convert("RGB")` has it:
 * alpha is dropped (where it is one colour, that is noted down), colour profiles are ignored, of several frames or
 * pages the first is taken.
 *
 * @throws ImageError where it is of no known format, has more than `maxPixels`, or is damaged
 */
export async function decode(bytes: Uint8Array, options: DecodeOptions): Promise<RawImage> {
  const format = sniff(bytes, options.name);
  try {
    // GIF and BMP are small formats, and libvips gives other pixels for the one and cannot read the other.
    if (format === "gif") return decodeGif(bytes, options);
    if (format === "bmp") return decodeBmp(bytes, options);
    const image = await decodePlatform(bytes, format, options);
    return format === "png" ? new RawImage({ ...image, transparent: transparentInPng(bytes) }) : image;
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw damaged(options.name, error instanceof Error ? error.message : String(error), error);
  }
}
