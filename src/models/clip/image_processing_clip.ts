import type { ImageProcessorInit } from "../processing/image_signatures.ts";
import { TorchvisionBackend } from "../processing/torchvision_backend.ts";
import { CLIP_DEFAULTS, squareSize } from "./image_defaults.ts";

/** CLIP's image processor: shorter edge, centre crop, rescale, normalise; torchvision's arithmetic. */
export class CLIPImageProcessor extends TorchvisionBackend {
  static override readonly defaults = CLIP_DEFAULTS;
  static override readonly image_processor_type = "CLIPImageProcessor";

  constructor(options: ImageProcessorInit = {}) {
    super(squareSize(options));
  }
}

export { CLIPImageProcessor as CLIPImageProcessorFast };
