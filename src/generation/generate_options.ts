import { checkOptions } from "../base/options.ts";
import type { Ids } from "../tensor/ids.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import type { GenerationSettings } from "./generation_fields.ts";
import { GENERATION_FIELDS } from "./generation_fields.ts";
import type { GenerationInputs } from "./generation_inputs.ts";
import type { Generating } from "./generation_model.ts";
import type { LogitsProcessFunction } from "./logits_process/base.ts";
import type { StoppingFunction, StoppingTokenizer } from "./stopping_criteria.ts";
import type { BaseStreamer } from "./streamers.ts";
import { REFUSED, refuseUnsupported } from "./unsupported.ts";

/** Arguments of `generate`: settings, what is to be continued, and who takes part. */
export interface GenerateOptions extends GenerationSettings, GenerationInputs {
  /** `[N, C, S, S]`: the pictures of all rows, in the order of their placeholders. */
  pixel_values?: Tensor | null;
  /** `[N, 2]`: height and width of each picture without padding, for a tower that takes pictures of any size. */
  image_sizes?: Ids | null;
  vision_feature_layer?: number | readonly number[] | null;
  vision_feature_select_strategy?: "default" | "full" | null;
  mm_encoder_outputs?: unknown;
  generation_config?: GenerationConfig | null;
  /** Run after the built-in ones; one of the same class takes the built-in one's place. */
  logits_processor?: Iterable<LogitsProcessFunction> | null;
  stopping_criteria?: Iterable<StoppingFunction> | null;
  /** Allowed next tokens of a row: (row, its ids) -> ids. */
  prefix_allowed_tokens_fn?: ((batch_id: number, input_ids: Tensor) => number[]) | null;
  /** Told of every token. One row only. */
  streamer?: BaseStreamer | null;
  /** A smaller model with the same tokenizer that goes ahead. One row only. */
  assistant_model?: Generating | null;
  /** With `guidance_scale`: what to keep away from, [B, N]. Without: the last token of the prompt alone. */
  negative_prompt_ids?: Ids | null;
  /** [B, N], padding on the left. */
  negative_prompt_attention_mask?: Ids | null;
  /** Needed for `stop_strings`. */
  tokenizer?: StoppingTokenizer | null;
  /** Our own: sampling with the same seed gives the same tokens. */
  seed?: number;
  /** Our own: checked before every step. */
  signal?: AbortSignal;
}

const ARGUMENTS = [
  "inputs",
  "input_ids",
  "attention_mask",
  "inputs_embeds",
  "past_key_values",
  "generation_config",
  "logits_processor",
  "stopping_criteria",
  "prefix_allowed_tokens_fn",
  "assistant_model",
  "negative_prompt_ids",
  "negative_prompt_attention_mask",
  "streamer",
  "tokenizer",
  "seed",
  "signal",
] as const satisfies readonly (keyof GenerateOptions)[];

/** All that has a meaning, or a reason to have none. */
const KNOWN: readonly string[] = [...ARGUMENTS, ...REFUSED, ...Object.keys(GENERATION_FIELDS)];

/**
 * Checks the names of a call's arguments.
 *
 * @param rest those that are no settings
 * @param pictureArguments those that the model takes beside
 * @throws OptionError naming one that is unknown; UnsupportedError for what this version does not have
 */
export function checkArguments(rest: Record<string, unknown>, pictureArguments: readonly string[]): void {
  refuseUnsupported(rest);
  checkOptions("generate", rest, [...pictureArguments, ...KNOWN]);
}
