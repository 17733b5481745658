import type { ImageProcessorInit } from "../processing/image_signatures.ts";
import { PilBackend } from "../processing/pil_backend.ts";
import { CLIP_DEFAULTS, squareSize } from "./image_defaults.ts";

/** CLIP's image processor in Pillow's arithmetic. */
export class CLIPImageProcessorPil extends PilBackend {
  static override readonly defaults = CLIP_DEFAULTS;
  static override readonly image_processor_type = "CLIPImageProcessor";

  constructor(options: ImageProcessorInit = {}) {
    super(squareSize(options));
  }
}
