import { OptionError } from "../base/errors.ts";
import type { DynamicCache } from "../nn/dynamic_cache.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import type { GuidanceModel } from "./logits_process/guidance.ts";
import type { RaggedModel } from "./ragged_model.ts";
import type { Scheduler } from "./scheduler.ts";

/** Numbers that the prompt consists of, where they are not all tokens. Shapes: B rows, L columns. */
export interface PromptInputs {
  /** [B, L]; undefined with embeddings alone. */
  input_ids?: readonly (readonly number[])[];
  /** Columns that a cache holds already; placeholders in them have had their pictures. */
  cached: number;
  /** [B, L, D] */
  inputs_embeds?: Tensor;
  /** Arguments of the model's `forward` that say what the pictures are. */
  pictures: Readonly<Record<string, unknown>>;
  signal?: AbortSignal;
}

/** Rows that take the places of tokens' embeddings: picture features, or embeddings that were given. */
export interface PromptSource {
  /** float32 [rows, D] */
  source: Tensor;
  /** [B, L]: the row of `source`, or -1. */
  index: readonly (readonly number[])[];
  /** Says of each row of `source` what it is, where that is known. */
  names?: readonly string[] | undefined;
}

/** A model that `generate` works with. It knows nothing of what kind of model it is. */
export interface GenerationModel {
  readonly ragged: RaggedModel;
  readonly scheduler: Scheduler;
  readonly generation_config: GenerationConfig;
  /** Rows of the embedding matrix. */
  readonly vocab_size: number;
  /** Names of arguments of `forward` that `encode` takes. */
  readonly pictureArguments: readonly string[];
  /** Checks ids, encodes pictures; undefined where every row is a token's embedding. */
  encode(inputs: PromptInputs): Promise<PromptSource | undefined>;
  newCache(batch: number): DynamicCache;
  /** Makes an unused cache one of this model, with so many rows. */
  bindCache(cache: DynamicCache, batch: number): void;
  /** A pass over tokens alone: the logits of the last column, float32 [B, 1, V], and the cache where one is wanted. */
  readonly ask: GuidanceModel;
}

/** Where a model that has `generate` keeps what it works with. */
export const generationModel: unique symbol = Symbol("generation model");

/** A model that has `generate`. */
export interface Generating {
  readonly [generationModel]: GenerationModel;
}

/** @throws OptionError where it is no model that has `generate` */
export function generationModelOf(assistant_model: unknown): GenerationModel {
  if (typeof assistant_model === "object" || typeof assistant_model === "function") {
    if (assistant_model && generationModel in assistant_model) {
      return (assistant_model as Generating)[generationModel];
    }
  }
  throw new OptionError("assistant_model: expected a loaded model that has generate()", {
    where: "assistant_model",
  });
}
