import { openRepository } from "../hub/open.ts";
import { type HubOptions, splitHubOptions } from "../hub/repository.ts";
import { unnamedLabels } from "./class_labels.ts";
import { COMMON_FIELDS, CONSUMED_KEYS, DTYPE_ALIASES, KNOWN_EXTRAS, ROPE_KEYS } from "./common_fields.ts";
import type { ConfigDict, FieldTable } from "./config_fields.ts";
import { asConfigDict, inFile, partFor, readJsonFile } from "./config_files.ts";
import { cloneJson, pythonJson } from "./config_json.ts";
import { override, refuseUnused } from "./config_overrides.ts";
import {
  checkEmbedDim,
  checkLayerTypes,
  checkProblemType,
  refuseGenerationSettings,
  refuseLayerSettings,
  warnOfTokenIds,
} from "./config_validation.ts";
import { differing, isFloatAt } from "./config_writing.ts";
import { keepKey } from "./custom_keys.ts";
import { DeclaredFields, undeclared, unknownField } from "./declared_fields.ts";
import {
  foldRopeParameters,
  type RopeContext,
  type RopeParameters,
  validateRopeParameters,
} from "./rope_parameters.ts";
import { checkSaveOptions, saveTextFile, saveTextFileAt } from "./save_file.ts";
import { type ConfigClass, createSubConfigs, type SubConfigSpec, type UnknownFields } from "./sub_config.ts";

/** The version whose files these configs read and write. */
export const TRANSFORMERS_VERSION = "5.23.0";

const CONFIG_NAME = "config.json";

/** Options of `from_pretrained`: where to look, and fields that override the file's. */
export interface ConfigFromPretrainedOptions extends HubOptions {
  /** Gives `[config, unused]` and does not throw for options that are no field. */
  return_unused_kwargs?: boolean;
  [field: string]: unknown;
}

/** How JSON is written. */
export interface ConfigJsonOptions {
  /** Leaves out what every config has by default. */
  use_diff?: boolean;
}

/**
 * What a checkpoint's config.json says. A subclass declares its fields in the static table `fields`; each becomes
 * a property that refuses what the field does not accept. Keys that no table declares are kept as they are, and
 * written back.
 */
export class PreTrainedConfig extends DeclaredFields {
  static readonly model_type: string = "";
  /** The key under which a larger config holds one of this class. */
  static readonly base_config_key: string = "";
  static override readonly fields: FieldTable = COMMON_FIELDS;
  static readonly sub_configs_defaults: Readonly<Record<string, SubConfigSpec>> = {};
  static readonly default_rope_type: string = "default";

  declare transformers_version: string | null;
  declare architectures: string[] | null;
  declare output_hidden_states: boolean | null;
  declare return_dict: boolean | null;
  declare dtype: string | null;
  declare chunk_size_feed_forward: number;
  declare is_encoder_decoder: boolean;
  declare id2label: Record<string, string> | null;
  declare label2id: Record<string, number> | null;
  declare problem_type: string | null;

  #outputAttentions = false;
  #keepUnknown: boolean;
  /** Where the config came from, as the user named it. */
  declare _name_or_path: string;

  /**
   * @param values fields by name; those left out take their defaults
   * @throws OptionError naming the field that is not known, or whose value cannot be
   */
  constructor(values: ConfigDict = {}, { keep_unknown = false }: UnknownFields = {}) {
    super(values);
    this.#keepUnknown = keep_unknown;
    this.__post_init__(undeclared(new.target, values));
    this.validate();
  }

