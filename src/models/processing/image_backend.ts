import { OptionError, UnsupportedError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { toRgb } from "../../image/channels.ts";
import { type CropRule, centerCrop, place } from "../../image/crop.ts";
import { type EdgeMode, padEdges, type Sides } from "../../image/pad.ts";
import type { Size } from "../../image/pixels.ts";
import { looksLikeRawImage, RawImage, type RawImageData } from "../../image/raw_image.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { infer_channel_dimension_format } from "./image_inputs.ts";
import type { ChannelDimension, Resampling, ResolvedKwargs } from "./image_kwargs.ts";
import { checkTarget, pixelsOf, pixelTensor, to_channel_dimension_format } from "./image_pixels.ts";
import { BaseImageProcessor } from "./image_processing_utils.ts";
import type { ImageFeatures, PreprocessOptions } from "./image_signatures.ts";
import type { SizeDict } from "./image_sizes.ts";
import { planesOf } from "./image_transforms.ts";
import type { Processed } from "./pack.ts";

export interface ProcessImageOptions {
  do_convert_rgb?: boolean | null;
  input_data_format?: ChannelDimension | null;
}

export interface PadOptions {
  /** { height, width } of the result; the largest picture's where it is null. */
  pad_size?: SizeDict | null;
  fill_value?: number | readonly number[] | null;
  padding_mode?: "constant" | EdgeMode | null;
  return_mask?: boolean | null;
  /** Without effect: it never changes what comes out. */
  disable_grouping?: boolean | null;
}

/** The order of the steps, which both backends share. The arithmetic of the steps is theirs. */
export abstract class ImageBackend<
  F extends object = ImageFeatures,
  O extends PreprocessOptions = PreprocessOptions,
> extends BaseImageProcessor<F, O> {
  /** Where a centre crop cuts. */
  protected abstract get cropRule(): CropRule;

  /**
   * @param options [..., C, H, W] is resized to what `size` asks for
   * @throws OptionError where `size` names none, or the picture would be too large
   */
  abstract resize(image: Tensor, size: SizeDict, options?: { resample?: Resampling | null }): Tensor;

  /** Grey to RGB, alpha onto white. */
  abstract convert_to_rgb(image: Tensor, options?: { input_data_format?: ChannelDimension | null }): Tensor;

  /** Rescales and normalises, as far as switched on. */
  protected abstract scale(image: Tensor, kwargs: ResolvedKwargs): Tensor;

  process_image(image: RawImageData | Tensor, options: ProcessImageOptions = {}): Tensor {
    if (looksLikeRawImage(image)) {
      const raw = new RawImage(image);
      return planesOf(options.do_convert_rgb ? toRgb(raw) : raw);
    }
    const grey = image.shape.length === 2;
    const array = grey ? new Tensor(image.dtype, [1, ...image.shape], image.data) : image;
    const layout = grey
      ? "channels_first"
      : (options.input_data_format ?? infer_channel_dimension_format(array, [1, 3, 4]));
    const first = to_channel_dimension_format(array, "channels_first", layout);
    return options.do_convert_rgb
      ? this.convert_to_rgb(first, { input_data_format: "channels_first" })
      : first;
  }

  /** Cuts { height, width } out of the middle; what the picture lacks is 0. */
  center_crop(image: Tensor, size: SizeDict): Tensor {
    const { height, width } = size;
    if (height === undefined || width === undefined) {
      throw new OptionError(`crop_size must have height and width, got ${JSON.stringify(size)}`, {
        where: "crop_size",
        got: size,
      });
    }
    const { data, planes, size: from } = pixelsOf(image);
    checkTarget("center_crop", from, [height, width]);
    return pixelTensor(image, centerCrop(data, planes, from, [height, width], this.cropRule), [
      height,
      width,
    ]);
  }

  /**
   * Continues pictures at their right and bottom to one size. With `return_mask`, gives masks [H, W] of what was
   * there before too.
   *
   * @throws OptionError where a picture is larger than `pad_size`
   */
  pad(images: readonly Tensor[], options: PadOptions & { return_mask: true }): [Tensor[], Tensor[]];
  pad(images: readonly Tensor[], options?: PadOptions): Tensor[];
  pad(images: readonly Tensor[], options: PadOptions = {}): Tensor[] | [Tensor[], Tensor[]] {
    checkOptions("pad", options, [
      "pad_size",
      "fill_value",
      "padding_mode",
      "return_mask",
      "disable_grouping",
    ]);
    const target = padTarget(images, options.pad_size ?? null);
    const padded = images.map((image) => padTo(image, target, options));
    if (!options.return_mask) return padded;
    return [padded, images.map((image) => maskOf(pixelsOf(image).size, target))];
  }

  protected override transform(image: Tensor, kwargs: ResolvedKwargs): Tensor {
    let out = image;
    if (kwargs.do_resize && kwargs.size) out = this.resizeTo(out, kwargs.size, kwargs);
    if (kwargs.do_center_crop && kwargs.crop_size) out = this.center_crop(out, kwargs.crop_size);
    return this.scale(out, kwargs);
  }

  /** A picture in the size that a call asks for. */
  protected resizeTo(image: Tensor, size: SizeDict, { resample }: ResolvedKwargs): Tensor {
    return this.resize(image, size, { resample });
  }

  protected override collate(images: Tensor[], kwargs: ResolvedKwargs): Processed {
    return { pixel_values: kwargs.do_pad ? this.pad(images, { pad_size: kwargs.pad_size }) : images };
  }
}

function padTarget(images: readonly Tensor[], pad_size: SizeDict | null): Size {
  if (pad_size === null) {
    const sizes = images.map((image) => pixelsOf(image).size);
    return [Math.max(...sizes.map(([height]) => height)), Math.max(...sizes.map(([, width]) => width))];
  }
  const { height, width } = pad_size;
  if (height && width) return [height, width];
  throw new OptionError(`pad_size must have height and width, got ${JSON.stringify(pad_size)}`, {
    where: "pad_size",
    got: pad_size,
  });
}

function padTo(image: Tensor, target: Size, options: PadOptions): Tensor {
  const { data, planes, size } = pixelsOf(image);
  checkTarget("pad", size, target);
  if (size[0] > target[0] || size[1] > target[1]) {
    throw new OptionError(
      `pad_size: a picture of ${size[1]} x ${size[0]} pixels cannot be padded to ${target[1]} x ${target[0]}`,
      { where: "pad_size", expected: target, got: size },
    );
  }
  const mode = options.padding_mode ?? "constant";
  switch (mode) {
    case "constant":
      return pixelTensor(image, place(data, planes, size, target, [0, 0], options.fill_value ?? 0), target);
    case "edge":
    case "reflect":
    case "symmetric":
      return pixelTensor(image, padEdges(data, planes, size, sidesTo(size, target), mode), target);
    default:
      throw new UnsupportedError(
        `padding_mode ${JSON.stringify(mode)}: only "constant", "edge", "reflect" and "symmetric" are there`,
        { where: "padding_mode", got: mode },
      );
  }
}

function sidesTo(size: Size, target: Size): Sides {
  return { top: 0, left: 0, bottom: target[0] - size[0], right: target[1] - size[1] };
}

function maskOf([height, width]: Size, target: Size): Tensor {
  const ones = new Int32Array(height * width).fill(1);
  return new Tensor("int32", target, place(ones, 1, [height, width], target, [0, 0]));
}
