import { OptionError, ShapeError } from "../../base/errors.ts";
import { MAX_PIXELS } from "../../image/limits.ts";
import { allocateLike, type PixelArray, type Size } from "../../image/pixels.ts";
import { type DType, toFloat32 } from "../../tensor/dtype.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { infer_channel_dimension_format } from "./image_inputs.ts";
import type { ChannelDimension } from "./image_kwargs.ts";

/** The planes of a picture, or of several: an array of [..., channels, height, width]. */
export interface Pixels {
  readonly data: PixelArray;
  readonly size: Size;
  readonly channels: number;
  /** Planes of all pictures together. */
  readonly planes: number;
}

/**
 * The planes of a tensor. Element types that no picture has become one that holds their values.
 *
 * @throws ShapeError for fewer than 3 dimensions
 */
export function pixelsOf(image: Tensor): Pixels {
  const { shape } = image;
  if (shape.length < 3) {
    throw new ShapeError(`A picture must have the shape [..., channels, height, width], got [${shape}]`, {
      expected: "3 dimensions or more",
      got: shape,
    });
  }
  const [channels, height, width] = shape.slice(-3);
  const planes = shape.slice(0, -2).reduce((product, n) => product * n, 1);
  return { data: pixelArray(image), size: [height, width], channels, planes };
}

function pixelArray({ dtype, data }: Tensor): PixelArray {
  switch (dtype) {
    case "uint8":
    case "float32":
    case "float64":
    case "int32":
      return data as PixelArray;
    case "float16":
    case "bfloat16":
      return toFloat32(dtype, data);
    default:
      return Int32Array.from(data as Int32Array, Number);
  }
}

function dtypeOf(data: PixelArray): DType {
  if (data instanceof Float32Array) return "float32";
  if (data instanceof Float64Array) return "float64";
  return data instanceof Int32Array ? "int32" : "uint8";
}

/** A tensor of `data`, with the leading dimensions and channels of `like`. */
export function pixelTensor(like: Tensor, data: PixelArray, [height, width]: Size): Tensor {
  return new Tensor(dtypeOf(data), [...like.shape.slice(0, -2), height, width], data);
}

/** Whether the elements are fractions. */
export function isFloat(data: PixelArray): data is Float32Array | Float64Array {
  return data instanceof Float32Array || data instanceof Float64Array;
}

/**
 * Puts each value through its channel's function. The 256 values of 8-bit pictures are computed once.
 *
 * @param functions one a channel
 */
export function mapChannels<A extends Float32Array | Float64Array>(
  image: Tensor,
  functions: readonly ((value: number) => number)[],
  result: new (length: number) => A,
): Tensor {
  const { data, size, channels, planes } = pixelsOf(image);
  const area = size[0] * size[1];
  const out = new result(data.length);
  const tables = functions.map((f) => (data instanceof Uint8Array ? tableOf(f, result) : undefined));
  for (let plane = 0; plane < planes; plane++) {
    const f = functions[plane % channels];
    const table = tables[plane % channels];
    const end = (plane + 1) * area;
    if (table === undefined) for (let i = plane * area; i < end; i++) out[i] = f(data[i]);
    else for (let i = plane * area; i < end; i++) out[i] = table[data[i]];
  }
  return pixelTensor(image, out, size);
}

function tableOf<A extends Float32Array | Float64Array>(
  f: (value: number) => number,
  result: new (length: number) => A,
): A {
  const table = new result(256);
  for (let value = 0; value < 256; value++) table[value] = f(value);
  return table;
}

/**
 * (x - mean) / std of each channel, every step rounded by `round`.
 *
 * @throws OptionError where a list has not as many values as there are channels, or a std is 0
 */
export function normalizers(
  channels: number,
  mean: number | readonly number[],
  std: number | readonly number[],
  round: (x: number) => number,
): ((x: number) => number)[] {
  const deviations = perChannel("image_std", std, channels).map(round);
  if (deviations.includes(0)) throw new OptionError("image_std must not be 0", { where: "image_std" });
  return perChannel("image_mean", mean, channels).map((value, channel) => {
    const middle = round(value);
    const deviation = deviations[channel];
    return (x) => round(round(round(x) - middle) / deviation);
  });
}

function perChannel(name: string, value: number | readonly number[], channels: number): readonly number[] {
  if (typeof value === "number") return Array.from({ length: channels }, () => value);
  if (value.length === channels) return value;
  throw new OptionError(`${name} has ${value.length} values, but the picture has ${channels} channels`, {
    where: name,
    expected: channels,
    got: value.length,
  });
}

/** How a colour looks over white, by its alpha. */
export type Blend = (colour: number, alpha: number) => number;

/**
 * Grey three times, or colours blended by their alpha. [1 or 4, H, W] -> [3, H, W]; others stay.
 *
 * @param blender the arithmetic for the element type, which may refuse the values
 */
export function rgbPlanes(image: Tensor, blender: (data: PixelArray) => Blend): Tensor {
  const { data, size, channels } = pixelsOf(image);
  if (channels !== 1 && channels !== 4) return image;
  const area = size[0] * size[1];
  const out = allocateLike(data, 3 * area);
  const blend = channels === 1 ? (grey: number) => grey : blender(data);
  for (let channel = 0; channel < 3; channel++) {
    const colours = channels === 1 ? 0 : channel * area;
    for (let i = 0; i < area; i++) out[channel * area + i] = blend(data[colours + i], data[3 * area + i]);
  }
  return new Tensor(dtypeOf(out), [3, ...size], out);
}

/**
 * Checks a size that pixels are about to be made for.
 *
 * @throws OptionError where it is empty, or beyond the limit that pictures have
 */
export function checkTarget(step: string, from: Size, [height, width]: Size): void {
  if (height >= 1 && width >= 1 && height * width <= MAX_PIXELS) return;
  throw new OptionError(
    `${step}: a picture of ${from[1]} x ${from[0]} pixels would become ${width} x ${height}; at least 1 x 1 and at most ${MAX_PIXELS} pixels are allowed. Change the size, or crop the picture first.`,
    { where: step, expected: MAX_PIXELS, got: [height, width] },
  );
}

/**
 * Moves the channels to the first or last of the last three axes.
 *
 * @param input_channel_dim where they are now; found out by the shape where not given
 */
export function to_channel_dimension_format(
  image: Tensor,
  channel_dim: ChannelDimension,
  input_channel_dim: ChannelDimension | null = null,
): Tensor {
  const current = input_channel_dim ?? infer_channel_dimension_format(image);
  if (current === channel_dim) return image;
  const [a, b, c] = image.shape.slice(-3);
  // [H, W, C] -> [C, H, W] turns [H * W, C] around; the way back turns [C, H * W] around.
  const [rows, columns] = channel_dim === "channels_first" ? [a * b, c] : [a, b * c];
  const source = pixelsOf(image).data;
  const out = allocateLike(source, source.length);
  const area = rows * columns;
  for (let start = 0; start < out.length; start += area) {
    for (let column = 0, to = start; column < columns; column++) {
      for (let row = 0, from = start + column; row < rows; row++, from += columns) out[to++] = source[from];
    }
  }
  const shape = channel_dim === "channels_first" ? [c, a, b] : [b, c, a];
  return new Tensor(dtypeOf(out), [...image.shape.slice(0, -3), ...shape], out);
}
