import { Callable } from "../base/callable.ts";
import { OptionError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import type { GenerationConfig } from "../generation/configuration_utils.ts";
import { generate } from "../generation/generate.ts";
import type { GenerateOptions } from "../generation/generate_options.ts";
import type { GenerateDecoderOnlyOutput } from "../generation/generation_output.ts";
import type { LlavaConfig } from "../models/llava/configuration_llava.ts";
import type { ModelOutput } from "../models/model_output.ts";
import type { Module, Parameter } from "../nn/module.ts";
import { BYTES } from "../tensor/dtype.ts";
import { type Ids, idRows } from "../tensor/ids.ts";
import { sizeOf, Tensor } from "../tensor/tensor.ts";
import { type DeviceLimits, deviceLimits } from "./device_limits.ts";
import { FORWARD_OPTIONS, type LlavaForwardOptions, prepareForward } from "./forward_inputs.ts";
import { LlavaGenerationModel } from "./generation_adapter.ts";
import { type ImageFeatureOptions, imageFeatures } from "./image_features.ts";
import { freeParameters, type LlavaRuntime } from "./llava_runtime.ts";
import type { LoadedTensor } from "./loading.ts";
import { causalLMLoss, countedColumns, lossTargets } from "./loss.ts";
import {
  type BaseModelOutputWithPooling,
  LlavaCausalLMOutputWithPast,
  LlavaModelOutputWithPast,
} from "./outputs.ts";
import { type LoadedModel, loadPretrained, type ModelFromPretrainedOptions } from "./pretrained.ts";
import { loadRandom, type RandomModelOptions } from "./random_model.ts";
import { type SavePretrainedOptions, savePretrained } from "./save_pretrained.ts";
import type { KeptDType } from "./weight_storage.ts";

/** `forward`, and calling the model itself. */
interface Forward<Options, Output> {
  (options: Options & { return_dict: false }): Promise<unknown[]>;
  (options: Options): Promise<Output>;
}

const CallableModel = Callable as unknown as abstract new <Options, Output>() => Callable<
  [Options],
  Promise<Output | unknown[]>
> &
  Forward<Options, Output>;

/** What `LlavaModel` and `LlavaForConditionalGeneration` have in common. */
abstract class LlavaPreTrainedModel<
  Options extends LlavaForwardOptions,
  Output extends ModelOutput,
> extends CallableModel<Options, Output> {
  readonly config: LlavaConfig;
  readonly #dtype: KeptDType;
  protected readonly runtime: LlavaRuntime;
  readonly #root: Module;
  readonly #tensors: readonly LoadedTensor[];

  protected constructor({ runtime, dtype, tensors }: LoadedModel, root: Module) {
    super();
    this.#tensors = tensors;
    this.config = runtime.config;
    this.#dtype = dtype;
    this.runtime = runtime;
    this.#root = root;
  }

  /** What most of the weights are kept in. */
  get dtype(): KeptDType {
    return this.#dtype;
  }

  /** What computes: `reference`, `native`, `wasm` or `webgpu`. */
  get device(): string {
    return this.runtime.device.kind;
  }

  /** What computes, and why, in one line. */
  get deviceDescription(): string {
    return this.runtime.device.description;
  }

  /** Threads that compute. */
  get threads(): number {
    return this.runtime.device.threads;
  }

  /** Bytes held on the device: weights, caches, features. */
  get deviceBytes(): number {
    return this.runtime.device.bytes;
  }

  /** One pass. Outputs are float32 and on the host; past_key_values stays on the device. */
  forward(options: Options & { return_dict: false }): Promise<unknown[]>;
  forward(options: Options): Promise<Output>;
  async forward(options: Options): Promise<Output | unknown[]> {
    return this.#shown(await this.compute(options), options);
  }

  #shown<Shown extends ModelOutput>(
    output: Shown,
    { return_dict }: { return_dict?: boolean | null },
  ): Shown | unknown[] {
    const tuple = (return_dict ?? this.config.return_dict) === false;
    return tuple ? output.to_tuple() : output;
  }

  override __call__(options: Options): Promise<Output | unknown[]> {
    return this.forward(options);
  }

  protected abstract compute(options: Options): Promise<Output>;

  /**
   * What the language model is given of pictures.
   *
   * @throws ShapeError where the pictures have not the tower's size
   */
  get_image_features(options: ImageFeatureOptions & { return_dict: false }): Promise<unknown[]>;
  get_image_features(options: ImageFeatureOptions): Promise<BaseModelOutputWithPooling>;
  async get_image_features(options: ImageFeatureOptions): Promise<BaseModelOutputWithPooling | unknown[]> {
    return this.#shown(await imageFeatures(this.runtime, options), options);
  }

  /**
   * How many numbers the model has. A shared matrix counts once.
   *
   * @param options.exclude_embeddings leaves out the matrix of the tokens' embeddings
   */
  num_parameters(options: { exclude_embeddings?: boolean } = {}): number {
    checkOptions("num_parameters", options, ["exclude_embeddings"]);
    const parameters = new Set<Parameter>(
      [...this.#root.named_parameters()].map(([, parameter]) => parameter),
    );
    if (options.exclude_embeddings) parameters.delete(this.runtime.model.language_model.embed_tokens.weight);
    return [...parameters].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  }

  /** Bytes of the weights on the device. */
  get_memory_footprint(): number {
    const parameters = new Set<Parameter>(
      [...this.#root.named_parameters()].map(([, parameter]) => parameter),
    );
    return [...parameters].reduce((sum, { value }) => sum + sizeOf(value.shape) * BYTES[value.dtype], 0);
  }

  /** Whether the class has `generate`. */
  can_generate(): boolean {
    return "generate" in this;
  }

  /**
   * Writes config and weights into a folder, under the names that the checkpoint had, for Transformers or for here.
   */
  async save_pretrained(save_directory: string, options: SavePretrainedOptions = {}): Promise<void> {
    const { config, dtype } = this;
    const { device } = this.runtime;
    const architecture = this.constructor.name;
    await savePretrained(
      save_directory,
      {
        config,
        dtype,
        device,
        architecture,
        tensors: this.#tensors,
        generation_config: this.savedGeneration(),
      },
      options,
    );
  }

  /** Settings of `generate`, for a model that has them. */
  protected savedGeneration(): GenerationConfig | undefined {
    return undefined;
  }

  /** What the device reaches at most. Takes some seconds. */
  deviceLimits(): Promise<DeviceLimits> {
    return deviceLimits(this.runtime.device);
  }

  /** Gives all memory back. The model cannot be used afterwards. */
  async dispose(): Promise<void> {
    freeParameters(this.#root);
    this.runtime.pool.dispose();
    await this.runtime.device.dispose();
  }
}

/** Vision tower, projector and language model, without the head that predicts tokens. */
export class LlavaModel extends LlavaPreTrainedModel<LlavaForwardOptions, LlavaModelOutputWithPast> {
  /**
   * Reads a checkpoint: a folder, a Hub id, or "llava-demo".
   *
   * @throws CheckpointError where files are missing, damaged or do not fit; HubError where they cannot be had
   */
  static async from_pretrained(name: string, options: ModelFromPretrainedOptions = {}): Promise<LlavaModel> {
    const loaded = await loadPretrained(name, options, ({ body }) => body, ["lm_head."]);
    return new LlavaModel(loaded, loaded.runtime.body);
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
  /** [B, L]: the tokens themselves; -100 is not counted. Gives `loss`. */
  labels?: Ids | null;
  /** [B, L]: the tokens that come next, in place of `labels`. */
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
  static async from_pretrained(
    name: string,
    options: ModelFromPretrainedOptions = {},
  ): Promise<LlavaForConditionalGeneration> {
    const loaded = await loadPretrained(name, options, ({ root }) => root, []);
    return new LlavaForConditionalGeneration(loaded);
  }

  /**
   * A model of a published size with random weights, made in memory: for measuring speed without a download.
   *
   * @param shape `llava-1.5-7b`, `llava-1.1b` or `llava-0.5b`
   */
  static async random(shape: string, options: RandomModelOptions): Promise<LlavaForConditionalGeneration> {
    return new LlavaForConditionalGeneration(await loadRandom(shape, options));
  }

  readonly #generation: LlavaGenerationModel;

  private constructor(loaded: LoadedModel) {
    super(loaded, loaded.runtime.root);
    this.#generation = new LlavaGenerationModel(loaded.runtime, loaded.generation_config);
  }

  /** The checkpoint's settings of `generate`; may be changed. */
  get generation_config(): GenerationConfig {
    return this.#generation.generation_config;
  }

  set generation_config(config: GenerationConfig) {
    this.#generation.generation_config = config;
  }

  protected override savedGeneration(): GenerationConfig {
    return this.generation_config;
  }

  /**
   * Continues prompts: int32 [B, L] with the prompts before what was generated.
   *
   * @throws OptionError naming an option that is unknown or cannot be; ShapeError where inputs do not fit together
   */
  generate(options: GenerateOptions & { return_dict_in_generate: true }): Promise<GenerateDecoderOnlyOutput>;
  generate(options: GenerateOptions): Promise<Tensor>;
  generate(options: GenerateOptions): Promise<Tensor | GenerateDecoderOnlyOutput> {
    return generate(this.#generation, options);
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
