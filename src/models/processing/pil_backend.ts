import { OptionError, ShapeError, UnsupportedError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { overWhite } from "../../image/channels.ts";
import { type CropRule, cropPil } from "../../image/crop.ts";
import type { FilterName } from "../../image/filters.ts";
import type { PixelArray, Size } from "../../image/pixels.ts";
import { premultiply, unpremultiply } from "../../image/premultiply.ts";
import { resizePil } from "../../image/resize_pil.ts";
import { roundHalfEven } from "../../tensor/dtype.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { ImageBackend } from "./image_backend.ts";
import { infer_channel_dimension_format } from "./image_inputs.ts";
import type { ChannelDimension, Resampling, ResolvedKwargs } from "./image_kwargs.ts";
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
import type { ImageFeatures, PreprocessOptions } from "./image_processing_utils.ts";
import { resizedSize, type SizeDict } from "./image_sizes.ts";

const { fround } = Math;

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

/** Image processing in the arithmetic of Pillow and NumPy, bit for bit. */
export abstract class PilBackend<
  F extends object = ImageFeatures,
  O extends PreprocessOptions = PreprocessOptions,
> extends ImageBackend<F, O> {
  protected override get cropRule(): CropRule {
    return cropPil;
  }

  get backend(): "pil" {
    return "pil";
  }

  convert_to_rgb(image: Tensor, options: { input_data_format?: ChannelDimension | null } = {}): Tensor {
    checkOptions("convert_to_rgb", options, ["input_data_format"]);
    const layout = options.input_data_format ?? infer_channel_dimension_format(image, [1, 3, 4]);
    const first = to_channel_dimension_format(image, "channels_first", layout);
    return to_channel_dimension_format(rgbPlanes(first, blender), layout, "channels_first");
  }

  /**
   * Resizes as Pillow does, in 8 bits: fractions from 0 to 1 are brought to 255 and back.
   *
   * @throws OptionError for numbers that are neither from 0 to 1 nor whole and from 0 to 255
   */
  resize(
    image: Tensor,
    size: SizeDict,
    options: { resample?: Resampling | null; reducing_gap?: number | null } = {},
  ): Tensor {
    checkOptions("resize", options, ["resample", "reducing_gap"]);
    if ((options.reducing_gap ?? null) !== null) {
      throw new UnsupportedError("resize: reducing_gap is not there; it trades exactness for speed", {
        where: "reducing_gap",
      });
    }
    const pixels = pixelsOf(image);
    const to = resizedSize(pixels.size, size);
    checkTarget("resize", pixels.size, to);
    const { bytes, fractions } = toBytes(pixels.data);
    const resized = resizeBytes(bytes, pixels, to, FILTERS[options.resample ?? BILINEAR]);
    const out = pixelTensor(image, resized, to);
    return fractions ? this.rescale(out, 1 / 255) : out;
  }

  /** x * scale, in float32. */
  rescale(image: Tensor, scale: number): Tensor {
    return mapChannels(
      image,
      perImage(image, (x) => fround(x * scale)),
      Float32Array,
    );
  }

  /** (x - mean) / std, in the image's own float type, or float32. */
  normalize(image: Tensor, mean: number | readonly number[], std: number | readonly number[]): Tensor {
    const { channels } = pixelsOf(image);
    if (image.dtype !== "float64") {
      return mapChannels(image, normalizers(channels, mean, std, fround), Float32Array);
    }
    return mapChannels(
      image,
      normalizers(channels, mean, std, (x) => x),
      Float64Array,
    );
  }

  protected override scale(image: Tensor, kwargs: ResolvedKwargs): Tensor {
    const { rescale_factor, image_mean, image_std } = kwargs;
    const rescale = kwargs.do_rescale && rescale_factor !== null ? rescale_factor : undefined;
    if (!kwargs.do_normalize || image_mean === null || image_std === null) {
      return rescale === undefined ? image : this.rescale(image, rescale);
    }
    if (rescale === undefined) return this.normalize(image, image_mean, image_std);
    // Both steps value by value: what is in between is rounded to float32 just as when it is stored.
    const normalize = normalizers(pixelsOf(image).channels, image_mean, image_std, fround);
    return mapChannels(
      image,
      normalize.map((f) => (x) => f(fround(x * rescale))),
      Float32Array,
    );
  }
}

function perImage(image: Tensor, f: (x: number) => number): ((x: number) => number)[] {
  return Array.from({ length: pixelsOf(image).channels }, () => f);
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

/** A colour over white. Fractions are over 1, whole numbers over 255. */
function blender(data: PixelArray): Blend {
  if (data instanceof Uint8Array) return overWhite;
  if (!isFloat(data))
    return (colour, alpha) => roundHalfEven((alpha / 255) * colour + (1 - alpha / 255) * 255);
  if (!data.every((x) => x >= 0 && x <= 1)) {
    throw new OptionError("images: fractions with alpha must be from 0 to 1", { where: "images" });
  }
  const round = data instanceof Float64Array ? (x: number) => x : fround;
  return (colour, alpha) => round(round(alpha * colour) + round(1 - alpha));
}
