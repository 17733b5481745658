import type { HubOptions } from "../../hub/repository.ts";
import type { NestedNumbers, Tensor } from "../../tensor/tensor.ts";
import type { BatchFeature } from "./batch_feature.ts";
import type { ImageInput } from "./image_inputs.ts";
import type { ImagesKwargs } from "./image_kwargs.ts";

/** What a constructor takes: options, and anything else, which is kept as an attribute. */
export interface ImageProcessorInit extends ImagesKwargs {
  [attribute: string]: unknown;
}

/** What a call takes. */
export interface PreprocessOptions extends ImagesKwargs {
  /** Further pictures by name; no class here takes any. */
  image_like_kwargs?: Readonly<Record<string, never>> | null;
  signal?: AbortSignal;
}

/** What `from_pretrained` takes: where to look, and options that go before the file's. */
export interface ImageProcessorFromPretrained extends HubOptions, ImagesKwargs {
  image_processor_filename?: string;
  /** Gives `[processor, unused]` and does not throw for options that are unknown. */
  return_unused_kwargs?: boolean;
}

/** What comes out of one call, by name. */
export interface ImageFeatures {
  /** [pictures, channels, height, width] */
  pixel_values: Tensor;
}

export type NestedFeatures<F> = { [K in keyof F]: NestedNumbers };

/** The signature of a call, and of `preprocess`. */
export interface Preprocess<F extends object, O extends PreprocessOptions> {
  (images: ImageInput, options: O & { return_tensors: null }): Promise<BatchFeature<NestedFeatures<F>>>;
  (images: ImageInput, options?: O): Promise<BatchFeature<F>>;
}
