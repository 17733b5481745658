import { OptionError, ShapeError, UnsupportedError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { type CropRule, cropTorchvision } from "../../image/crop.ts";
import type { PixelArray } from "../../image/pixels.ts";
import { resizeTorchvision, type TorchvisionMode } from "../../image/resize_torchvision.ts";
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
  pixelsOf,
  pixelTensor,
  rgbPlanes,
  to_channel_dimension_format,
} from "./image_pixels.ts";
import type { ImageFeatures, PreprocessOptions } from "./image_signatures.ts";
import { resizedSize, type SizeDict } from "./image_sizes.ts";

const { fround } = Math;

type ChannelValues = number | readonly number[];

/** By Pillow's codes; torchvision has no others. */
const MODES: Readonly<Partial<Record<Resampling, TorchvisionMode>>> = {
  0: "nearest-exact",
  1: "lanczos",
  2: "bilinear",
  3: "bicubic",
};
const BILINEAR = 2;

/** Image processing in the arithmetic of torchvision on the CPU, bit for bit where pictures have 8 bits. */
export abstract class TorchvisionBackend<
  F extends object = ImageFeatures,
  O extends PreprocessOptions = PreprocessOptions,
> extends ImageBackend<F, O> {
  protected override get cropRule(): CropRule {
    return cropTorchvision;
  }

  get backend(): "torchvision" {
    return "torchvision";
  }

  convert_to_rgb(image: Tensor, options: { input_data_format?: ChannelDimension | null } = {}): Tensor {
    checkOptions("convert_to_rgb", options, ["input_data_format"]);
    const layout = options.input_data_format ?? infer_channel_dimension_format(image, [1, 3, 4]);
    const first = to_channel_dimension_format(image, "channels_first", layout);
    if (first.shape[0] === 2) {
      throw new ShapeError("A picture of 2 channels cannot be made RGB", { expected: "1, 3 or 4", got: 2 });
    }
    return to_channel_dimension_format(rgbPlanes(first, blender), layout, "channels_first");
  }

  /** Resizes with antialiasing, in the element type of `image`. */
  resize(
    image: Tensor,
    size: SizeDict,
    options: { resample?: Resampling | null; antialias?: true } = {},
  ): Tensor {
    checkOptions("resize", options, ["resample", "antialias"]);
    const mode = MODES[options.resample ?? BILINEAR];
    if (mode === undefined || (options.antialias ?? true) !== true) {
      const what = mode === undefined ? `resample ${options.resample}` : "antialias: false";
      throw new UnsupportedError(
        `resize: ${what} is not there with torchvision's arithmetic. The Pil classes have all of Pillow's filters.`,
        { where: mode === undefined ? "resample" : "antialias", got: options.resample },
      );
    }
    const { data, planes, size: from } = pixelsOf(image);
    const to = resizedSize(from, size);
    checkTarget("resize", from, to);
    return pixelTensor(image, resizeTorchvision(data, planes, from, to, mode), to);
  }

  /** x * scale, in float32, or float64 for float64. */
  rescale(image: Tensor, scale: number): Tensor {
    const double = image.dtype === "float64";
    const factor = double ? scale : fround(scale);
    const functions = Array.from(
      { length: pixelsOf(image).channels },
      () => (x: number) => fround(x) * factor,
    );
    const doubles = functions.map(() => (x: number) => x * factor);
    return double ? mapChannels(image, doubles, Float64Array) : mapChannels(image, functions, Float32Array);
  }

  /**
   * (x - mean) / std.
   *
   * @throws OptionError for images of whole numbers
   */
  normalize(image: Tensor, mean: ChannelValues, std: ChannelValues): Tensor {
    const { data, channels } = pixelsOf(image);
    if (!isFloat(data)) {
      throw new OptionError(`normalize: the image must have floating-point numbers, not ${image.dtype}`, {
        where: "image",
        got: image.dtype,
      });
    }
    const [means, deviations] = [single(mean), single(std)];
    if (data instanceof Float32Array) {
      return mapChannels(image, normalizers(channels, means, deviations, fround), Float32Array);
    }
    return mapChannels(
      image,
      normalizers(channels, means, deviations, (x) => x),
      Float64Array,
    );
  }

  /** Both steps at once where both are wanted: the mean and std are brought to the scale of the pixels. */
  rescale_and_normalize(
    images: Tensor,
    do_rescale: boolean | null,
    rescale_factor: number | null,
    do_normalize: boolean | null,
    image_mean: ChannelValues | null,
    image_std: ChannelValues | null,
  ): Tensor {
    if (!do_normalize || image_mean === null || image_std === null) {
      return do_rescale && rescale_factor !== null ? this.rescale(images, rescale_factor) : images;
    }
    const up = do_rescale && rescale_factor !== null ? fround(1 / rescale_factor) : 1;
    if (!Number.isFinite(up)) {
      throw new OptionError("rescale_factor must not be 0", { where: "rescale_factor", got: rescale_factor });
    }
    const scaled = (values: ChannelValues): ChannelValues =>
      typeof values === "number"
        ? fround(fround(values) * up)
        : values.map((value) => fround(fround(value) * up));
    const { channels } = pixelsOf(images);
    return mapChannels(
      images,
      normalizers(channels, scaled(single(image_mean)), scaled(single(image_std)), fround),
      Float32Array,
    );
  }

  protected override scale(image: Tensor, kwargs: ResolvedKwargs): Tensor {
    const { do_rescale, rescale_factor, do_normalize, image_mean, image_std } = kwargs;
    return this.rescale_and_normalize(image, do_rescale, rescale_factor, do_normalize, image_mean, image_std);
  }
}

/** torch spreads a list of one over all channels. */
function single(values: ChannelValues): ChannelValues {
  return typeof values !== "number" && values.length === 1 ? values[0] : values;
}

/** A colour over white, in float32. Bytes go to fractions of 1 and back the way `to_dtype` takes them. */
function blender(data: PixelArray): Blend {
  const blend = (colour: number, alpha: number) => fround(fround(colour * alpha) + fround(1 - alpha));
  if (data instanceof Uint8Array) {
    const step = fround(1 / 255);
    const top = fround(255.999);
    return (colour, alpha) => Math.trunc(fround(blend(fround(colour * step), fround(alpha * step)) * top));
  }
  if (!isFloat(data)) {
    throw new UnsupportedError("Whole numbers other than uint8 with alpha cannot be made RGB. Give uint8.");
  }
  if (!data.every((x) => x >= 0 && x <= 1)) {
    throw new OptionError("images: fractions with alpha must be from 0 to 1", { where: "images" });
  }
  return (colour, alpha) => blend(fround(colour), fround(alpha));
}
