import { OptionError, ShapeError } from "../base/errors.ts";
import type { FeatureSelection } from "../models/llava/modeling_llava.ts";
import { DynamicCache } from "../nn/dynamic_cache.ts";
import { checkTensor, checkVocabulary, type Ids, idRows } from "../tensor/ids.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { unpad } from "./batch.ts";
import type { ImageInput, LlavaRuntime, PassOptions, TextInput } from "./llava_runtime.ts";
import type { BaseModelOutputWithPooling } from "./outputs.ts";
import { concatRows } from "./picture_cache.ts";

/** Arguments of `forward`. Shapes: B rows, L columns, D the text model's size. */
export interface LlavaForwardOptions {
  /** [B, L] */
  input_ids?: Ids | null;
  /** `[N, C, S, S]`: the pictures of all rows, in the order of their placeholders. */
  pixel_values?: Tensor | null;
  /** `[N, 2]`: height and width of each picture without padding, for a tower that takes pictures of any size. */
  image_sizes?: Ids | null;
  /** [B, L], or [B, cached + L]: 1 for tokens, 0 for padding. */
  attention_mask?: Ids | null;
  /** [B, L]. Without: columns are counted, those of the cache and padding included. */
  position_ids?: Ids | null;
  /**
   * What an earlier call gave; it grows by this call. One column after it counts as a token that was chosen, several as
   * (a part of) a prompt: with q8 and q4 on processors with AMX, prompts are computed by other products.
   */
  past_key_values?: DynamicCache | null;
  /** [B, L, D], in place of input_ids. */
  inputs_embeds?: Tensor | null;
  vision_feature_layer?: number | readonly number[] | null;
  vision_feature_select_strategy?: "default" | "full" | null;
  /** In place of pixel_values: what get_image_features gave. */
  mm_encoder_outputs?: { image?: BaseModelOutputWithPooling | null } | null;
  /** Whether to give past_key_values. Default: the config's. */
  use_cache?: boolean | null;
  output_hidden_states?: boolean | null;
  output_attentions?: boolean | null;
  /** false: an array in place of an object. */
  return_dict?: boolean | null;
  /** Our own: stops the computation. */
  signal?: AbortSignal;
}

/** Names of LlavaForwardOptions. */
export const FORWARD_OPTIONS = [
  "input_ids",
  "pixel_values",
  "image_sizes",
  "attention_mask",
  "position_ids",
  "past_key_values",
  "inputs_embeds",
  "vision_feature_layer",
  "vision_feature_select_strategy",
  "mm_encoder_outputs",
  "use_cache",
  "output_hidden_states",
  "output_attentions",
  "return_dict",
  "signal",
] as const satisfies readonly (keyof LlavaForwardOptions)[];

/** A checked call. */
export interface PreparedForward {
  pass: PassOptions;
  /** The cache to give back, where one is wanted. */
  past: DynamicCache | undefined;
  /** Gives back what only this call needed. */
  release(): void;
}

/**
 * Checks the arguments of `forward` and takes the padding off.
 *
 * @param needed [B, L]: columns whose results are needed although they may be padding
 */
export async function prepareForward(
  runtime: LlavaRuntime,
  options: LlavaForwardOptions,
  needed?: boolean[][],
): Promise<PreparedForward> {
  const text = textInput(runtime, options);
  const [rows, length] = text.kind === "ids" ? [text.ids.length, text.ids[0].length] : text.embeds.shape;
  const image = imageInput(options);
  const placeholders =
    text.kind === "ids"
      ? text.ids.map((row) => row.map((id) => id === runtime.config.image_token_index))
      : await findPlaceholders(runtime, text.embeds, image !== undefined);
  const given = options.past_key_values ?? undefined;
  if (given && !(given instanceof DynamicCache)) {
    throw new OptionError("past_key_values: expected what an earlier call gave", {
      where: "past_key_values",
    });
  }
  given?.bind(runtime.pool, rows);
  given?.admit(length);
  const keep = given !== undefined || (options.use_cache ?? runtime.config.text_config.use_cache);
  const batch = unpad(rows, length, {
    attention_mask: options.attention_mask,
    position_ids: options.position_ids,
    past: given,
    packed: !keep,
    needed,
  });
  const seen = image && (await runtime.look(image, featureSelection(runtime, options), options.signal));
  const sequences = batch.sequences.filter(({ blind }) => !blind).length;
  const caches = given ?? new DynamicCache(runtime.pool, keep ? rows : Math.max(rows, sequences));
  return {
    pass: {
      batch,
      text,
      features: seen?.rows,
      placeholders,
      caches,
      hidden_states: options.output_hidden_states ?? runtime.config.output_hidden_states ?? false,
      attentions: options.output_attentions ?? runtime.config.output_attentions,
      signal: options.signal,
    },
    past: keep ? caches : undefined,
    release: () => {
      if (!keep) caches.dispose();
    },
  };
}

