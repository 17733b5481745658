import type { Metadata, Sharp, default as SharpFactory } from "sharp";
import { ImageError } from "../base/errors.ts";
import { checkPixels, type DecodeOptions } from "./decode_checks.ts";
import { orient, orientationInXmp } from "./orientation.ts";
import { RawImage } from "./raw_image.ts";
import type { Format } from "./sniff.ts";
import { checkTiff } from "./tiff.ts";

/** Decodes with sharp. */
export async function decodePlatform(
  bytes: Uint8Array,
  format: Format,
  options: DecodeOptions,
): Promise<RawImage> {
  const sharp = await loadSharp();
  const open = (): Sharp =>
    sharp(bytes, { ignoreIcc: true, failOn: "error", limitInputPixels: options.maxPixels });
  const metadata = await sharp(bytes, { limitInputPixels: false }).metadata();
  const { width, height } = metadata;
  if (format === "tiff") checkTiff(bytes, options.name);
  checkPixels(options, width, height);
  const rgb = await decodeAs(metadata, format, bytes, open());
  const hasXmp = format === "png" || format === "jpeg" || format === "webp";
  const orientation = metadata.orientation ?? (hasXmp ? orientationInXmp(metadata.xmp) : 1);
  return new RawImage({ ...orient(rgb, width, height, 3, orientation), channels: 3 });
}

async function loadSharp(): Promise<typeof SharpFactory> {
  try {
    return (await import("sharp")).default;
  } catch (error) {
    throw new ImageError(
      "The package sharp, which decodes pictures, cannot be loaded. Install it for this machine: npm install sharp.",
      { cause: error },
    );
  }
}

function decodeAs(
  { space, channels }: Metadata,
  format: Format,
  bytes: Uint8Array,
  image: Sharp,
): Promise<Uint8Array> {
  if (space === "cmyk") return decodeCmyk(image);
  // What PNG calls grey may have a transparent level; libvips makes an alpha channel of it, Pillow does not.
  const isGrey = channels === 1 || (format === "png" && bytes[PNG_COLOUR_TYPE] === PNG_GREY);
  return space === "grey16" && isGrey ? decodeGrey16(image) : decodeRgb(image);
}

/** Where a PNG file says what its channels are. */
const PNG_COLOUR_TYPE = 25;
const PNG_GREY = 0;

async function decodeRgb(image: Sharp): Promise<Uint8Array> {
  return plain(await image.toColourspace("srgb").removeAlpha().raw().toBuffer());
}

/** Pillow's own simple conversion, which no colour management has a part in. */
async function decodeCmyk(image: Sharp): Promise<Uint8Array> {
  const cmyk = await image.pipelineColourspace("cmyk").toColourspace("cmyk").raw().toBuffer();
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let from = 0, to = 0; from < cmyk.length; from += 4) {
    const light = 255 - cmyk[from + 3];
    for (let channel = 0; channel < 3; channel++) {
      const product = cmyk[from + channel] * light + 128;
      rgb[to++] = Math.max(0, light - (((product >> 8) + product) >> 8));
    }
  }
  return rgb;
}

/** Pillow clips 16-bit grey instead of scaling it. */
async function decodeGrey16(image: Sharp): Promise<Uint8Array> {
  const buffer = await image.removeAlpha().toColourspace("grey16").raw({ depth: "ushort" }).toBuffer();
  const grey = new Uint16Array(plain(buffer).buffer);
  const rgb = new Uint8Array(grey.length * 3);
  for (let i = 0; i < grey.length; i++) rgb.fill(Math.min(255, grey[i]), i * 3, i * 3 + 3);
  return rgb;
}

/** The bytes of a Buffer, with memory of their own. */
function plain(buffer: Buffer): Uint8Array {
  const whole = buffer.byteOffset === 0 && buffer.byteLength === buffer.buffer.byteLength;
  return whole ? new Uint8Array(buffer.buffer) : Uint8Array.from(buffer);
}
