import { warnOnce } from "../base/env.ts";
import { CheckpointError, OptionError } from "../base/errors.ts";
import { nearest } from "../base/options.ts";
import { openRepository } from "../hub/open.ts";
import { HUB_OPTIONS, type HubOptions } from "../hub/repository.ts";
import {
  type ConfigDict,
  type Field,
  type FieldTable,
  flag,
  integer,
  isRecord,
  LIMITS,
  listOf,
  nullable,
  oneOf,
  record,
  text,
} from "./config_fields.ts";
import { cloneJson, decodeSpecialFloats, equalJson, pythonJson } from "./config_json.ts";
import {
  foldRopeParameters,
  ROPE_INTEGERS,
  type RopeContext,
  type RopeParameters,
  validateRopeParameters,
} from "./rope_parameters.ts";
import { saveTextFile } from "./save_file.ts";

/** The version whose files these configs read and write. */
export const TRANSFORMERS_VERSION = "5.23.0";

const CONFIG_NAME = "config.json";

/** Options of `from_pretrained`: where to look, and fields that override the file's. */
export interface ConfigFromPretrainedOptions extends HubOptions {
  /** Gives `[config, unused]` and does not throw for options that are no field. */
  return_unused_kwargs?: boolean;
  [field: string]: unknown;
}

/** A part of a config that is a config itself. */
export interface SubConfigSpec {
  /** The class for a `model_type`, or undefined where there is none. */
  resolve(modelType: string): ConfigClass | undefined;
  /** The model types that `resolve` knows, for messages. */
  readonly known: readonly string[];
  /** Taken where the part names no `model_type`. */
  readonly model_type: string;
  /** The part's fields where it is null. */
  readonly init_kwargs?: ConfigDict;
}

/** The static side of a config class. */
export type ConfigClass<T extends PreTrainedConfig = PreTrainedConfig> = (new (
  values?: ConfigDict,
) => T) &
  Omit<typeof PreTrainedConfig, "prototype">;

const DTYPE_ALIASES: Readonly<Record<string, string>> = {
  half: "float16",
  float: "float32",
  double: "float64",
};
const DTYPES = ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"].concat(
  ["int64", "int32", "int16", "int8", "uint8", "bool"],
  Object.keys(DTYPE_ALIASES),
);

/** Fields of every configuration. */
export const COMMON_FIELDS: FieldTable = {
  transformers_version: nullable(text(null)),
  architectures: nullable(listOf(text(""))),
  output_hidden_states: nullable(flag(false)),
  return_dict: nullable(flag(true)),
  dtype: nullable(oneOf(null, DTYPES)),
  chunk_size_feed_forward: integer(0, 0, LIMITS.hidden),
  is_encoder_decoder: flag(false),
  id2label: nullable(record(null)),
  label2id: nullable(record(null)),
  problem_type: nullable(
    oneOf(null, ["regression", "single_label_classification", "multi_label_classification"]),
  ),
};

/** Generation settings that old files keep in the model's config. They are dropped; GenerationConfig has them. */
const GENERATION_FIELDS = (
  "max_length min_length do_sample use_cache early_stopping num_beams temperature top_k top_p typical_p " +
  "repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids " +
  "num_return_sequences output_scores return_dict_in_generate forced_bos_token_id forced_eos_token_id " +
  "remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens " +
  "epsilon_cutoff eta_cutoff encoder_repetition_penalty num_assistant_tokens num_assistant_tokens_schedule " +
  "assistant_confidence_threshold assistant_lookbehind target_lookbehind num_beam_groups diversity_penalty"
).split(" ");

/** Undeclared keys of files that mean something to Python alone, or are kept elsewhere. */
const DROPPED_KEYS = [
  "model_type",
  "torch_dtype",
  "name_or_path",
  "output_attentions",
  "attn_implementation",
  "experts_implementation",
  "_attn_implementation_internal",
  "_experts_implementation_internal",
  "_is_quantized",
  "_auto_class",
  "_commit_hash",
  "_post_init_done",
  "ignore_keys_at_rope_validation",
  "base_model_tp_plan",
  "base_model_pp_plan",
  "base_model_fsdp_plan",
  "distributed_config",
  "num_labels",
];

