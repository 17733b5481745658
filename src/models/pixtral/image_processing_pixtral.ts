import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { ResolvedKwargs } from "../processing/image_kwargs.ts";
import type { SizeDict, SizeLike } from "../processing/image_sizes.ts";
import type { Processed } from "../processing/pack.ts";
import { TorchvisionBackend } from "../processing/torchvision_backend.ts";
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

/** Pixtral's image processor: pictures keep their ratio and get as many patches as they need; torchvision's arithmetic. */
export class PixtralImageProcessor extends TorchvisionBackend<PixtralFeatures, PixtralOptions> {
  static override readonly defaults = PIXTRAL_DEFAULTS;
  static override readonly valid_kwargs = PIXTRAL_KWARGS;
  static override readonly image_processor_type = "PixtralImageProcessor";

  declare patch_size: SizeLike;

  override get model_input_names(): string[] {
    return ["pixel_values", "image_sizes"];
  }

  /**
   * Shrinks a picture to fit into `size`, and makes its sides multiples of the patch's.
   *
   * @param size { longest_edge }, or { height, width }
   * @param patch_size { height, width }
   */
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

export { PixtralImageProcessor as PixtralImageProcessorFast };
