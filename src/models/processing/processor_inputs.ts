import { OptionError } from "../../base/errors.ts";
import type { TensorType } from "./batch_feature.ts";
import { type ImageInput, make_flat_list_of_images } from "./image_inputs.ts";
import {
  checkPlaceholderCount,
  checkTokenCount,
  type Replacement,
  replacePlaceholders,
} from "./placeholders.ts";
import type { ProcessorMixin } from "./processing_utils.ts";
import type { MergedKwargs, ProcessorInputs } from "./processor_kwargs.ts";

/** What a call has made of its inputs, before anything becomes a tensor. */
export interface ProcessedInputs {
  data: Record<string, unknown>;
  tensors: TensorType | null;
  /** For each text, what became of its place holders. */
  replacements: Replacement[][];
}

/**
 * Pictures through the image processor, and texts through the tokenizer, each place holder becoming as many picture
 * tokens as the processor says of its picture.
 *
 * @throws OptionError where place holders and pictures do not match
 */
export async function prepareInputs(
  processor: ProcessorMixin,
  { images = null, text = null }: ProcessorInputs,
  merged: MergedKwargs,
): Promise<ProcessedInputs> {
  const { image_token } = processor;
  const texts = text === null ? null : checkTexts(text, images, image_token, merged);
  const pictures =
    images === null ? {} : { ...(await processor.image_processor(images, merged.images_kwargs)) };
  if (texts === null) {
    return { data: pictures, tensors: merged.images_kwargs.return_tensors ?? null, replacements: [] };
  }
  const flat = images === null ? [] : make_flat_list_of_images(images);
  const replacements = flat.map((_, i) => processor.replace_image_token(pictures, i));
  const [expanded, made] = replacePlaceholders(texts, image_token, replacements);
  const { data, tensors } = encodeTexts(processor, expanded, merged);
  if (merged.output.return_text_replacement_offsets) data.text_replacement_offsets = made;
  return { data: { ...data, ...pictures }, tensors, replacements: made };
}

/** @throws OptionError where there is neither a picture nor a text */
export function checkGiven(where: string, { images = null, text = null }: ProcessorInputs): void {
  if (images !== null || text !== null) return;
  throw new OptionError(`${where}: give images, text, or both`, { where: "text" });
}

/** The texts as a list. @throws OptionError where they are none, or have more or fewer place holders than pictures */
export function checkTexts(
  text: unknown,
  images: ImageInput | null,
  image_token: string,
  { text_kwargs }: MergedKwargs,
): string[] {
  const texts = typeof text === "string" ? [text] : text;
  if (!Array.isArray(texts) || !texts.every((item) => typeof item === "string")) {
    throw new OptionError("text: expected a string or a list of strings", {
      where: "text",
      expected: "a string or a list of strings",
      got: text,
    });
  }
  if (texts.length === 0) throw new OptionError("text: there is none in the list", { where: "text" });
  const count = images === null ? null : make_flat_list_of_images(images).length;
  checkPlaceholderCount(texts, image_token, count, text_kwargs.sanitize_control_tokens === true);
  return [...texts];
}

function encodeTexts(
  processor: ProcessorMixin,
  texts: readonly string[],
  { text_kwargs, output }: MergedKwargs,
): { data: Record<string, unknown>; tensors: TensorType | null } {
  const { return_tensors, ...options } = text_kwargs;
  const encoded = processor.tokenizer(texts, { ...options, return_tensors: null });
  checkTokenCount(texts, encoded.input_ids, processor.image_token, processor.image_token_id);
  const data: Record<string, unknown> = { ...encoded };
  if (output.return_mm_token_type_ids) {
    data.mm_token_type_ids = processor.create_mm_token_type_ids(encoded.input_ids);
  }
  return { data, tensors: return_tensors === undefined ? "pt" : return_tensors };
}