const LAYER_TYPES = ["full_attention", "sliding_attention"];

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
  /** Where the config came from, as the user named it. */
  declare _name_or_path: string;

  /**
   * @param values fields by name; those left out take their defaults, unknown ones are kept
   * @throws OptionError naming the field whose value cannot be
   */
  constructor(values: ConfigDict = {}) {
    if (!isRecord(values)) {
      throw new OptionError(`${new.target.name} takes one object of fields`, { got: values });
    }
    const { fields, attribute_map } = new.target;
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
    const legacyRope = "rope_parameters" in this;
    if (legacyRope) {
      this.rope_scaling = foldRopeParameters(
        this.rope_parameters,
        rest,
        this as RopeContext,
        this.#cls.default_rope_type,
      );
    }
    const name = typeof rest._name_or_path === "string" ? rest._name_or_path : (rest.name_or_path ?? "");
    this.#keep("_name_or_path", String(name));
    if (rest.output_attentions === true) this.#outputAttentions = true;
    const consumed = [...DROPPED_KEYS, ...GENERATION_FIELDS, "_name_or_path"];
    if (legacyRope) consumed.push("rope_theta", "rope_scaling", "partial_rotary_factor");
    for (const [key, value] of Object.entries(rest))
      if (!consumed.includes(key)) this.#keep(key, cloneJson(value));
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
    const { head_dim, num_heads, embed_dim } = this as unknown as Record<string, unknown>;
    if (
      [head_dim, num_heads, embed_dim].every(Number.isFinite) &&
      Number(head_dim) * Number(num_heads) !== embed_dim
    ) {
      throw new OptionError(
        `embed_dim: expected head_dim * num_heads = ${Number(head_dim) * Number(num_heads)}, got ${embed_dim}`,
        { where: "embed_dim", expected: Number(head_dim) * Number(num_heads), got: embed_dim },
      );
    }
  }

  /** Warns of ids that no token has; published files hold some. */
  validate_token_ids(): void {
    const config = this.get_text_config({ decoder: true }) as unknown as Record<string, unknown>;
    const rows = config.vocab_size;
    if (typeof rows !== "number") return;
    for (const [name, value] of Object.entries(config)) {
      if (!name.endsWith("_token_id") || !Number.isInteger(value)) continue;
      if ((value as number) >= 0 && (value as number) < rows) continue;
      warnOnce(`Model config: ${name} must be null or an integer from 0 to ${rows - 1}, got ${value}.`);
    }
  }

  validate_layer_type(): void {
    const { layer_types: types, num_hidden_layers: layers } = this as unknown as Record<string, unknown>;
    if (!Array.isArray(types)) return;
    const unknown = types.find((type) => !LAYER_TYPES.includes(type));
    if (unknown !== undefined) {
      throw new OptionError(
        `layer_types: expected ${LAYER_TYPES.join(" or ")}, got ${JSON.stringify(unknown)}`,
        {
          where: "layer_types",
          expected: LAYER_TYPES,
          got: unknown,
        },
      );
    }
    if (types.length !== layers) {
      throw new OptionError(`layer_types: expected one for each of ${layers} layers, got ${types.length}`, {
        where: "layer_types",
        expected: layers,
        got: types.length,
      });
    }
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

  to_json_string(use_diff = true): string {
    const isFloat = (path: readonly string[]): boolean => this.#isFloat(path);
    return pythonJson(use_diff ? this.to_diff_dict() : this.to_dict(), isFloat);
  }

  /** Writes the JSON to a file, whole or not at all. */
  async to_json_file(json_file_path: string, use_diff = true): Promise<void> {
    const { basename, dirname } = await import("node:path");
    await saveTextFile(dirname(json_file_path), basename(json_file_path), this.to_json_string(use_diff));
  }

  /**
   * Writes `config.json` into a folder, making it where there is none.
   *
   * @throws OptionError where the config is invalid, or generation settings were put on it
   */
  async save_pretrained(save_directory: string): Promise<void> {
    const strays = GENERATION_FIELDS.filter((key) => {
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
    const [config, unused] = buildConfig(this, config_dict, overrides);
    const stray = Object.keys(unused)[0];
    if (stray === undefined) return config;
    const near = nearest(stray, Object.keys(config));
    const hint = near === undefined ? "" : ` Did you mean '${near}'?`;
    throw new OptionError(`${this.name}: unknown option '${stray}'.${hint}`, { where: stray });
  }

  /** A config from a JSON file on disk. */
  static async from_json_file<T extends PreTrainedConfig>(
    this: ConfigClass<T>,
    json_file: string,
  ): Promise<T> {
    return inFile(json_file, async () => new this(await readJsonFile(json_file)));
  }

  /**
   * The config of a checkpoint: a folder, a Hub id, or a JSON file on disk.
   *
   * @throws CheckpointError naming the file and the field whose value cannot be
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
    return inFile(CONFIG_NAME, async () => {
      if (return_unused_kwargs) return buildConfig(this, values, { name_or_path: name, ...overrides });
      return this.from_dict(values, { name_or_path: name, ...overrides });
    });
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
    if (key in this) (this as unknown as Record<string, unknown>)[key] = value;
    else this.#keep(key, value);
  }

  #initSubConfigs(): void {
    const self = this as unknown as Record<string, unknown>;
    for (const [key, spec] of Object.entries(this.#cls.sub_configs_defaults)) {
      if (self[key] instanceof PreTrainedConfig) continue;
      self[key] = createSubConfig(key, spec, self[key] as ConfigDict | null);
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

/** The config of one part, from its JSON. */
function createSubConfig(key: string, spec: SubConfigSpec, given: ConfigDict | null): PreTrainedConfig {
  const type = given?.model_type ?? spec.model_type;
  const cls = typeof type === "string" ? spec.resolve(type) : undefined;
  if (cls === undefined) {
    const where = `${key}.model_type`;
    throw new OptionError(`${where}: expected one of ${spec.known.join(", ")}, got ${JSON.stringify(type)}`, {
      where,
      expected: spec.known,
      got: type,
    });
  }
  try {
    return new cls(given ?? spec.init_kwargs ?? {});
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    const { expected, got } = error;
    throw new OptionError(`${key}.${error.message}`, {
      where: `${key}.${error.where}`,
      expected,
      got,
      cause: error,
    });
  }
}

/** Names of attributes that are no fields, but that a caller may set when loading. */
const SETTABLE = ["num_labels", "output_attentions", "torch_dtype", "dtype", "name_or_path"];

function buildConfig<T extends PreTrainedConfig>(
  cls: ConfigClass<T>,
  given: ConfigDict,
  overrides: ConfigDict,
): [T, Record<string, unknown>] {
  const early = Object.entries(overrides).filter(
    ([key, value]) => SETTABLE.includes(key) && value !== "auto",
  );
  const config = new cls({ ...asConfigDict(given, cls.name), ...Object.fromEntries(early) });
  const unused: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(overrides)) {
    if (SETTABLE.includes(key)) continue;
    const current = (config as unknown as Record<string, unknown>)[key];
    if (!(key in config) || typeof current === "function") unused[key] = value;
    else if (current instanceof PreTrainedConfig && isRecord(value) && !(value instanceof PreTrainedConfig)) {
      const part = current.constructor as ConfigClass;
      config.update({ [key]: new part({ ...current.to_dict(), ...value }) });
    } else config.update({ [key]: value });
  }
  if (Object.keys(overrides).length > Object.keys(unused).length) config.validate();
  return [config, unused];
}

/** The part of a checkpoint's config that a class describes: the whole, or the sub-config of its type. */
function partFor(cls: ConfigClass, whole: ConfigDict): ConfigDict {
  const named = cls.base_config_key === "" ? undefined : whole[cls.base_config_key];
  if (isRecord(named)) return named;
  const type = whole.model_type;
  if (type === undefined || type === cls.model_type) return whole;
  const part = Object.values(whole).find((value) => isRecord(value) && value.model_type === cls.model_type);
  if (isRecord(part)) return part;
  warnOnce(
    `The checkpoint's model_type is '${type}', and it is read as '${cls.model_type}'. This may be meant, or a mistake.`,
  );
  return whole;
}

async function readJsonFile(path: string): Promise<ConfigDict> {
  const { readFile } = await import("node:fs/promises");
  let contents: string;
  try {
    contents = await readFile(path, "utf8");
  } catch (cause) {
    throw new CheckpointError(`Cannot read ${path}. Is there such a file?`, { file: path, cause });
  }
  try {
    return asConfigDict(JSON.parse(contents), path);
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw new CheckpointError(`${path} is not valid JSON: ${(cause as Error).message}`, {
      file: path,
      cause,
    });
  }
}

function asConfigDict(json: unknown, where: string): ConfigDict {
  const value = decodeSpecialFloats(json);
  if (isRecord(value)) return value;
  throw new CheckpointError(`${where}: expected a JSON object, got ${JSON.stringify(value)?.slice(0, 40)}`, {
    file: where,
  });
}

/** Runs `build`; what it finds wrong with a field is the file's fault then. */
async function inFile<T>(file: string, build: () => Promise<T>): Promise<T> {
  try {
    return await build();
  } catch (error) {
    if (!(error instanceof OptionError) || error.message.includes("unknown option")) throw error;
    const { where, expected, got } = error;
    throw new CheckpointError(`${file}: ${error.message}`, { file, where, expected, got, cause: error });
  }
}

/** The error for a value that a field does not accept. */
export function fieldError(name: string, field: Field, got: unknown): OptionError {
  const shown = JSON.stringify(got)?.slice(0, 60) ?? String(got);
  return new OptionError(`${name}: expected ${field.expected}, got ${shown}`, {
    where: name,
    expected: field.expected,
    got,
  });
}
