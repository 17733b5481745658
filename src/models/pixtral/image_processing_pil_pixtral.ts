import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { ResolvedKwargs } from "../processing/image_kwargs.ts";
import type { SizeDict, SizeLike } from "../processing/image_sizes.ts";
import type { Processed } from "../processing/pack.ts";
import { PilBackend } from "../processing/pil_backend.ts";
import {
  alignedSize,
  imageSizes,
  PIXTRAL_DEFAULTS,
  PIXTRAL_KWARGS,
  type PixtralFeatures,
  type PixtralOptions,
  patchSizeOf,
  type ResizeOptions,
} from "./image_sizes.ts";

/** Pixtral's image processor in Pillow's arithmetic. */
export class PixtralImageProcessorPil extends PilBackend<PixtralFeatures, PixtralOptions> {
  static override readonly defaults = PIXTRAL_DEFAULTS;
  static override readonly valid_kwargs = PIXTRAL_KWARGS;
  static override readonly image_processor_type = "PixtralImageProcessor";

  declare patch_size: SizeLike;

  override get model_input_names(): string[] {
    return ["pixel_values", "image_sizes"];
  }

  /** As `PixtralImageProcessor.resize`. */
  override resize(
    image: Tensor,
    size: SizeDict,
    patch_size: SizeDict & ResizeOptions = PIXTRAL_DEFAULTS.patch_size,
    options: ResizeOptions = {},
  ): Tensor {
    checkOptions("resize", options, ["resample"]);
    return super.resize(image, alignedSize(image, size, patch_size), options);
  }

  protected override resizeTo(
    image: Tensor,
    size: SizeDict,
    { patch_size, resample }: ResolvedKwargs,
  ): Tensor {
    return this.resize(image, size, patchSizeOf(patch_size ?? this.patch_size), { resample });
  }

  protected override collate(images: Tensor[], kwargs: ResolvedKwargs): Processed {
    return { pixel_values: kwargs.do_pad ? this.pad(images) : images, image_sizes: imageSizes(images) };
  }
}