  /** Fills what depends on other fields. `rest` are the keys that no table declares. */
  protected __post_init__(rest: ConfigDict): void {
    createSubConfigs(this, this.#cls.sub_configs_defaults, { keep_unknown: this.#keepUnknown });
    if (typeof rest.torch_dtype === "string") this.dtype ??= rest.torch_dtype;
    if (this.dtype !== null) this.dtype = DTYPE_ALIASES[this.dtype] ?? this.dtype;
    if (this.id2label === null) this.num_labels = (rest.num_labels as number | undefined) ?? 2;
    checkProblemType(this);
    const consumed = [...CONSUMED_KEYS];
    if ("rope_parameters" in this) {
      this.convert_rope_params_to_dict(rest);
      consumed.push(...ROPE_KEYS);
    }
    const name = typeof rest._name_or_path === "string" ? rest._name_or_path : (rest.name_or_path ?? "");
    this.#keep("_name_or_path", String(name));
    if (rest.output_attentions === true) this.#outputAttentions = true;
    refuseLayerSettings(rest);
    for (const [key, value] of Object.entries(rest)) {
      if (consumed.includes(key)) continue;
      if (!this.#keepUnknown && !KNOWN_EXTRAS.includes(key)) throw unknownField(this.#cls, key, consumed);
      this.#keep(key, cloneJson(value));
    }
  }

  get #cls(): ConfigClass {
    return this.constructor as ConfigClass;
  }

  get model_type(): string {
    return this.#cls.model_type;
  }

  /** Classes that the parts may be, by the part's key. */
  static get sub_configs(): Readonly<Record<string, SubConfigSpec>> {
    return this.sub_configs_defaults;
  }

  get sub_configs(): Readonly<Record<string, SubConfigSpec>> {
    return this.#cls.sub_configs;
  }

  /** Whether layers have settings of their own. Never, here. */
  get is_heterogeneous(): boolean {
    return false;
  }

  get per_layer_attributes(): null {
    return null;
  }

  get name_or_path(): string {
    return this._name_or_path;
  }

  set name_or_path(value: string) {
    this._name_or_path = String(value);
  }

  get output_attentions(): boolean {
    return this.#outputAttentions;
  }

  set output_attentions(value: boolean) {
    this.#outputAttentions = value;
  }

  /** The older name of `dtype`. */
  get torch_dtype(): string | null {
    return this.dtype;
  }

  set torch_dtype(value: string | null) {
    this.dtype = value;
  }

  get use_return_dict(): boolean | null {
    return this.return_dict;
  }

  /** Of the models here, those that read text and Pixtral's tower have one. */
  declare rope_parameters?: RopeParameters;

  /** The older name of `rope_parameters`. */
  get rope_scaling(): RopeParameters | undefined {
    return this.rope_parameters;
  }

  set rope_scaling(value: RopeParameters | undefined) {
    this.rope_parameters = value;
  }

  get num_labels(): number | null {
    return this.id2label === null ? null : Object.keys(this.id2label).length;
  }

  set num_labels(count: number) {
    if (this.num_labels !== count) Object.assign(this, unnamedLabels(count));
  }

  /**
   * The config of the part that reads text: `text_config` where there is one, else this.
   *
   * @param options.encoder only this: the part that reads the input of an encoder-decoder model
   */
  get_text_config(options: { decoder?: boolean; encoder?: boolean } = {}): PreTrainedConfig {
    const both = Boolean(options.decoder) === Boolean(options.encoder);
    if (!both && !options.decoder) return this;
    const part = (this as unknown as Record<string, unknown>).text_config;
    return part instanceof PreTrainedConfig ? part : this;
  }

  /** Sets fields from an object. */
  update(values: ConfigDict): void {
    for (const [key, value] of Object.entries(values)) this.#assign(key, value);
  }

  /**
   * Checks everything that one field alone does not show.
   *
   * @throws OptionError naming what contradicts what
   */
  validate(): void {
    this.validate_architecture();
    this.validate_token_ids();
    this.validate_layer_type();
    this.validate_rope();
  }

  validate_architecture(): void {
    checkEmbedDim(this as unknown as Record<string, unknown>);
  }

  /** Warns of ids that no token has; published files hold some. */
  validate_token_ids(): void {
    warnOfTokenIds(this.get_text_config({ decoder: true }) as unknown as Record<string, unknown>);
  }

  validate_layer_type(): void {
    checkLayerTypes(this as unknown as Record<string, unknown>);
  }

  validate_rope(): void {
    if (this.rope_parameters) validateRopeParameters(this.rope_parameters, this as RopeContext);
  }

  /** Folds the older spellings of RoPE into `rope_parameters` again, after they were changed by hand. */
  standardize_rope_params(): void {
    this.convert_rope_params_to_dict({});
  }

  /** Folds `rope_theta` and `rope_scaling` of `values` into `rope_parameters`; gives the rest back. */
  convert_rope_params_to_dict(values: ConfigDict): ConfigDict {
    const { rope_theta: _theta, rope_scaling: _scaling, partial_rotary_factor: _partial, ...rest } = values;
    this.rope_parameters = foldRopeParameters(
      this.rope_parameters,
      values,
      this as RopeContext,
      this.#cls.default_rope_type,
    );
    return rest;
  }

  /** Everything, as plain JSON. */
  override to_dict(): Record<string, unknown> {
    const out: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(this)) {
      const copy = cloneJson(value);
      if (value instanceof PreTrainedConfig) delete (copy as Record<string, unknown>).transformers_version;
      out[key] = copy;
    }
    out.model_type = this.model_type;
    out.transformers_version = TRANSFORMERS_VERSION;
    out.output_attentions = this.#outputAttentions;
    return out;
  }

