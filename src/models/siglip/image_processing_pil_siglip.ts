import { PilBackend } from "../processing/pil_backend.ts";
import { SIGLIP_DEFAULTS } from "./image_processing_siglip.ts";

/** SigLIP's image processor in Pillow's arithmetic. */
export class SiglipImageProcessorPil extends PilBackend {
  static override readonly defaults = SIGLIP_DEFAULTS;
  static override readonly image_processor_type = "SiglipImageProcessor";
}
