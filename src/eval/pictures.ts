// Pictures as the original opens and pads them.

import type { Metadata } from "sharp";
import { ImageError } from "../base/errors.ts";
import { load_image } from "../image/load_image.ts";
import { orient } from "../image/orientation.ts";
import { RawImage } from "../image/raw_image.ts";
import type { Benchmark, PictureFile, Printer } from "./benchmark.ts";
import { BenchmarkError } from "./errors.ts";
import type { Preset } from "./presets.ts";

/** floor(255 * mean) of CLIP's mean colour. */
const MEAN = [122, 116, 104] as const;
/** The orientation that undoes each EXIF orientation. */
const INVERSE = [1, 1, 2, 3, 4, 5, 8, 7, 6];

export interface OpenedPicture {
  /** RGB, padded if the preset pads. */
  image: RawImage;
  /** Width and height before padding. */
  size: [number, number];
}

/**
 * Reads, decodes and pads a picture.
 *
 * @throws BenchmarkError where the original stops, ImageError where the picture cannot be decoded
 */
export async function openPicture(
  file: PictureFile,
  preset: Preset,
  { padsUnconverted }: Benchmark,
  printer: Printer,
): Promise<OpenedPicture> {
  const bytes = await file.read();
  const upright = await decode(file.name, bytes);
  // Transformers turns pictures by their EXIF orientation, the original does not look at it.
  if (!preset.pads) return { image: upright, size: [upright.width, upright.height] };
  const metadata = await readMetadata(bytes);
  const image = asStored(upright, metadata.orientation ?? 1);
  if (padsUnconverted && image.width !== image.height) checkMode(file.name, metadata, printer);
  return { image: squared(image), size: [image.width, image.height] };
}

async function decode(name: string, bytes: Uint8Array): Promise<RawImage> {
  try {
    return await load_image(bytes);
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    throw new ImageError(`${name}: ${error.message}`, { where: name, cause: error });
  }
}

async function readMetadata(bytes: Uint8Array): Promise<Partial<Metadata>> {
  const { default: sharp } = await import("sharp");
  return sharp(bytes)
    .metadata()
    .catch(() => ({}));
}

/** The picture as its file has it, without its EXIF orientation. */
function asStored(image: RawImage, orientation: number): RawImage {
  const back = INVERSE[orientation] ?? 1;
  return new RawImage({ ...orient(image.data, image.width, image.height, 3, back), channels: 3 });
}

/**
 * ScienceQA and MMBench pad before they convert to RGB: that fails for pictures of one channel, and spoils the colours
 * of those with a palette.
 */
function checkMode(name: string, { space, isPalette }: Partial<Metadata>, printer: Printer): void {
  if (isPalette) {
    printer.warn(
      `${name} has a palette and is not square: the original spoils its colours here, this does not`,
    );
  } else if (space === "b-w" || space === "grey16") {
    throw new BenchmarkError(`${name}: a grey picture that is not square cannot be padded with a colour.`, {
      where: name,
      item: name,
    });
  }
}

/** The picture in the middle of a square of the mean colour. */
export function squared(image: RawImage): RawImage {
  const { width, height, data } = image;
  if (width === height) return image;
  const side = Math.max(width, height);
  const left = Math.floor((side - width) / 2);
  const top = Math.floor((side - height) / 2);
  const square = new Uint8Array(side * side * 3);
  for (let i = 0; i < square.length; i++) square[i] = MEAN[i % 3];
  for (let y = 0; y < height; y++) {
    square.set(data.subarray(y * width * 3, (y + 1) * width * 3), ((top + y) * side + left) * 3);
  }
  return new RawImage({ width: side, height: side, channels: 3, data: square });
}
