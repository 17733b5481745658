import { OptionError } from "../../base/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { OPENAI_CLIP_MEAN, OPENAI_CLIP_STD } from "../clip/image_defaults.ts";
import { IMAGES_KWARGS, type ImagesKwargs, type Resampling } from "../processing/image_kwargs.ts";
import { pixelsOf } from "../processing/image_pixels.ts";
import type { ImageFeatures, PreprocessOptions } from "../processing/image_signatures.ts";
import { get_size_dict, type SizeDict, type SizeLike } from "../processing/image_sizes.ts";

export interface PixtralKwargs extends ImagesKwargs {
  /** Sides are made multiples of it. */
  patch_size?: SizeLike | null;
}

export const PIXTRAL_KWARGS = [...IMAGES_KWARGS, "patch_size"] as const;

export interface PixtralOptions extends PreprocessOptions, PixtralKwargs {}

export interface PixtralFeatures extends ImageFeatures {
  /** `[pictures, 2]`: height and width of each before padding. */
  image_sizes: Tensor;
}

export interface ResizeOptions {
  resample?: Resampling | null;
}

export const PIXTRAL_DEFAULTS = {
  resample: 3,
  image_mean: OPENAI_CLIP_MEAN,
  image_std: OPENAI_CLIP_STD,
  patch_size: { height: 16, width: 16 },
  size: { longest_edge: 1024 },
  default_to_square: true,
  do_pad: true,
  do_resize: true,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  do_convert_rgb: true,
} as const satisfies PixtralKwargs;

/** A patch size in its full form. */
export function patchSizeOf(patch_size: SizeLike): SizeDict {
  return get_size_dict(patch_size, { param_name: "patch_size" });
}

/**
 * What a picture is resized to: shrunk to fit into `size`, where it is larger, its sides then made multiples of the
 * patch's, upwards.
 *
 * @throws OptionError where `size` has no longest edge, and no height and width, or the patch no height and width
 */
export function alignedSize(image: Tensor, size: SizeDict, patch: SizeDict): SizeDict {
  const [height, width] = pixelsOf(image).size;
  const [maxHeight, maxWidth] = [size.longest_edge ?? size.height, size.longest_edge ?? size.width];
  if (!maxHeight || !maxWidth) {
    throw new OptionError(`size must have longest_edge, or height and width; got ${JSON.stringify(size)}`, {
      where: "size",
      got: size,
    });
  }
  if (!patch.height || !patch.width) {
    throw new OptionError(`patch_size must have height and width, got ${JSON.stringify(patch)}`, {
      where: "patch_size",
      got: patch,
    });
  }
  const ratio = Math.max(height / maxHeight, width / maxWidth);
  const shrink = (side: number) => (ratio > 1 ? Math.floor(side / ratio) : side);
  const align = (side: number, step: number) => (Math.floor((shrink(side) - 1) / step) + 1) * step;
  return { height: align(height, patch.height), width: align(width, patch.width) };
}

/** Height and width of each picture. [pictures, 2] */
export function imageSizes(images: readonly Tensor[]): number[][] {
  return images.map((image) => [...pixelsOf(image).size]);
}
