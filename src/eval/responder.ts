import type { RawImage } from "../image/raw_image.ts";
import type { PresetName } from "./presets.ts";
import type { Json } from "./python/json.ts";

/** The generation settings of the original, spelled as in Transformers. */
export interface GenerateSettings {
  do_sample: false;
  temperature: 0;
  top_p?: null;
  num_beams?: 1;
  max_new_tokens: number;
  use_cache: true;
}

/** One question to the model. */
export interface EvalRequest {
  /** Its place among all that this run asks, from 0. */
  index: number;
  question_id: Json;
  /** The whole prompt; `<image>` is where the picture goes. */
  prompt: string;
  /** The prompt cut at its `<image>`s: one more than there are slots for pictures. */
  pieces: readonly string[];
  /**
   * Whether each piece is to be tokenised on its own, with the beginning token (which is kept at the first alone), or
   * the prompt as a whole.
   */
  tokenisesPieces: boolean;
  preset: PresetName;
  /** The picture as the image processor is to have it, padded if the preset pads; RGB. */
  image: RawImage | null;
  /** Width and height of the picture before padding. */
  imageSize: readonly [number, number] | null;
  generate: GenerateSettings;
  signal?: AbortSignal;
}

/** What answers questions: a model, or a recording of one. */
export interface Responder {
  /** The text of the answer, special tokens skipped. */
  answer(request: EvalRequest): Promise<string>;
  /** How many questions it may be asked at once; 1. */
  concurrency?: number;
}
