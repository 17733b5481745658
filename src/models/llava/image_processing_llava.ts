import { OptionError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { ResolvedKwargs } from "../processing/image_kwargs.ts";
import type { Processed } from "../processing/pack.ts";
import { TorchvisionBackend } from "../processing/torchvision_backend.ts";
import { backgroundOf, LLAVA_DEFAULTS, padToSquare } from "./pad_to_square.ts";

/** LLaVA's image processor: CLIP's, with `do_pad` padding to a square first; torchvision's arithmetic. */
export class LlavaImageProcessor extends TorchvisionBackend {
  static override readonly defaults = LLAVA_DEFAULTS;
  static override readonly image_processor_type = "LlavaImageProcessor";

  /**
   * Puts pictures in the middle of a square as wide as their longest side; an odd pixel goes right or below.
   *
   * @param images [..., channels, height, width]
   * @param options background_color: of each channel, or of the first, the others being 0
   */
  pad_to_square(images: Tensor, options: { background_color?: number | readonly number[] } = {}): Tensor {
    checkOptions("pad_to_square", options, ["background_color"]);
    return padToSquare(images, options.background_color ?? 0);
  }

  protected override transform(image: Tensor, kwargs: ResolvedKwargs): Tensor {
    if (!kwargs.do_pad) return super.transform(image, kwargs);
    if (kwargs.image_mean === null) {
      throw new OptionError("image_mean must be given where do_pad is true: it is what is padded with", {
        where: "image_mean",
      });
    }
    return super.transform(padToSquare(image, backgroundOf(kwargs.image_mean)), kwargs);
  }

  protected override collate(images: Tensor[]): Processed {
    return { pixel_values: images };
  }
}

export { LlavaImageProcessor as LlavaImageProcessorFast };
