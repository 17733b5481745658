import { OptionError } from "../../base/errors.ts";
import { place } from "../../image/crop.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { CLIP_DEFAULTS } from "../clip/image_defaults.ts";
import type { ImagesKwargs } from "../processing/image_kwargs.ts";
import { checkTarget, pixelsOf, pixelTensor } from "../processing/image_pixels.ts";

export const LLAVA_DEFAULTS = { ...CLIP_DEFAULTS, do_pad: false } as const satisfies ImagesKwargs;

/** The colour that pictures are padded with: the mean, in whole numbers of 8 bits. */
export function backgroundOf(image_mean: number | readonly number[]): number[] {
  if (typeof image_mean !== "number") return image_mean.map((mean) => Math.trunc(mean * 255));
  throw new OptionError("image_mean must be a list where do_pad is true: it is what is padded with", {
    where: "image_mean",
    got: image_mean,
  });
}

/** [..., C, H, W] -> [..., C, M, M], M being the longer of H and W. */
export function padToSquare(image: Tensor, background: number | readonly number[]): Tensor {
  const { data, planes, channels, size } = pixelsOf(image);
  const [height, width] = size;
  if (height === width) return image;
  const fill =
    typeof background === "number"
      ? Array.from({ length: channels }, (_, i) => (i ? 0 : background))
      : background;
  if (fill.length !== channels) {
    throw new OptionError(
      `background_color has ${fill.length} values, but the picture has ${channels} channels`,
      {
        where: "background_color",
        expected: channels,
        got: fill.length,
      },
    );
  }
  if (data instanceof Uint8Array && !fill.every((x) => x >= 0 && x <= 255)) {
    throw new OptionError(`The padding colour [${fill}] is not from 0 to 255, as the picture is`, {
      where: "background_color",
      got: fill,
    });
  }
  const side = Math.max(height, width);
  checkTarget("pad_to_square", size, [side, side]);
  const corner = [Math.floor((side - height) / 2), Math.floor((side - width) / 2)] as const;
  return pixelTensor(image, place(data, planes, size, [side, side], corner, fill), [side, side]);
}