/** The chosen layers of the tower; the config's where the call names none. */
export function featureSelection(
  { config }: LlavaRuntime,
  options: Pick<LlavaForwardOptions, "vision_feature_layer" | "vision_feature_select_strategy">,
): FeatureSelection {
  return {
    vision_feature_layer: options.vision_feature_layer ?? config.vision_feature_layer,
    vision_feature_select_strategy:
      options.vision_feature_select_strategy ?? config.vision_feature_select_strategy,
  };
}

/** @throws ShapeError where pixel_values is not a batch of pictures */
export function checkPixels(pixel_values: unknown): Tensor {
  return checkTensor(
    "pixel_values",
    pixel_values,
    [-1, -1, -1, -1],
    "pictures, channels, height, width",
    "float32",
  );
}

/** Rows of two; whether they fit the pictures is for the tower to say. */
export function checkSizes(image_sizes: Ids | null | undefined): number[][] | undefined {
  return image_sizes === undefined || image_sizes === null ? undefined : idRows("image_sizes", image_sizes);
}

function textInput(runtime: LlavaRuntime, { input_ids, inputs_embeds }: LlavaForwardOptions): TextInput {
  const given = [input_ids, inputs_embeds].filter((value) => value !== undefined && value !== null);
  if (given.length !== 1) {
    throw new OptionError("You must specify exactly one of input_ids or inputs_embeds", {
      where: "input_ids",
      expected: 1,
      got: given.length,
    });
  }
  const { vocab_size, hidden_size } = runtime.config.text_config;
  if (inputs_embeds) {
    const shape = [-1, -1, hidden_size];
    return {
      kind: "embeds",
      embeds: checkTensor("inputs_embeds", inputs_embeds, shape, "rows, columns, hidden_size", "float32"),
    };
  }
  const ids = idRows("input_ids", input_ids as Ids);
  if (ids.length === 0 || ids[0].length === 0) {
    throw new ShapeError("input_ids: there is no token", { where: "input_ids", got: [ids.length, 0] });
  }
  // A placeholder may lie outside the vocabulary: its embedding is never looked at where a picture takes its place.
  checkVocabulary("input_ids", ids, Math.max(vocab_size, 0), runtime.config.image_token_index);
  return { kind: "ids", ids };
}

/** The pictures that the arguments name. */
export function imageInput({
  pixel_values,
  image_sizes,
  mm_encoder_outputs,
}: LlavaForwardOptions): ImageInput | undefined {
  const encoded = mm_encoder_outputs?.image;
  if (pixel_values && mm_encoder_outputs) {
    throw new OptionError("You cannot specify both pixel_values and mm_encoder_outputs at the same time", {
      where: "mm_encoder_outputs",
    });
  }
  if (pixel_values) {
    const options = { image_sizes: checkSizes(image_sizes) };
    return { kind: "pixels", pixel_values: checkPixels(pixel_values), options };
  }
  if (!encoded) return undefined;
  return { kind: "features", features: concatRows(encoded.pooler_output) };
}

/** For each column whether it is the placeholder's embedding, number by number: [B, L, D] -> [B, L] */
export async function findPlaceholders(
  runtime: LlavaRuntime,
  embeds: Tensor,
  wanted: boolean,
): Promise<boolean[][]> {
  const [B, L, D] = embeds.shape;
  if (!wanted) return Array.from({ length: B }, () => Array(L).fill(false));
  const [placeholder] = await runtime.device.step(() => [runtime.embed([runtime.config.image_token_index])]);
  const data = embeds.data as Float32Array;
  const isPlaceholder = (row: number): boolean => {
    for (let d = 0; d < D; d++) if (data[row * D + d] !== placeholder.data[d]) return false;
    return true;
  };
  return Array.from({ length: B }, (_, b) => Array.from({ length: L }, (_, l) => isPlaceholder(b * L + l)));
}
