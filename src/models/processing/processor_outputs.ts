import type { Tensor } from "../../tensor/tensor.ts";
import type { BatchFeature } from "./batch_feature.ts";
import type { ImageInput } from "./image_inputs.ts";
import type { Replacement } from "./placeholders.ts";
import type { ProcessorArguments } from "./processor_kwargs.ts";

/** What comes out of texts, as tensors of [rows, tokens]. */
export interface TextTensors {
  input_ids: Tensor;
  attention_mask: Tensor;
  token_type_ids?: Tensor;
  special_tokens_mask?: Tensor;
  offset_mapping?: Tensor;
  length?: Tensor;
  /** 1 for picture tokens, 0 for text. */
  mm_token_type_ids?: Tensor;
  assistant_masks?: Tensor;
  text_replacement_offsets?: Replacement[][];
}

/** What comes out of pictures. */
export interface ImageTensors {
  /** [pictures, channels, height, width] */
  pixel_values: Tensor;
  /** `[pictures, 2]`: heights and widths, of Pixtral. */
  image_sizes?: Tensor;
}

/** The same as nested arrays. */
export interface TextLists {
  input_ids: number[][];
  attention_mask: number[][];
  token_type_ids?: number[][];
  special_tokens_mask?: number[][];
  offset_mapping?: [number, number][][];
  length?: number[];
  mm_token_type_ids?: number[][];
  assistant_masks?: number[][];
  text_replacement_offsets?: Replacement[][];
}

export interface ImageLists {
  pixel_values: number[][][][];
  image_sizes?: number[][];
}

type Texts = string | readonly string[];
type WithText = ProcessorArguments & { text: Texts };
type WithImages = ProcessorArguments & { images: ImageInput };
type WithBoth = WithText & WithImages;
type Lists = { return_tensors: null };

/** The signature of a call. */
export interface ProcessorCall {
  (args: WithBoth & Lists): Promise<BatchFeature<TextLists & ImageLists>>;
  (args: WithBoth): Promise<BatchFeature<TextTensors & ImageTensors>>;
  (args: WithText & Lists): Promise<BatchFeature<TextLists & Partial<ImageLists>>>;
  (args: WithText): Promise<BatchFeature<TextTensors & Partial<ImageTensors>>>;
  (args: WithImages & Lists): Promise<BatchFeature<ImageLists>>;
  (args: WithImages): Promise<BatchFeature<ImageTensors>>;
  (args: ProcessorArguments): Promise<BatchFeature>;
}
