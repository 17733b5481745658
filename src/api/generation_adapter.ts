import type { GenerationConfig } from "../generation/configuration_utils.ts";
import type { GenerationModel, PromptInputs, PromptSource } from "../generation/generation_model.ts";
import type { GuidanceModel } from "../generation/logits_process/guidance.ts";
import type { RaggedModel } from "../generation/ragged_model.ts";
import { Scheduler } from "../generation/scheduler.ts";
import { DynamicCache } from "../nn/dynamic_cache.ts";
import { checkTensor, checkVocabulary } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";
import {
  featureSelection,
  findPlaceholders,
  imageInput,
  type LlavaForwardOptions,
  prepareForward,
} from "./forward_inputs.ts";
import { checkFeatureCount, featureOrder, type LlavaRuntime } from "./llava_runtime.ts";

/** LLaVA as `generate` and the scheduler see it. */
export class LlavaGenerationModel implements GenerationModel {
  readonly scheduler: Scheduler;
  readonly ragged: RaggedModel;
  generation_config: GenerationConfig;
  readonly pictureArguments = [
    "pixel_values",
    "image_sizes",
    "vision_feature_layer",
    "vision_feature_select_strategy",
    "mm_encoder_outputs",
  ] as const satisfies readonly (keyof LlavaForwardOptions)[];
  readonly #runtime: LlavaRuntime;

  constructor(runtime: LlavaRuntime, generation_config: GenerationConfig) {
    this.#runtime = runtime;
    this.generation_config = generation_config;
    this.ragged = {
      device: runtime.device,
      pool: runtime.pool,
      prompts: runtime.prompts,
      get promptsApart() {
        return runtime.promptsApart;
      },
      embed: (ids) => runtime.embed(ids),
      hidden: (x, rows, trace) => runtime.model.language_model.forward(x, rows, trace),
      logits: (x) => runtime.head.forward(x),
    };
    this.scheduler = new Scheduler(this.ragged);
  }

  get vocab_size(): number {
    return this.#runtime.config.text_config.vocab_size;
  }

  newCache(batch: number): DynamicCache {
    return new DynamicCache(this.#runtime.pool, batch);
  }

  bindCache(cache: DynamicCache, batch: number): void {
    cache.bind(this.#runtime.pool, batch);
  }

  readonly ask: GuidanceModel = async ({ past_key_values, ...options }) => {
    const { pass, past, release } = await prepareForward(this.#runtime, {
      ...options,
      past_key_values: past_key_values as DynamicCache | null,
    });
    try {
      const logitColumns = [pass.batch.length - 1];
      const { logits } = await this.#runtime.pass({
        ...pass,
        hidden_states: false,
        attentions: false,
        logitColumns,
      });
      return { logits: logits as Tensor, past_key_values: past };
    } finally {
      release();
    }
  };

  async encode({
    input_ids,
    cached,
    inputs_embeds,
    pictures,
    signal,
  }: PromptInputs): Promise<PromptSource | undefined> {
    const runtime = this.#runtime;
    const { vocab_size, hidden_size } = runtime.config.text_config;
    if (input_ids) checkVocabulary("input_ids", input_ids, vocab_size, runtime.config.image_token_index);
    const image = imageInput(pictures);
    if (!image && !inputs_embeds) return undefined;
    const embeds =
      inputs_embeds &&
      checkTensor(
        "inputs_embeds",
        inputs_embeds,
        [-1, -1, hidden_size],
        "rows, columns, hidden_size",
        "float32",
      );
    const all =
      input_ids?.map((row) => row.map((id) => id === runtime.config.image_token_index)) ??
      (embeds ? await findPlaceholders(runtime, embeds, image !== undefined) : []);
    const placeholders = all.map((row) => row.map((is, c) => is && c >= cached));
    const seen = image && (await runtime.look(image, featureSelection(runtime, pictures), signal));
    if (seen) checkFeatureCount(placeholders, seen.rows);
    const order = featureOrder(placeholders);
    if (embeds) return { source: merged(embeds, seen?.rows, order.flat()), index: everyRow(embeds) };
    return seen && { source: seen.rows, index: order, names: seen.names };
  }
}

/** Embeddings with the rows of pictures in their places: [B * L, D] */
function merged({ shape: [B, L, D], data }: Tensor, pictures: Tensor | undefined, places: number[]): Tensor {
  const rows = (data as Float32Array).slice();
  for (const [row, picture] of places.entries()) {
    if (pictures && picture >= 0) {
      rows.set((pictures.data as Float32Array).subarray(picture * D, (picture + 1) * D), row * D);
    }
  }
  return new Tensor("float32", [B * L, D], rows);
}

/** `[B, L]`: every row of the embeddings. */
function everyRow({ shape: [B, L] }: Tensor): number[][] {
  return Array.from({ length: B }, (_, b) => Array.from({ length: L }, (_, c) => b * L + c));
}
