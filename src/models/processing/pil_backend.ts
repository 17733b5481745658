import { checkOptions } from "../../base/options.ts";
import { type CropRule, cropPil } from "../../image/crop.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { ImageBackend } from "./image_backend.ts";
import type { ChannelDimension, Resampling, ResolvedKwargs } from "./image_kwargs.ts";
import { mapChannels, normalizers, pixelsOf } from "./image_pixels.ts";
import type { ImageFeatures, PreprocessOptions } from "./image_signatures.ts";
import { resizedSize, type SizeDict } from "./image_sizes.ts";
import { convert_to_rgb, normalize, rescale, resize } from "./image_transforms.ts";

const { fround } = Math;

const FIRST = { input_data_format: "channels_first" } as const;

/** Image processing in the arithmetic of Pillow and NumPy, bit for bit. */
export abstract class PilBackend<
  F extends object = ImageFeatures,
  O extends PreprocessOptions = PreprocessOptions,
> extends ImageBackend<F, O> {
  protected override get cropRule(): CropRule {
    return cropPil;
  }

  get backend(): "pil" {
    return "pil";
  }

  convert_to_rgb(image: Tensor, options: { input_data_format?: ChannelDimension | null } = {}): Tensor {
    return convert_to_rgb(image, options);
  }

  resize(
    image: Tensor,
    size: SizeDict,
    options: { resample?: Resampling | null; reducing_gap?: null } = {},
  ): Tensor {
    checkOptions("resize", options, ["resample", "reducing_gap"]);
    return resize(image, resizedSize(pixelsOf(image).size, size), { ...options, ...FIRST });
  }

  /** x * scale, in float32. */
  rescale(image: Tensor, scale: number): Tensor {
    return rescale(image, scale, FIRST);
  }

  /** (x - mean) / std, in the image's own float type, or float32. */
  normalize(image: Tensor, mean: number | readonly number[], std: number | readonly number[]): Tensor {
    return normalize(image, mean, std, FIRST);
  }

  protected override scale(image: Tensor, kwargs: ResolvedKwargs): Tensor {
    const { rescale_factor, image_mean, image_std } = kwargs;
    const factor = kwargs.do_rescale && rescale_factor !== null ? rescale_factor : undefined;
    if (!kwargs.do_normalize || image_mean === null || image_std === null) {
      return factor === undefined ? image : this.rescale(image, factor);
    }
    if (factor === undefined) return this.normalize(image, image_mean, image_std);
    // Both steps value by value: what is in between is rounded to float32 just as when it is stored.
    const functions = normalizers(pixelsOf(image).channels, image_mean, image_std, fround);
    return mapChannels(
      image,
      functions.map((f) => (x) => f(fround(x * factor))),
      Float32Array,
    );
  }
}
