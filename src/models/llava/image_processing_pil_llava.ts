import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { ResolvedKwargs } from "../processing/image_kwargs.ts";
import type { Processed } from "../processing/pack.ts";
import { PilBackend } from "../processing/pil_backend.ts";
import { backgroundOf, LLAVA_DEFAULTS, padToSquare } from "./pad_to_square.ts";

/** LLaVA's image processor in Pillow's arithmetic. */
export class LlavaImageProcessorPil extends PilBackend {
  static override readonly defaults = LLAVA_DEFAULTS;
  static override readonly image_processor_type = "LlavaImageProcessor";

  /** As `LlavaImageProcessor.pad_to_square`. */
  pad_to_square(image: Tensor, options: { background_color?: number | readonly number[] } = {}): Tensor {
    checkOptions("pad_to_square", options, ["background_color"]);
    return padToSquare(image, options.background_color ?? 0);
  }

  protected override transform(image: Tensor, kwargs: ResolvedKwargs): Tensor {
    const { do_pad, image_mean } = kwargs;
    if (!do_pad) return super.transform(image, kwargs);
    return super.transform(padToSquare(image, image_mean === null ? 0 : backgroundOf(image_mean)), kwargs);
  }

  protected override collate(images: Tensor[]): Processed {
    return { pixel_values: images };
  }
}
