import type { ImagesKwargs } from "../processing/image_kwargs.ts";
import { TorchvisionBackend } from "../processing/torchvision_backend.ts";

/** SigLIP takes pictures of a fixed size, from -1 to 1. */
export const SIGLIP_DEFAULTS = {
  resample: 3,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
  size: { height: 224, width: 224 },
  default_to_square: false,
  do_resize: true,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  do_convert_rgb: true,
} as const satisfies ImagesKwargs;

/** SigLIP's image processor: resize, rescale, normalise; torchvision's arithmetic. */
export class SiglipImageProcessor extends TorchvisionBackend {
  static override readonly defaults = SIGLIP_DEFAULTS;
  static override readonly image_processor_type = "SiglipImageProcessor";
}

export { SiglipImageProcessor as SiglipImageProcessorFast };
