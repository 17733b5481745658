import { OptionError, UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import type { GenerationConfig } from "../generation/configuration_utils.ts";
import { type Generated, generate } from "../generation/generate.ts";
import type { GenerateOptions } from "../generation/generate_options.ts";
import { generationModel } from "../generation/generation_model.ts";
import type {
  GenerateBeamDecoderOnlyOutput,
  GenerateDecoderOnlyOutput,
} from "../generation/generation_output.ts";
import { type TransitionScoreOptions, transitionScores } from "../generation/transition_scores.ts";
import { type Ids, idRows } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";
import { OutputEmbeddings } from "./embeddings.ts";
import { FORWARD_OPTIONS, type LlavaForwardOptions, prepareForward } from "./forward_inputs.ts";
import { LlavaGenerationModel } from "./generation_adapter.ts";
import { causalLMLoss, countedColumns, lossFunction, lossTargets } from "./loss.ts";
import { LlavaCausalLMOutputWithPast, LlavaModelOutputWithPast } from "./outputs.ts";
import { placeholderMask } from "./placeholder_mask.ts";
import { type PrepareInputsOptions, prepareInputs } from "./prepare_inputs.ts";
import {
  type LoadedModel,
  type LoadingInfo,
  loadPretrained,
  type ModelFromPretrainedOptions,
  withInfo,
} from "./pretrained.ts";
import { LlavaPreTrainedModel } from "./pretrained_model.ts";
import { loadRandom, type RandomModelOptions } from "./random_model.ts";

/** Vision tower, projector and language model, without the head that predicts tokens. */
export class LlavaModel extends LlavaPreTrainedModel<LlavaForwardOptions, LlavaModelOutputWithPast> {
  /**
   * Reads a checkpoint: a folder, a Hub id, or "llava-demo".
   *
   * @throws CheckpointError where files are missing, damaged or do not fit; HubError where they cannot be had
   */
  static from_pretrained(
    name: string,
    options: ModelFromPretrainedOptions & { output_loading_info: true },
  ): Promise<[LlavaModel, LoadingInfo]>;
  static from_pretrained(name: string, options?: ModelFromPretrainedOptions): Promise<LlavaModel>;
  static async from_pretrained(
    name: string,
    options: ModelFromPretrainedOptions = {},
  ): Promise<LlavaModel | [LlavaModel, LoadingInfo]> {
    const loaded = await loadPretrained(name, options, ({ body }) => body, ["lm_head."]);
    return withInfo(new LlavaModel(loaded), loaded, options);
  }

  /** @param loaded what `from_pretrained` has read: a model is not made from a config alone */
  constructor(loaded: LoadedModel) {
    if (!loaded.runtime) {
      throw new UnsupportedError("LlavaModel is made with await LlavaModel.from_pretrained(name)", {
        where: "LlavaModel",
      });
    }
    super(loaded, loaded.runtime.body);
  }

  /** The model itself. */
  get base_model(): this {
    return this;
  }

  /**
   * Where pictures go: 1 at their placeholders and 0 elsewhere, [B, L, 1].
   *
   * @param input_ids [B, L]; null: placeholders are found among the embeddings
   * @param inputs_embeds [B, L, D]
   * @param image_features the rows of all pictures
   * @throws ShapeError where there are not as many placeholders as rows
   */
  get_placeholder_mask(
    input_ids: Ids | null,
    inputs_embeds: Tensor,
    image_features: Tensor,
  ): Promise<Tensor> {
    return placeholderMask(this.runtime, input_ids, inputs_embeds, image_features);
  }

  protected override decode(options: LlavaForwardOptions): Promise<LlavaModelOutputWithPast> {
    return this.compute(options);
  }

  protected override async compute(options: LlavaForwardOptions): Promise<LlavaModelOutputWithPast> {
    checkOptions("LlavaModel", options, FORWARD_OPTIONS);
    const { pass, past, release } = await prepareForward(this.runtime, options);
    try {
      const { last_hidden_state, logits: _, ...rest } = await this.runtime.pass(pass);
      if (!last_hidden_state) throw new OptionError("LlavaModel: the pass gave no hidden state");
      return new LlavaModelOutputWithPast({ last_hidden_state, past_key_values: past, ...rest });
    } finally {
      release();
    }
  }
}

/** Arguments of `LlavaForConditionalGeneration.forward`. */
export interface LlavaCausalLMForwardOptions extends LlavaForwardOptions {
  /** `[B, L]`: the tokens themselves; -100 is not counted. Gives `loss`. */
  labels?: Ids | null;
  /** `[B, L]`: the tokens that come next, in place of `labels`. */
  shift_labels?: Ids | null;
  /** Divides the loss, in place of the number of labels. */
  num_items_in_batch?: number | null;
  /** Logits of the last columns only, or of those listed. 0: all. */
  logits_to_keep?: number | readonly number[] | Tensor | null;
}

const CAUSAL_LM_OPTIONS: readonly string[] = [
  ...FORWARD_OPTIONS,
  ...([
    "labels",
    "shift_labels",
    "num_items_in_batch",
    "logits_to_keep",
  ] satisfies (keyof LlavaCausalLMForwardOptions)[]),
];

/** LLaVA: looks at pictures and predicts the next token. */
export class LlavaForConditionalGeneration extends LlavaPreTrainedModel<
  LlavaCausalLMForwardOptions,
  LlavaCausalLMOutputWithPast
> {
  /**
   * Reads a checkpoint: a folder, a Hub id, or "llava-demo".
   *
   * @throws CheckpointError where files are missing, damaged or do not fit; HubError where they cannot be had
   */
  static from_pretrained(
    name: string,
    options: ModelFromPretrainedOptions & { output_loading_info: true },
  ): Promise<[LlavaForConditionalGeneration, LoadingInfo]>;
  static from_pretrained(
    name: string,
    options?: ModelFromPretrainedOptions,
  ): Promise<LlavaForConditionalGeneration>;
  static async from_pretrained(
    name: string,
    options: ModelFromPretrainedOptions = {},
  ): Promise<LlavaForConditionalGeneration | [LlavaForConditionalGeneration, LoadingInfo]> {
    const loaded = await loadPretrained(name, options, ({ root }) => root, []);
    return withInfo(new LlavaForConditionalGeneration(loaded), loaded, options);
  }

  /**
   * A model of a published size with random weights, made in memory: for measuring speed without a download.
   *
   * @param shape `llava-1.5-7b`, `llava-1.1b` or `llava-0.5b`
   */
  static async random(shape: string, options: RandomModelOptions): Promise<LlavaForConditionalGeneration> {
    return new LlavaForConditionalGeneration(await loadRandom(shape, options));
  }

  #body: LlavaModel | undefined;
  /** What `generate` works with. */
  readonly [generationModel]: LlavaGenerationModel;

  private constructor(loaded: LoadedModel) {
    super(loaded, loaded.runtime.root);
    this[generationModel] = new LlavaGenerationModel(loaded.runtime, loaded.generation_config);
  }

  /** The checkpoint's settings of `generate`; may be changed. */
  get generation_config(): GenerationConfig {
    return this[generationModel].generation_config;
  }

  set generation_config(config: GenerationConfig) {
    this[generationModel].generation_config = config;
  }

  /** The model without its head: a view of the same weights. */
  get base_model(): LlavaModel {
    this.#body ??= new LlavaModel(this.loaded);
    return this.#body;
  }

  /** As `base_model`. */
  get model(): LlavaModel {
    return this.base_model;
  }

  /** The head that gives each token a score. */
  get_output_embeddings(): OutputEmbeddings {
    return new OutputEmbeddings(this.runtime);
  }

  /** Cross-entropy of the next token, as `forward` computes it of `labels`. */
  get loss_function(): typeof lossFunction {
    return lossFunction;
  }

  /** Makes the head use the table of token embeddings, where the config says so. */
  tie_weights(): void {
    if (!this.config.tie_word_embeddings) return;
    const { head, model } = this.runtime;
    const { weight } = model.language_model.embed_tokens;
    if (head.weight === weight) return;
    const { weight: own } = head;
    head.weight = weight;
    this.loaded.tensors = this.loaded.tensors.filter(({ parameter }) => parameter !== own);
    own.free();
  }

  /** The arguments of `forward` for the next step of a generation that is written by hand. */
  prepare_inputs_for_generation(input_ids: Ids, options: PrepareInputsOptions = {}): Record<string, unknown> {
    return prepareInputs(input_ids, options);
  }

  protected override decode(options: LlavaForwardOptions): Promise<LlavaModelOutputWithPast> {
    return this.base_model.forward(options);
  }

  protected override savedGeneration(): GenerationConfig {
    return this.generation_config;
  }

  /**
   * Continues prompts: int32 [B, L] with the prompts before what was generated.
   *
   * @throws OptionError naming an option that is unknown or cannot be; ShapeError where inputs do not fit together
   */
  generate(
    options: GenerateOptions & { return_dict_in_generate: true; num_beams?: 1 | null },
  ): Promise<GenerateDecoderOnlyOutput>;
  generate(
    options: GenerateOptions & { return_dict_in_generate: true; num_beams: number },
  ): Promise<GenerateBeamDecoderOnlyOutput>;
  generate(options: GenerateOptions & { return_dict_in_generate: true }): Promise<GenerateDecoderOnlyOutput>;
  generate(options: GenerateOptions): Promise<Tensor>;
  async generate(options: GenerateOptions): Promise<Generated> {
    return generate(this[generationModel], options);
  }

  /**
   * The scores that generated tokens had when they were chosen: float32 [R, new tokens], 0 past a sequence's end.
   *
   * @param sequences what `generate` gave, [R, L]
   * @param scores those that it gave with `output_scores`
   * @throws ShapeError where they do not belong together
   */
  compute_transition_scores(
    sequences: Ids,
    scores: readonly Tensor[] | null | undefined,
    options: TransitionScoreOptions = {},
  ): Tensor {
    return transitionScores(sequences, scores, this.config.text_config.vocab_size, options);
  }

  protected override async compute(
    options: LlavaCausalLMForwardOptions,
  ): Promise<LlavaCausalLMOutputWithPast> {
    checkOptions("LlavaForConditionalGeneration", options, CAUSAL_LM_OPTIONS);
    const { labels, shift_labels, num_items_in_batch, logits_to_keep } = options;
    const targets = lossTargets({
      labels: labels ? idRows("labels", labels) : undefined,
      shift_labels: shift_labels ? idRows("shift_labels", shift_labels) : undefined,
    });
    const { pass, past, release } = await prepareForward(
      this.runtime,
      options,
      targets && countedColumns(targets),
    );
    try {
      const logitColumns = keptColumns(logits_to_keep ?? 0, pass.batch.length);
      if (targets && logitColumns.length !== pass.batch.length) {
        throw new OptionError("labels cannot be given together with logits_to_keep", {
          where: "logits_to_keep",
        });
      }
      const { logits, last_hidden_state: _, ...rest } = await this.runtime.pass({ ...pass, logitColumns });
      if (!logits) throw new OptionError("LlavaForConditionalGeneration: the pass gave no logits");
      const loss = targets && causalLMLoss(logits, targets, num_items_in_batch ?? undefined);
      return new LlavaCausalLMOutputWithPast({ loss, logits, past_key_values: past, ...rest });
    } finally {
      release();
    }
  }
}

/** The columns that `logits_to_keep` means. */
function keptColumns(keep: number | readonly number[] | Tensor, length: number): number[] {
  if (typeof keep === "number") {
    if (!Number.isInteger(keep) || keep < 0) {
      throw new OptionError(`logits_to_keep: expected a whole number from 0, got ${keep}`, {
        where: "logits_to_keep",
        got: keep,
      });
    }
    const first = keep === 0 ? 0 : Math.max(0, length - keep);
    return Array.from({ length: length - first }, (_, i) => first + i);
  }
  const columns = keep instanceof Tensor ? Array.from(keep.data, Number) : [...keep];
  return columns.map((column) => {
    const counted = column < 0 ? length + column : column;
    if (Number.isInteger(counted) && counted >= 0 && counted < length) return counted;
    throw new OptionError(`logits_to_keep: column ${column} is out of range, there are ${length}`, {
      where: "logits_to_keep",
      got: column,
    });
  });
}
