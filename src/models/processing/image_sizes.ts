import { OptionError } from "../../base/errors.ts";
import type { Size } from "../../image/pixels.ts";
import { roundHalfEven } from "../../tensor/dtype.ts";

/** A size in one of the forms of SIZE_FORMS. All in pixels. */
export interface SizeDict {
  height?: number;
  width?: number;
  shortest_edge?: number;
  longest_edge?: number;
  max_height?: number;
  max_width?: number;
  min_pixels?: number;
  max_pixels?: number;
}

/** A size as files and callers give it: a number, [height, width], or a SizeDict. */
export type SizeLike = number | readonly number[] | SizeDict;

const SIZE_FORMS: readonly (readonly (keyof SizeDict)[])[] = [
  ["height", "width"],
  ["shortest_edge"],
  ["shortest_edge", "longest_edge"],
  ["longest_edge"],
  ["max_height", "max_width"],
  ["min_pixels", "max_pixels"],
];

/** Longest side that a size may ask for, in pixels. What a picture takes in all is checked where it is made. */
const MAX_SIDE = 2 ** 20;

/**
 * A size in its full form. A number means a square, or the shorter edge where `default_to_square` is false.
 *
 * @throws OptionError where it has none of the known sets of keys, or a number is no size
 */
export function get_size_dict(
  size: SizeLike | null,
  options: { default_to_square?: boolean; param_name?: string } = {},
): SizeDict {
  const name = options.param_name ?? "size";
  const dict = convertToSizeDict(size, options.default_to_square ?? true, name);
  const keys = Object.keys(dict).sort().join();
  if (!SIZE_FORMS.some((form) => [...form].sort().join() === keys)) {
    const forms = SIZE_FORMS.map((form) => `{ ${form.join(", ")} }`).join(", ");
    throw new OptionError(
      `${name} must have one of these sets of keys: ${forms}; got ${JSON.stringify(size)}`,
      {
        where: name,
        expected: forms,
        got: size,
      },
    );
  }
  for (const [key, value] of Object.entries(dict)) {
    const limit = key.endsWith("pixels") ? MAX_SIDE ** 2 : MAX_SIDE;
    if (!Number.isInteger(value) || value < 1 || value > limit) {
      throw new OptionError(
        `${name}.${key} must be a whole number from 1 to ${limit}, got ${String(value)}`,
        {
          where: `${name}.${key}`,
          expected: `1 to ${limit}`,
          got: value,
        },
      );
    }
  }
  return dict;
}

function convertToSizeDict(size: SizeLike | null, square: boolean, name: string): SizeDict {
  if (typeof size === "number") return square ? { height: size, width: size } : { shortest_edge: size };
  if (Array.isArray(size) && size.length === 2) return { height: size[0], width: size[1] };
  if (typeof size === "object" && size !== null && !Array.isArray(size)) {
    return Object.fromEntries(
      Object.entries(size).filter(([, value]) => value !== null && value !== undefined),
    );
  }
  throw new OptionError(
    `${name} must be a number, a pair [height, width], or an object such as { height, width }; got ${JSON.stringify(size)}`,
    { where: name, got: size },
  );
}

/**
 * The size that `size` asks a picture of `image_size` to be resized to.
 *
 * @throws OptionError for forms that name no size of their own ({ longest_edge } alone, pixels)
 */
export function resizedSize(image_size: Size, size: SizeDict): Size {
  const { shortest_edge, longest_edge, max_height, max_width, height, width } = size;
  if (shortest_edge && longest_edge)
    return get_size_with_aspect_ratio(image_size, shortest_edge, longest_edge);
  if (shortest_edge) return shortestEdgeSize(image_size, shortest_edge);
  if (max_height && max_width) return get_image_size_for_max_height_width(image_size, max_height, max_width);
  if (height && width) return [height, width];
  throw new OptionError(
    `size must have height and width, max_height and max_width, or shortest_edge; got ${JSON.stringify(size)}`,
    { where: "size", got: size },
  );
}

/** The shorter edge becomes `edge`, the longer one keeps the ratio, cut to a whole number. */
export function shortestEdgeSize([height, width]: Size, edge: number): Size {
  const [short, long] = width <= height ? [width, height] : [height, width];
  const other = Math.trunc((edge * long) / short);
  return width <= height ? [other, edge] : [edge, other];
}

/** The shorter edge becomes `size`, or less, so that the longer one is not above `max_size`. */
export function get_size_with_aspect_ratio(
  image_size: Size,
  size: number,
  max_size: number | null = null,
): Size {
  const [height, width] = image_size;
  const short = Math.min(height, width);
  const long = Math.max(height, width);
  let edge = size;
  let raw = size;
  if (max_size !== null && (long / short) * size > max_size) {
    raw = (max_size * short) / long;
    edge = roundHalfEven(raw);
  }
  if (short === edge) return [height, width];
  const other = Math.trunc(width < height ? (raw * height) / width : (raw * width) / height);
  return width < height ? [other, edge] : [edge, other];
}

/** The largest size of the same ratio that fits into `max_height` and `max_width`, each cut to a whole number. */
export function get_image_size_for_max_height_width(
  [height, width]: Size,
  max_height: number,
  max_width: number,
): Size {
  const scale = Math.min(max_height / height, max_width / width);
  return [Math.trunc(height * scale), Math.trunc(width * scale)];
}
