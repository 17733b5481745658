import { warnOnce } from "../../base/env.ts";
import { OptionError, ShapeError } from "../../base/errors.ts";
import { type ImageSource, load_image } from "../../image/load_image.ts";
import { looksLikeRawImage, RawImage, type RawImageData } from "../../image/raw_image.ts";
import { Tensor } from "../../tensor/tensor.ts";
import type { ChannelDimension } from "./image_kwargs.ts";

/** A picture for a processor: anything that `load_image` loads, or an array of 3 dimensions. */
export type SingleImage = ImageSource | Tensor;

/** Pictures for a processor: one, a list, a list of lists, or an array of 4 dimensions. */
export type ImageInput = SingleImage | readonly SingleImage[] | readonly (readonly SingleImage[])[];

/**
 * One flat list of pictures; arrays of 4 dimensions are taken apart.
 *
 * @throws OptionError where there is none, or something else is among them
 * @throws ShapeError for arrays of other than 3 or 4 dimensions
 */
export function make_flat_list_of_images(images: ImageInput): SingleImage[] {
  const list: readonly unknown[] = Array.isArray(images) ? images : [images];
  const nested = list.length > 0 && list.every((item) => Array.isArray(item));
  const flat = (nested ? list.flat() : list).flatMap(checkImage);
  if (flat.length > 0) return flat;
  throw new OptionError("images: there is no picture among them. Give at least one.", { where: "images" });
}

function checkImage(image: unknown): SingleImage[] {
  if (image instanceof Tensor) {
    if (image.shape.length === 3) return [image];
    if (image.shape.length === 4) return unstack(image);
    throw new ShapeError(
      `images: an array must have 3 dimensions, or 4 for several pictures; got shape [${image.shape}]`,
      { where: "images", expected: "3 or 4 dimensions", got: image.shape },
    );
  }
  const known = typeof image === "string" || image instanceof URL || image instanceof Blob;
  if (known || image instanceof Uint8Array || image instanceof ArrayBuffer || looksLikeRawImage(image)) {
    return [image];
  }
  const got =
    image === null ? "null" : Array.isArray(image) ? "a list among pictures, or in too deep" : typeof image;
  throw new OptionError(
    `images: expected a path, an address, base64, bytes, a Blob, a RawImage or a Tensor; got ${got}`,
    { where: "images", got },
  );
}

/** [N, ...] -> N x [...], over the same memory. */
export function unstack(tensor: Tensor): Tensor[] {
  const [count, ...shape] = tensor.shape;
  const length = tensor.data.length / Math.max(1, count);
  return Array.from(
    { length: count },
    (_, i) => new Tensor(tensor.dtype, shape, tensor.data.subarray(i * length, (i + 1) * length)),
  );
}

/**
 * A picture that is decoded already stays as it is; everything else is loaded.
 *
 * @param backend torchvision reads files itself, and drops what they say of a transparent colour
 */
export async function fetchImage(
  image: SingleImage,
  backend: "torchvision" | "pil",
  signal?: AbortSignal,
): Promise<RawImage | Tensor> {
  if (image instanceof Tensor || image instanceof RawImage) return image;
  if (looksLikeRawImage(image)) return new RawImage(image as RawImageData);
  const loaded = await load_image(image, { signal });
  return backend === "pil" ? loaded : new RawImage({ ...loaded, transparent: undefined });
}

/**
 * Which axis of an array holds the channels: the first where it is as long as one of `num_channels` (1 or 3
 * where not given), else the last.
 *
 * @throws ShapeError where neither is
 */
export function infer_channel_dimension_format(
  image: Tensor,
  num_channels: number | readonly number[] | null = null,
): ChannelDimension {
  const counts = typeof num_channels === "number" ? [num_channels] : (num_channels ?? [1, 3]);
  const dimensions = image.shape.length;
  if (dimensions < 3 || dimensions > 5) {
    throw new ShapeError(`An array of ${dimensions} dimensions is no picture`, { got: image.shape });
  }
  const first = counts.includes(image.shape[dimensions - 3]);
  const last = counts.includes(image.shape[dimensions - 1]);
  if (first && last) {
    warnOnce(
      `The channel axis of a picture of shape [${image.shape}] is not clear; the first is taken. Give input_data_format to say which.`,
    );
  }
  if (first) return "channels_first";
  if (last) return "channels_last";
  throw new ShapeError(
    `Cannot tell the channel axis of a picture of shape [${image.shape}]: neither end is ${counts.join(" or ")}. Give input_data_format.`,
    { expected: counts, got: image.shape },
  );
}
