import { ImageError } from "../base/errors.ts";

/** What a picture is made of. Any object with these fields is accepted wherever a RawImage is. */
export interface RawImageData {
  readonly width: number;
  readonly height: number;
  /** 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. */
  readonly channels: number;
  /** Rows from the top, pixels from the left, channels interleaved: `height * width * channels` bytes. */
  readonly data: Uint8Array;
  /**
   * In RGB, the colour, 8 bits each, of pixels that were transparent in the file, which image processors lay on white: what Pillow's
   * pictures have in `info["transparency"]`.
   */
  readonly transparent?: readonly [red: number, green: number, blue: number];
}

/** Red, green and blue, 8 bits each. */
export type Colour = Required<RawImageData>["transparent"];

/** A decoded picture: 8 bits a channel, interleaved, [height, width, channels]. */
export class RawImage implements RawImageData {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly data: Uint8Array;
  declare readonly transparent?: readonly [red: number, green: number, blue: number];

  /** @throws ImageError where the sizes are no sizes or `data` has not `width * height * channels` bytes */
  constructor(image: RawImageData) {
    checkRawImage(image);
    this.width = image.width;
    this.height = image.height;
    this.channels = image.channels;
    this.data = image.data;
    if (image.transparent !== undefined) this.transparent = image.transparent;
  }
}

/** Whether `value` has the fields of a RawImage (right or wrong). */
export function looksLikeRawImage(value: unknown): value is RawImageData {
  if (typeof value !== "object" || value === null) return false;
  return "width" in value && "height" in value && "channels" in value && "data" in value;
}

function checkRawImage({ width, height, channels, data, transparent }: RawImageData): void {
  for (const [name, size] of Object.entries({ width, height })) {
    if (!Number.isInteger(size) || size < 1) {
      throw new ImageError(`RawImage: ${name} must be a whole number above 0, got ${String(size)}`, {
        where: name,
        got: size,
      });
    }
  }
  if (!Number.isInteger(channels) || channels < 1 || channels > 4) {
    throw new ImageError(`RawImage: channels must be 1, 2, 3 or 4, got ${String(channels)}`, {
      where: "channels",
      got: channels,
    });
  }
  if (!(data instanceof Uint8Array || (data as unknown) instanceof Uint8ClampedArray)) {
    throw new ImageError("RawImage: data must be a Uint8Array", { where: "data", got: typeof data });
  }
  const expected = width * height * channels;
  if (data.length !== expected) {
    throw new ImageError(
      `RawImage: ${width} x ${height} pixels of ${channels} channels take ${expected} bytes, data has ${data.length}`,
      { where: "data", expected, got: data.length },
    );
  }
  if (transparent !== undefined && (channels !== 3 || !isColour(transparent))) {
    throw new ImageError(
      "RawImage: transparent must be three numbers from 0 to 255, in a picture of 3 channels",
      {
        where: "transparent",
        got: transparent,
      },
    );
  }
}

function isColour(value: unknown): value is Colour {
  const isByte = (x: unknown): boolean => Number.isInteger(x) && Number(x) >= 0 && Number(x) <= 255;
  return Array.isArray(value) && value.length === 3 && value.every(isByte);
}
