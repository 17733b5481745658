import type { ImagesKwargs } from "../processing/image_kwargs.ts";
import type { ImageProcessorInit } from "../processing/image_signatures.ts";

/** What OpenAI trained CLIP with: the mean and deviation of red, green and blue. */
export const OPENAI_CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073];
export const OPENAI_CLIP_STD = [0.26862954, 0.26130258, 0.27577711];

export const CLIP_DEFAULTS = {
  resample: 3,
  image_mean: OPENAI_CLIP_MEAN,
  image_std: OPENAI_CLIP_STD,
  size: { shortest_edge: 224 },
  default_to_square: false,
  crop_size: { height: 224, width: 224 },
  do_resize: true,
  do_center_crop: true,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  do_convert_rgb: true,
} as const satisfies ImagesKwargs;

/** `use_square_size`, which old files have, means the shortest edge both ways. */
export function squareSize({ use_square_size, ...options }: ImageProcessorInit): ImageProcessorInit {
  const edge = CLIP_DEFAULTS.size.shortest_edge;
  if (use_square_size) return { ...options, size: { height: edge, width: edge } };
  return use_square_size === undefined ? options : { ...options, use_square_size };
}
