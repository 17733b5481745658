import { OptionError, UnsupportedError } from "../base/errors.ts";
import { checkOptions, nearest } from "../base/options.ts";
import { openRepository } from "../hub/open.ts";
import { HUB_OPTIONS, type HubOptions } from "../hub/repository.ts";
import { COMMON_FIELDS, CONSUMED_KEYS, DTYPE_ALIASES, KNOWN_EXTRAS, ROPE_KEYS } from "./common_fields.ts";
import {
  type ConfigDict,
  type Field,
  type FieldTable,
  fieldError,
  integer,
  isRecord,
  LIMITS,
} from "./config_fields.ts";
import { asConfigDict, inFile, partFor, readJsonFile } from "./config_files.ts";
import { cloneJson, equalJson, pythonJson } from "./config_json.ts";
import { checkEmbedDim, checkLayerTypes, warnOfTokenIds } from "./config_validation.ts";
import { GENERATION_DEFAULTS } from "./generation_defaults.ts";
import {
  foldRopeParameters,
  ROPE_INTEGERS,
  type RopeContext,
  type RopeParameters,
  validateRopeParameters,
} from "./rope_parameters.ts";
import { checkSaveOptions, saveTextFile, saveTextFileAt } from "./save_file.ts";
import { type ConfigClass, createSubConfig, type SubConfigSpec, type UnknownFields } from "./sub_config.ts";

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
export class PreTrainedConfig {
  static readonly model_type: string = "";
  /** The key under which a larger config holds one of this class. */
  static readonly base_config_key: string = "";
  /** Other names of fields: `image_token_id` for `image_token_index`. */
  static readonly attribute_map: Readonly<Record<string, string>> = {};
  static readonly fields: FieldTable = COMMON_FIELDS;
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

  #values = new Map<string, unknown>();
  #outputAttentions = false;
  #keepUnknown: boolean;
  /** Where the config came from, as the user named it. */
  declare _name_or_path: string;

  /**
   * @param values fields by name; those left out take their defaults
   * @throws OptionError naming the field that is not known, or whose value cannot be
   */
  constructor(values: ConfigDict = {}, { keep_unknown = false }: UnknownFields = {}) {
    if (!isRecord(values)) {
      throw new OptionError(`${new.target.name} takes one object of fields`, { got: values });
    }
    const { fields, attribute_map } = new.target;
    this.#keepUnknown = keep_unknown;
    for (const [name, field] of Object.entries(fields)) this.#declare(name, field, values[name]);
    for (const [alias, name] of Object.entries(attribute_map)) this.#declareAlias(alias, name, values[alias]);
    const rest = Object.entries(values).filter(
      ([key]) => !Object.hasOwn(fields, key) && !Object.hasOwn(attribute_map, key),
    );
    this.__post_init__(Object.fromEntries(rest));
    this.validate();
  }

  /** Fills what depends on other fields. `rest` are the keys that no table declares. */
  protected __post_init__(rest: ConfigDict): void {
    this.#initSubConfigs();
    if (typeof rest.torch_dtype === "string") this.dtype ??= rest.torch_dtype;
    if (this.dtype !== null) this.dtype = DTYPE_ALIASES[this.dtype] ?? this.dtype;
    this.#initLabels(rest.num_labels);
    const consumed = [...CONSUMED_KEYS];
    if ("rope_parameters" in this) {
      this.convert_rope_params_to_dict(rest);
      consumed.push(...ROPE_KEYS);
    }
    const name = typeof rest._name_or_path === "string" ? rest._name_or_path : (rest.name_or_path ?? "");
    this.#keep("_name_or_path", String(name));
    if (rest.output_attentions === true) this.#outputAttentions = true;
    this.#refuse(rest);
    for (const [key, value] of Object.entries(rest)) {
      if (consumed.includes(key)) continue;
      if (!this.#keepUnknown && !KNOWN_EXTRAS.includes(key)) throw this.#unknownField(key, consumed);
      this.#keep(key, cloneJson(value));
    }
  }

  /** Layers of different shapes exist in Transformers; no model here has them. */
  #refuse(rest: ConfigDict): void {
    if ((rest.per_layer_config ?? null) === null) return;
    throw new UnsupportedError("per_layer_config: layers with settings of their own are not supported", {
      where: "per_layer_config",
    });
  }

  #unknownField(key: string, consumed: readonly string[]): OptionError {
    const { fields, attribute_map, name } = this.#cls;
    const near = nearest(key, [...Object.keys(fields), ...Object.keys(attribute_map), ...consumed]);
    const hint = near === undefined ? "" : ` Did you mean '${near}'?`;
    return new OptionError(
      `${key}: unknown option of ${name}.${hint} (${name}.from_dict keeps fields that it does not know.)`,
      { where: key },
    );
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
    if (this.num_labels === count) return;
    if (!integer(null, 0, LIMITS.labels).accepts(count)) {
      throw fieldError("num_labels", integer(null, 0, LIMITS.labels), count);
    }
    const names = Array.from({ length: count }, (_, i) => `LABEL_${i}`);
    this.id2label = Object.fromEntries(names.map((name, i) => [String(i), name]));
    this.label2id = Object.fromEntries(names.map((name, i) => [name, i]));
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
  to_dict(): Record<string, unknown> {
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
    const common = new PreTrainedConfig().to_dict();
    const out = this.#diff(common);
    out.transformers_version = TRANSFORMERS_VERSION;
    delete out._name_or_path;
    return out;
  }