  /** What differs from the defaults that all configs share; a class's own fields are always there. */
  to_diff_dict(): Record<string, unknown> {
    const out = differing(this, this.to_dict(), new PreTrainedConfig().to_dict());
    out.transformers_version = TRANSFORMERS_VERSION;
    delete out._name_or_path;
    return out;
  }

  to_json_string({ use_diff = true }: ConfigJsonOptions = {}): string {
    const values = use_diff ? this.to_diff_dict() : this.to_dict();
    return pythonJson(values, (path) => isFloatAt(this, path));
  }

  /** Writes the JSON to a file, whole or not at all. */
  async to_json_file(json_file_path: string, options: ConfigJsonOptions = {}): Promise<void> {
    await saveTextFileAt(json_file_path, this.to_json_string(options));
  }

  /**
   * Writes `config.json` into a folder, making it where there is none.
   *
   * @throws OptionError where the config is invalid, or generation settings were put on it
   */
  async save_pretrained(save_directory: string, options: { push_to_hub?: false } = {}): Promise<void> {
    checkSaveOptions(`${this.constructor.name}.save_pretrained`, options);
    refuseGenerationSettings(this, this.#cls.fields);
    this.validate();
    await saveTextFile(save_directory, CONFIG_NAME, this.to_json_string());
  }

  /**
   * A config from plain JSON. Unknown keys are kept.
   *
   * @param overrides fields that win over the JSON's; a sub-config's fields may be given as an object of some
   * @throws OptionError naming the field whose value cannot be, or the override that is no field
   */
  static from_dict<T extends PreTrainedConfig>(
    this: ConfigClass<T>,
    config_dict: ConfigDict,
    overrides: ConfigDict = {},
  ): T {
    const config = new this(asConfigDict(config_dict, this.name), { keep_unknown: true });
    refuseUnused(config, override(config, overrides));
    return config;
  }

  /** A config from a JSON file on disk. */
  static async from_json_file<T extends PreTrainedConfig>(
    this: ConfigClass<T>,
    json_file: string,
  ): Promise<T> {
    const values = await readJsonFile(json_file);
    return inFile(json_file, () => new this(values, { keep_unknown: true }));
  }

  /**
   * The config of a checkpoint: a folder, a Hub id, or a JSON file on disk.
   *
   * @throws CheckpointError naming the file and the field whose value cannot be
   * @throws OptionError where an option is neither a field nor says where to look
   */
  static async from_pretrained<T extends PreTrainedConfig>(
    this: ConfigClass<T>,
    name: string,
    options: ConfigFromPretrainedOptions & { return_unused_kwargs: true },
  ): Promise<[T, Record<string, unknown>]>;
  static async from_pretrained<T extends PreTrainedConfig>(
    this: ConfigClass<T>,
    name: string,
    options?: ConfigFromPretrainedOptions,
  ): Promise<T>;
  static async from_pretrained<T extends PreTrainedConfig>(
    this: ConfigClass<T>,
    name: string,
    options: ConfigFromPretrainedOptions = {},
  ): Promise<T | [T, Record<string, unknown>]> {
    const { return_unused_kwargs, ...given } = options;
    const [whole, overrides] = await this.get_config_dict(name, given);
    const values = partFor(this, whole);
    const config = inFile(CONFIG_NAME, () => new this(values, { keep_unknown: true }));
    const unused = override(config, { name_or_path: name, ...overrides });
    if (return_unused_kwargs) return [config, unused];
    refuseUnused(config, unused);
    return config;
  }

  /** The JSON of a checkpoint's config, and the options that do not say where to look. */
  static async get_config_dict(
    name: string,
    options: ConfigFromPretrainedOptions = {},
  ): Promise<[ConfigDict, Record<string, unknown>]> {
    const { return_unused_kwargs: _, ...given } = options;
    const [hub, rest] = splitHubOptions(given);
    if (name.endsWith(".json")) return [await readJsonFile(name), rest];
    const repository = await openRepository(name, hub);
    return [asConfigDict(await repository.json(CONFIG_NAME), CONFIG_NAME), rest];
  }

  /** Keeps an undeclared key as a plain property. It must not hide what the class has under that name. */
  #keep(key: string, value: unknown): void {
    keepKey(this, key, value, { cls: PreTrainedConfig, noun: "field" });
  }

  #assign(key: string, value: unknown): void {
    const settable = Object.getOwnPropertyDescriptor(PreTrainedConfig.prototype, key)?.set !== undefined;
    if (settable || Object.hasOwn(this, key)) (this as unknown as Record<string, unknown>)[key] = value;
    else this.#keep(key, value);
  }
}
