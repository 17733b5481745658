import { Callable } from "../base/callable.ts";
import { UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import type { StepTimes } from "../devices/step_times.ts";
import type { GenerationConfig } from "../generation/configuration_utils.ts";
import type { CacheDType } from "../kernels/cache_pages.ts";
import type { LlavaConfig } from "../models/llava/configuration_llava.ts";
import type { ModelOutput } from "../models/model_output.ts";
import type { Module, Parameter } from "../nn/module.ts";
import { BYTES } from "../tensor/dtype.ts";
import { sizeOf, Tensor } from "../tensor/tensor.ts";
import type { CacheReport } from "./cache_limits.ts";
import { type DequantizeOptions, dequantize } from "./dequantize.ts";
import { type DeviceLimits, deviceLimits } from "./device_limits.ts";
import { InputEmbeddings } from "./embeddings.ts";
import type { LlavaForwardOptions } from "./forward_inputs.ts";
import { type ImageFeatureOptions, imageFeatures } from "./image_features.ts";
import { LanguageModel } from "./language_model.ts";
import { freeParameters, type LlavaRuntime } from "./llava_runtime.ts";
import type { LoadedTensor } from "./loading.ts";
import type { BaseModelOutputWithPooling, LlavaModelOutputWithPast } from "./outputs.ts";
import type { LoadedModel } from "./pretrained.ts";
import { type ResizeOptions, resizeTokenEmbeddings } from "./resize_embeddings.ts";
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

/** Names of tables of embeddings. */
const EMBEDDINGS = /\.(embed_tokens|position_embedding)\.weight$/;

/** What `LlavaModel` and `LlavaForConditionalGeneration` have in common. */
export abstract class LlavaPreTrainedModel<
  Options extends LlavaForwardOptions,
  Output extends ModelOutput,
> extends CallableModel<Options, Output> {
  readonly config: LlavaConfig;
  /** Shared by the views of one model. */
  protected readonly loaded: LoadedModel;
  protected readonly runtime: LlavaRuntime;
  readonly #root: Module;

  protected constructor(loaded: LoadedModel, root: Module) {
    super();
    const { runtime } = loaded;
    this.config = runtime.config;
    this.loaded = loaded;
    this.runtime = runtime;
    this.#root = root;
  }

  /** What most of the weights are kept in. */
  get dtype(): KeptDType {
    return this.loaded.dtype;
  }

  /** What keys and values are kept in. */
  get cacheDtype(): CacheDType {
    return this.runtime.pool.dtype;
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

  /** What is kept of pictures and prompts for later calls, and how often that was of use. */
  get caches(): CacheReport {
    const { pictures, prompts } = this.runtime;
    return { pictures: pictures.report, prompts: prompts.report };
  }

  /** Forgets what is kept of pictures and prompts. */
  clearCaches(): void {
    this.runtime.clearCaches();
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

  /** The table of token embeddings. */
  get_input_embeddings(): InputEmbeddings {
    return new InputEmbeddings(this.runtime);
  }

  /** The text model without its head. */
  get_decoder(): LanguageModel {
    return new LanguageModel(this.config.text_config, (options) => this.decode(options));
  }

  /** One pass of the text model, which is given no pictures. */
  protected abstract decode(options: LlavaForwardOptions): Promise<LlavaModelOutputWithPast>;

  /**
   * How many numbers the model has. A shared matrix counts once.
   *
   * @param options.exclude_embeddings leaves out the tables of embeddings: of tokens, and of places in pictures
   * @param options.only_trainable changes nothing: as in Transformers, every weight counts as one that may be trained
   */
  num_parameters(options: { only_trainable?: boolean; exclude_embeddings?: boolean } = {}): number {
    checkOptions("num_parameters", options, ["only_trainable", "exclude_embeddings"]);
    const parameters = this.#parameters();
    if (options.exclude_embeddings) {
      for (const [name, parameter] of this.#root.named_parameters())
        if (EMBEDDINGS.test(name)) parameters.delete(parameter);
    }
    return [...parameters].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  }

  /**
   * Bytes of the weights on the device.
   *
   * @param options.return_buffers changes nothing: there are no buffers beside the weights
   */
  get_memory_footprint(options: { return_buffers?: boolean } = {}): number {
    checkOptions("get_memory_footprint", options, ["return_buffers"]);
    return [...this.#parameters()].reduce(
      (sum, { value }) => sum + sizeOf(value.shape) * BYTES[value.dtype],
      0,
    );
  }

  #parameters(): Set<Parameter> {
    return new Set([...this.#root.named_parameters()].map(([, parameter]) => parameter));
  }

  /**
   * Changes how many tokens the model has. Old rows stay as they are; new ones are the mean of the old, or drawn.
   *
   * @param new_num_tokens how many; they may stand in the options, too
   * @throws UnsupportedError where the table is packed
   */
  async resize_token_embeddings(
    new_num_tokens?: number | ResizeOptions | null,
    options: ResizeOptions = {},
  ): Promise<InputEmbeddings> {
    const all =
      typeof new_num_tokens === "number" ? { new_num_tokens, ...options } : { ...new_num_tokens, ...options };
    this.loaded.tensors = await resizeTokenEmbeddings(this.runtime, this.loaded.tensors, all);
    this.clearCaches();
    return this.get_input_embeddings();
  }

  /**
   * Makes packed weights into floats, and forgets that the checkpoint was quantised: such a model can be saved.
   *
   * @throws OptionError where nothing is quantised
   */
  async dequantize(options: DequantizeOptions = {}): Promise<this> {
    this.loaded.dtype = await dequantize(this.runtime, options);
    this.clearCaches();
    return this;
  }

  /** Tokens for a trial, as Transformers has them. */
  get dummy_inputs(): { input_ids: Tensor } {
    const rows = [
      [7, 6, 0, 0, 1],
      [1, 2, 3, 0, 0],
      [0, 0, 0, 4, 5],
    ];
    return { input_ids: Tensor.fromNested(rows) };
  }

  /** Whether forward passes are computed again for gradients. Never: nothing is trained here. */
  get is_activation_checkpointing(): boolean {
    return false;
  }

  /** The older name of `is_activation_checkpointing`. */
  get is_gradient_checkpointing(): boolean {
    return false;
  }

  /** Whether kernels from the Hub are used. Never. */
  get use_kernels(): boolean {
    return false;
  }

  /** Whether weights are spread over processes. Never: a model lives on one device. */
  get is_distributed_loading_by_transformers(): boolean {
    return false;
  }

  /** Whether layers can be split among devices. */
  get supports_tp_plan(): boolean {
    return false;
  }

  /** Whether layers can be shared out among devices. */
  get supports_pp_plan(): boolean {
    return false;
  }

  /** Whether a text can be shared out among devices. */
  get supports_context_parallel(): boolean {
    return false;
  }

  /** Among how many devices layers are split: none. */
  get tp_size(): null {
    return null;
  }

  /** Among how many devices weights are shared out: none. */
  get fsdp_size(): null {
    return null;
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
        tensors: this.#savedTensors(options.save_original_format ?? true),
        generation_config: this.savedGeneration(),
      },
      options,
    );
  }

  /** The tensors under the names that the checkpoint had for them, or under those of the tree of modules. */
  #savedTensors(original: boolean): LoadedTensor[] {
    const own = this.#parameters();
    const tensors = this.loaded.tensors.filter(({ parameter }) => own.has(parameter));
    if (original) return tensors;
    const names = new Map<Parameter, string>();
    for (const [name, parameter] of this.#root.named_parameters())
      if (!names.has(parameter)) names.set(parameter, name);
    return tensors.map(({ name, parameter }) => ({ name: names.get(parameter) ?? name, parameter }));
  }

  /** Settings of `generate`, for a model that has them. */
  protected savedGeneration(): GenerationConfig | undefined {
    return undefined;
  }

  /** What the device reaches at most. Takes some seconds. */
  deviceLimits(): Promise<DeviceLimits> {
    return deviceLimits(this.runtime.device);
  }

  /**
   * Tells where the time of each step goes from now on; not any more, where nobody is given.
   *
   * @throws UnsupportedError where the device cannot measure it
   */
  watchSteps(told: ((times: StepTimes) => void) | undefined): void {
    const { device } = this.runtime;
    if (!device.watch) {
      throw new UnsupportedError(
        `a ${device.kind} device cannot tell what its kernels take; a native one can`,
        {
          where: "device",
          got: device.kind,
          expected: "native",
        },
      );
    }
    device.watch(told);
  }

  /** Gives all memory back. The model cannot be used afterwards. */
  async dispose(): Promise<void> {
    this.clearCaches();
    freeParameters(this.#root);
    this.runtime.pool.dispose();
    await this.runtime.device.dispose();
  }
}