  to_json_string({ use_diff = true }: ConfigJsonOptions = {}): string {
    const isFloat = (path: readonly string[]): boolean => this.#isFloat(path);
    return pythonJson(use_diff ? this.to_diff_dict() : this.to_dict(), isFloat);
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
    const strays = Object.keys(GENERATION_DEFAULTS).filter((key) => {
      if (key === "use_cache" || key in this.#cls.fields) return false;
      return ((this as unknown as Record<string, unknown>)[key] ?? null) !== null;
    });
    if (strays.length > 0) {
      throw new OptionError(
        `Generation settings are on the model's config: ${strays.join(", ")}. Set them on model.generation_config instead.`,
        { where: strays[0] },
      );
    }
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
    const entries = Object.entries(options).filter(([key]) => key !== "return_unused_kwargs");
    const hub = Object.fromEntries(entries.filter(([key]) => HUB_OPTIONS.includes(key))) as HubOptions;
    const rest = Object.fromEntries(entries.filter(([key]) => !HUB_OPTIONS.includes(key)));
    if (name.endsWith(".json")) return [await readJsonFile(name), rest];
    const repository = await openRepository(name, hub);
    return [asConfigDict(await repository.json(CONFIG_NAME), CONFIG_NAME), rest];
  }

  #declare(name: string, field: Field, given: unknown): void {
    Object.defineProperty(this, name, {
      enumerable: true,
      configurable: true,
      get: () => this.#values.get(name),
      set: (value: unknown) => {
        if (!field.accepts(value)) throw fieldError(name, field, value);
        this.#values.set(name, value);
      },
    });
    if (given === undefined) this.#values.set(name, cloneJson(field.default));
    else
      (this as unknown as Record<string, unknown>)[name] =
        given instanceof PreTrainedConfig ? given : cloneJson(given);
  }

  #declareAlias(alias: string, name: string, given: unknown): void {
    const self = this as unknown as Record<string, unknown>;
    Object.defineProperty(this, alias, {
      enumerable: false,
      configurable: true,
      get: () => self[name],
      set: (value: unknown) => {
        self[name] = value;
      },
    });
    if (given !== undefined) self[alias] = given;
  }

  /** Keeps an undeclared key as a plain property. It must not hide what the class has under that name. */
  #keep(key: string, value: unknown): void {
    if (key in PreTrainedConfig.prototype || key === "__proto__") {
      throw new OptionError(`${this.constructor.name}: '${key}' cannot be the name of a field`, {
        where: key,
      });
    }
    Object.defineProperty(this, key, { value, enumerable: true, configurable: true, writable: true });
  }

  #assign(key: string, value: unknown): void {
    const settable = Object.getOwnPropertyDescriptor(PreTrainedConfig.prototype, key)?.set !== undefined;
    if (settable || Object.hasOwn(this, key)) (this as unknown as Record<string, unknown>)[key] = value;
    else this.#keep(key, value);
  }

  #initSubConfigs(): void {
    const self = this as unknown as Record<string, unknown>;
    for (const [key, spec] of Object.entries(this.#cls.sub_configs_defaults)) {
      if (self[key] instanceof PreTrainedConfig) continue;
      const options = { keep_unknown: this.#keepUnknown };
      self[key] = createSubConfig(key, spec, self[key] as ConfigDict | null, options);
    }
  }

  #initLabels(count: unknown): void {
    if (this.id2label === null) this.num_labels = (count as number | undefined) ?? 2;
    if (this.problem_type === "single_label_classification" && this.num_labels === 1) {
      throw new OptionError('problem_type: "single_label_classification" needs num_labels above 1', {
        where: "problem_type",
      });
    }
  }

  #diff(common: Record<string, unknown>): Record<string, unknown> {
    const out: Record<string, unknown> = {};
    const parts = this as unknown as Record<string, unknown>;
    for (const [key, value] of Object.entries(this.to_dict())) {
      const part = parts[key];
      if (part instanceof PreTrainedConfig) {
        out[key] = part.#diff(common);
        delete (out[key] as Record<string, unknown>).transformers_version;
      } else if (!Object.hasOwn(common, key) || !equalJson(value, common[key])) out[key] = value;
    }
    return out;
  }

  #isFloat(path: readonly string[]): boolean {
    const [key, ...below] = path;
    if (key === undefined) return false;
    const part = (this as unknown as Record<string, unknown>)[key];
    if (part instanceof PreTrainedConfig) return part.#isFloat(below);
    if (key === "rope_parameters") return below.length > 0 && !ROPE_INTEGERS.includes(below[0]);
    return below.length === 0 && this.#cls.fields[key]?.float === true;
  }
}

/** Sets what a caller wants otherwise than the JSON has it. Gives back what is no field. */
function override(config: PreTrainedConfig, overrides: ConfigDict): Record<string, unknown> {
  const unused: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(overrides)) {
    const current = (config as unknown as Record<string, unknown>)[key];
    if ((key === "dtype" || key === "torch_dtype") && value === "auto") continue;
    if (!(key in config) || typeof current === "function") unused[key] = value;
    else if (current instanceof PreTrainedConfig && isRecord(value) && !(value instanceof PreTrainedConfig)) {
      const part = current.constructor as ConfigClass;
      config.update({ [key]: new part({ ...current.to_dict(), ...value }, { keep_unknown: true }) });
    } else config.update({ [key]: value });
  }
  config.validate();
  return unused;
}

/** @throws OptionError naming the option that is no field, and the nearest one */
function refuseUnused(config: PreTrainedConfig, unused: Record<string, unknown>): void {
  const { attribute_map } = config.constructor as ConfigClass;
  checkOptions(config.constructor.name, unused, [...Object.keys(config), ...Object.keys(attribute_map)]);
}
