import { OptionError, ShapeError, UnsupportedError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { overWhite, toPlanes, toRgb } from "../../image/channels.ts";
import { centerCrop, cropPil } from "../../image/crop.ts";
import type { FilterName } from "../../image/filters.ts";
import type { PixelArray, Size } from "../../image/pixels.ts";
import { premultiply, unpremultiply } from "../../image/premultiply.ts";
import { looksLikeRawImage, RawImage, type RawImageData } from "../../image/raw_image.ts";
import { resizePil } from "../../image/resize_pil.ts";
import { roundHalfEven } from "../../tensor/dtype.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { infer_channel_dimension_format } from "./image_inputs.ts";
import type { ChannelDimension, Resampling } from "./image_kwargs.ts";
import {
  type Blend,
  checkTarget,
  isFloat,
  mapChannels,
  normalizers,
  type Pixels,
  pixelsOf,
  pixelTensor,
  rgbPlanes,
  to_channel_dimension_format,
} from "./image_pixels.ts";

const { fround } = Math;

/** Where the channels of an array are, and where those of the result shall be: the same where not given. */
export interface Layouts {
  data_format?: ChannelDimension | null;
  input_data_format?: ChannelDimension | null;
}

const LAYOUTS = ["data_format", "input_data_format"];

/** By Pillow's codes. */
const FILTERS: readonly (FilterName | "nearest")[] = [
  "nearest",
  "lanczos",
  "bilinear",
  "bicubic",
  "box",
  "hamming",
];
const BILINEAR = 2;

/** Does something to an array as [..., C, H, W], whatever its layout is. */
export function inPlanes(image: Tensor, layouts: Layouts, change: (image: Tensor) => Tensor): Tensor {
  const layout = layouts.input_data_format ?? infer_channel_dimension_format(image);
  const changed = change(to_channel_dimension_format(image, "channels_first", layout));
  return to_channel_dimension_format(changed, layouts.data_format ?? layout, "channels_first");
}

/** x * scale, computed in float64 and kept in float32, or float64 where `dtype` says so. */
export function rescale(
  image: Tensor,
  scale: number,
  options: Layouts & { dtype?: "float32" | "float64" } = {},
): Tensor {
  checkOptions("rescale", options, [...LAYOUTS, "dtype"]);
  const multiply = (value: number): number => value * scale;
  return inPlanes(image, options, (planes) => {
    const functions = Array.from({ length: pixelsOf(planes).channels }, () => multiply);
    return options.dtype === "float64"
      ? mapChannels(planes, functions, Float64Array)
      : mapChannels(planes, functions, Float32Array);
  });
}

/**
 * (x - mean) / std, in the image's own float type, or float32 for whole numbers.
 *
 * @throws OptionError where a list has not as many values as there are channels
 */
export function normalize(
  image: Tensor,
  mean: number | readonly number[],
  std: number | readonly number[],
  options: Layouts = {},
): Tensor {
  checkOptions("normalize", options, LAYOUTS);
  return inPlanes(image, options, (planes) => {
    const { channels } = pixelsOf(planes);
    return planes.dtype === "float64"
      ? mapChannels(
          planes,
          normalizers(channels, mean, std, (x) => x),
          Float64Array,
        )
      : mapChannels(planes, normalizers(channels, mean, std, fround), Float32Array);
  });
}

/** Cuts `size` out of the middle; what the picture lacks is 0. */
export function center_crop(image: Tensor, size: Size, options: Layouts = {}): Tensor {
  checkOptions("center_crop", options, LAYOUTS);
  return inPlanes(image, options, (first) => {
    const { data, planes, size: from } = pixelsOf(first);
    checkTarget("center_crop", from, size);
    return pixelTensor(first, centerCrop(data, planes, from, size, cropPil), size);
  });
}

export interface ResizeOptions extends Layouts {
  /** 2, bilinear, where it is null. */
  resample?: Resampling | null;
  /** Not there: it trades exactness for speed. */
  reducing_gap?: null;
}

/**
 * Resizes as Pillow does, in 8 bits: fractions from 0 to 1 are brought to 255 and back.
 *
 * @throws OptionError for numbers that are neither from 0 to 1 nor whole and from 0 to 255
 */
export function resize(image: Tensor, size: Size, options: ResizeOptions = {}): Tensor {
  checkOptions("resize", options, [...LAYOUTS, "resample", "reducing_gap"]);
  if ((options.reducing_gap ?? null) !== null) {
    throw new UnsupportedError("resize: reducing_gap is not there; it trades exactness for speed", {
      where: "reducing_gap",
    });
  }
  const filter = FILTERS[options.resample ?? BILINEAR];
  return inPlanes(image, options, (first) => {
    const pixels = pixelsOf(first);
    checkTarget("resize", pixels.size, size);
    const { bytes, fractions } = toBytes(pixels.data);
    const resized = pixelTensor(first, resizeBytes(bytes, pixels, size, filter), size);
    return fractions ? rescale(resized, 1 / 255, { input_data_format: "channels_first" }) : resized;
  });
}

function resizeBytes(
  bytes: Uint8Array,
  { planes, channels, size }: Pixels,
  to: Size,
  filter: FilterName | "nearest",
): Uint8Array {
  if (size[0] === to[0] && size[1] === to[1]) return bytes;
  if (channels > 4) {
    throw new ShapeError(`Pillow has pictures of 1 to 4 channels, not of ${channels}`, { got: channels });
  }
  const alpha = channels % 2 === 0 && filter !== "nearest";
  const source = alpha ? premultiply(bytes, channels, planes) : bytes;
  const resized = resizePil(source, planes, size, to, filter);
  return alpha ? unpremultiply(resized, channels, planes) : resized;
}

/** The values as Pillow's bytes, and whether they were fractions of 255. */
function toBytes(data: PixelArray): { bytes: Uint8Array; fractions: boolean } {
  if (data instanceof Uint8Array) return { bytes: data, fractions: false };
  const fractions = !data.every(isNearlyWhole);
  const limit = fractions ? 1 : 255;
  if (!data.every((x) => x >= 0 && x <= limit)) {
    throw new OptionError(
      `resize: the values must be whole and from 0 to 255, or from 0 to 1; some are ${fractions ? "neither" : "outside"}`,
      { where: "images", expected: `0 to ${limit}` },
    );
  }
  const bytes = Uint8Array.from(data, (x) => (fractions ? fround(x * 255) : x));
  return { bytes, fractions };
}

/** NumPy's `allclose` between a number and its whole part. */
function isNearlyWhole(x: number): boolean {
  const whole = Math.trunc(x);
  return Math.abs(x - whole) <= 1e-8 + 1e-5 * Math.abs(whole);
}

/** Grey to RGB, and what is transparent onto white. Others stay. A RawImage gives [height, width, 3]. */
export function convert_to_rgb(
  image: Tensor | RawImageData,
  options: Pick<Layouts, "input_data_format"> = {},
): Tensor {
  checkOptions("convert_to_rgb", options, ["input_data_format"]);
  if (looksLikeRawImage(image)) return to_numpy_array(new RawImage(toRgb(new RawImage(image))));
  const input_data_format = options.input_data_format ?? infer_channel_dimension_format(image, [1, 3, 4]);
  return inPlanes(image, { input_data_format }, (planes) => rgbPlanes(planes, blender));
}

/** A colour over white, in NumPy's arithmetic. Fractions are over 1, whole numbers over 255. */
function blender(data: PixelArray): Blend {
  if (data instanceof Uint8Array) return overWhite;
  if (!isFloat(data)) {
    return (colour, alpha) => roundHalfEven((alpha / 255) * colour + (1 - alpha / 255) * 255);
  }
  if (!data.every((x) => x >= 0 && x <= 1)) {
    throw new OptionError("images: fractions with alpha must be from 0 to 1", { where: "images" });
  }
  const round = data instanceof Float64Array ? (x: number) => x : fround;
  return (colour, alpha) => round(round(alpha * colour) + round(1 - alpha));
}

/** The bytes of a picture as an array of [height, width, channels]; arrays stay. */
export function to_numpy_array(img: Tensor | RawImageData): Tensor {
  if (!looksLikeRawImage(img)) return img;
  const { width, height, channels, data } = new RawImage(img);
  return new Tensor("uint8", [height, width, channels], data);
}

/** The bytes of a picture as an array of [channels, height, width]. */
export function planesOf(image: RawImageData): Tensor {
  return new Tensor("uint8", [image.channels, image.height, image.width], toPlanes(image));
}

/**
 * An array as a picture of bytes.
 *
 * @param options do_rescale: whether the values are fractions of 255; found out by looking where it is null
 */
export function to_pil_image(
  image: Tensor | RawImageData,
  options: { do_rescale?: boolean | null; input_data_format?: ChannelDimension | null } = {},
): RawImage {
  checkOptions("to_pil_image", options, ["do_rescale", "input_data_format"]);
  if (looksLikeRawImage(image)) return new RawImage(image);
  const last = to_channel_dimension_format(image, "channels_last", options.input_data_format);
  const [height, width, channels] = last.shape;
  const { data } = pixelsOf(last);
  const { do_rescale = null } = options;
  // NumPy keeps the last eight bits of a number that is too large.
  const wrap = (x: number) => (do_rescale ? fround(x * 255) : x) & 255;
  const bytes = do_rescale === null ? toBytes(data).bytes : Uint8Array.from(data, wrap);
  return new RawImage({ width, height, channels, data: bytes });
}
