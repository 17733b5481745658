import { OptionError } from "../../base/errors.ts";
import { type ImageSource, type LoadImageOptions, load_image } from "../../image/load_image.ts";
import type { Size } from "../../image/pixels.ts";
import { looksLikeRawImage, type RawImage, type RawImageData } from "../../image/raw_image.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { infer_channel_dimension_format } from "./image_inputs.ts";
import type { ChannelDimension } from "./image_kwargs.ts";
import { shortestEdgeSize } from "./image_sizes.ts";
import { planesOf } from "./image_transforms.ts";

/** Loads pictures one after the other; a list of lists stays one. */
export async function load_images(images: ImageSource, options?: LoadImageOptions): Promise<RawImage>;
export async function load_images(
  images: readonly ImageSource[],
  options?: LoadImageOptions,
): Promise<RawImage[]>;
export async function load_images(
  images: readonly (readonly ImageSource[])[],
  options?: LoadImageOptions,
): Promise<RawImage[][]>;
export async function load_images(images: unknown, options: LoadImageOptions = {}): Promise<unknown> {
  if (!Array.isArray(images)) return load_image(images as ImageSource, options);
  const loaded: unknown[] = [];
  for (const image of images) loaded.push(await load_images(image as ImageSource, options));
  return loaded;
}

/** A picture as an array of bytes, [3, height, width]. */
export async function load_image_as_tensor(
  image: ImageSource,
  options: LoadImageOptions = {},
): Promise<Tensor> {
  return planesOf(await load_image(image, options));
}

/** Height and width. */
export function get_image_size(
  image: Tensor | RawImageData,
  channel_dim: ChannelDimension | null = null,
): Size {
  if (looksLikeRawImage(image)) return [image.height, image.width];
  const layout = channel_dim ?? infer_channel_dimension_format(image);
  const [a, b, c] = image.shape.slice(-3);
  return layout === "channels_first" ? [b, c] : [a, b];
}

export interface ResizeOutputOptions {
  default_to_square?: boolean;
  max_size?: number | null;
  input_data_format?: ChannelDimension | null;
}

/**
 * The height and width that a picture is resized to: a pair as it is; a number squared, or as the shorter edge
 * where `default_to_square` is false, the longer one being at most `max_size`.
 *
 * @throws OptionError where `max_size` is not above `size`
 */
export function get_resize_output_image_size(
  input_image: Tensor | RawImageData,
  size: number | readonly number[],
  options: ResizeOutputOptions = {},
): Size {
  if (typeof size !== "number" && size.length === 2) return [size[0], size[1]];
  if (typeof size !== "number" && size.length !== 1) {
    throw new OptionError(`size must be a number, or 1 or 2 of them; got ${size.length}`, { where: "size" });
  }
  const edge = typeof size === "number" ? size : size[0];
  if (options.default_to_square ?? true) return [edge, edge];
  const from = get_image_size(input_image, options.input_data_format);
  const max_size = options.max_size ?? null;
  const resized = shortestEdgeSize(from, edge);
  if (max_size === null) return resized;
  if (max_size <= edge) {
    throw new OptionError(`max_size, ${max_size}, must be above size, ${edge}`, {
      where: "max_size",
      got: max_size,
    });
  }
  const long = Math.max(...resized);
  if (long <= max_size) return resized;
  const short = Math.trunc((max_size * edge) / long);
  return from[1] <= from[0] ? [max_size, short] : [short, max_size];
}
