import { CheckpointError, OptionError } from "../base/errors.ts";
import { checkOptions, unknownOption } from "../base/options.ts";
import { openRepository } from "../hub/open.ts";
import { type HubOptions, splitHubOptions } from "../hub/repository.ts";
import { type ConfigDict, isRecord } from "../models/config_fields.ts";
import { asConfigDict, inFile } from "../models/config_files.ts";
import { cloneJson, pythonJson } from "../models/config_json.ts";
import { PreTrainedConfig, TRANSFORMERS_VERSION } from "../models/configuration_utils.ts";
import { keepKey } from "../models/custom_keys.ts";
import { checkSaveOptions, saveTextFile, saveTextFileAt } from "../models/save_file.ts";
import {
  EXTRA_OUTPUTS,
  GENERATE_ARGUMENTS,
  GENERATION_FIELDS,
  type GenerationSettings,
  isFloatIn,
} from "./generation_fields.ts";
import { type GenerationMode, generationMode } from "./generation_mode.ts";
import {
  checkFields,
  minorIssues,
  misplaced,
  refuseContradictions,
  reportIssues,
} from "./generation_validation.ts";
import {
  BaseWatermarkingConfig,
  type SynthIDTextWatermarkingConfig,
  type WatermarkingConfig,
  watermarkingConfig,
} from "./watermarking_config.ts";

const GENERATION_CONFIG_NAME = "generation_config.json";
const METADATA_FIELDS = ["_from_model_config", "transformers_version"];

/** Options of `GenerationConfig.from_pretrained`: where to look, and settings that override the file's. */
export interface GenerationFromPretrainedOptions extends HubOptions, GenerationSettings {
  /** The file's name; `generation_config.json` where left out. */
  config_file_name?: string | null;
  /** Gives `[config, unused]` and does not throw for options that are no setting. */
  return_unused_kwargs?: boolean;
  [setting: string]: unknown;
}

/** How JSON is written. */
export interface GenerationJsonOptions {
  /** Leaves out what is not set. */
  use_diff?: boolean;
  ignore_metadata?: boolean;
  keys_to_pop?: readonly string[] | null;
}

type Stored<T> = { [K in keyof T]-?: Exclude<T[K], undefined> };

/** The fields, each null until it is set. */
type GenerationFields = Stored<Omit<GenerationSettings, "watermarking_config">> & {
  watermarking_config: WatermarkingConfig | SynthIDTextWatermarkingConfig | null;
};

const Fields = class {} as new () => GenerationFields;

/**
 * Settings of `generate`, as a checkpoint's generation_config.json has them. Every field is null until it is set;
 * what null means is decided when generating.
 */
export class GenerationConfig extends Fields {
  #loaded: string | undefined;
  declare _from_model_config: boolean | null;

  /**
   * @throws OptionError naming the setting that is not known or whose value cannot be, or which contradict each other
   */
  constructor(
    values: GenerationSettings & { _from_model_config?: boolean | null } = {},
    { keep_unknown = false }: { keep_unknown?: boolean } = {},
  ) {
    super();
    if (!isRecord(values))
      throw new OptionError("GenerationConfig takes one object of settings", { got: values });
    const self = this as unknown as Record<string, unknown>;
    for (const name of Object.keys(GENERATION_FIELDS)) self[name] = null;
    for (const [name, value] of Object.entries(values)) {
      if (name === "_commit_hash" || value === undefined) continue;
      if (Object.hasOwn(GENERATION_FIELDS, name)) this.#set(name, value);
      else if (GENERATE_ARGUMENTS.includes(name)) throw misplaced(name);
      else if (!keep_unknown) throw unknownOption("GenerationConfig", name, Object.keys(GENERATION_FIELDS));
      else if (!this._from_model_config && values._from_model_config !== true) this.#keep(name, value);
    }
    this.validate({ user_set_attributes: Object.keys(values) });
  }

  #set(name: string, value: unknown): void {
    const own =
      name === "watermarking_config" && isRecord(value) && !(value instanceof BaseWatermarkingConfig);
    const set = own ? watermarkingConfig(value) : value;
    (this as unknown as Record<string, unknown>)[name] = set;
  }

  /** Keeps a file's setting that no one here knows. It must not hide a method. */
  #keep(name: string, value: unknown): void {
    keepKey(this, name, cloneJson(value), { cls: GenerationConfig, noun: "setting" });
  }

  /**
   * Checks the values, and how they go together. What is merely without effect is warned of.
   *
   * @param options `strict`: what is without effect throws, too; `user_set_attributes`: what the caller set himself:
   *   only that is warned of, not what a file has
   * @throws OptionError
   */
  validate({
    strict = false,
    user_set_attributes,
  }: {
    strict?: boolean;
    user_set_attributes?: Iterable<string>;
  } = {}): void {
    checkFields(this);
    this.watermarking_config?.validate();
    refuseContradictions(this);
    const set = user_set_attributes === undefined ? undefined : new Set(user_set_attributes);
    reportIssues(minorIssues(this, set), strict);
  }

  /**
   * How `generate` goes about it with these settings.
   *
   * @param options `assistant_model`: any draft model
   */
  get_generation_mode({ assistant_model = null }: { assistant_model?: unknown } = {}): GenerationMode {
    return generationMode(this, assistant_model);
  }

  /**
   * Sets those settings that it has, and gives back the rest.
   *
   * @param values settings; `defaults_only`: only where null; `allow_custom_entries`: unknown ones, too
   */
  update(
    values: GenerationSettings & {
      defaults_only?: boolean;
      allow_custom_entries?: boolean;
      [setting: string]: unknown;
    },
  ): Record<string, unknown> {
    const { defaults_only = false, allow_custom_entries = false, ...settings } = values;
    const self = this as unknown as Record<string, unknown>;
    const unused: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(settings)) {
      const known = Object.hasOwn(this, name);
      if (known && (!defaults_only || self[name] === null)) this.#set(name, value);
      else if (!known && allow_custom_entries) this.#keep(name, value);
      else unused[name] = value;
    }
    this.validate({ user_set_attributes: Object.keys(settings).filter((name) => !(name in unused)) });
    return unused;
  }

  /** Another one with the same settings, which may be changed. Nothing is checked again. */
  copy(): GenerationConfig {
    const copy = new GenerationConfig();
    for (const [name, value] of Object.entries(this)) copy.#set(name, value);
    return copy;
  }

  /** Everything, as plain JSON. */
  to_dict(): Record<string, unknown> {
    const entries = Object.entries(this).map(([name, value]) => {
      return [
        name,
        value instanceof Map ? [...value].map(([ids, bias]) => [[...ids], bias]) : cloneJson(value),
      ];
    });
    return { ...Object.fromEntries(entries), transformers_version: TRANSFORMERS_VERSION };
  }

  /** What is set. */
  to_diff_dict(): Record<string, unknown> {
    const entries = Object.entries(this.to_dict());
    const set = entries.filter(([name, value]) => value !== null || !Object.hasOwn(GENERATION_FIELDS, name));
    return Object.fromEntries(set);
  }

  to_json_string(options: GenerationJsonOptions = {}): string {
    checkOptions("to_json_string", options, ["use_diff", "ignore_metadata", "keys_to_pop"]);
    const { use_diff = true, ignore_metadata = false, keys_to_pop } = options;
    const values = use_diff ? this.to_diff_dict() : this.to_dict();
    for (const key of keys_to_pop ?? []) delete values[key];
    if (ignore_metadata) for (const key of METADATA_FIELDS) delete values[key];
    return pythonJson(values, isFloatIn);
  }

  async to_json_file(json_file_path: string, options: GenerationJsonOptions = {}): Promise<void> {
    await saveTextFileAt(json_file_path, this.to_json_string(options));
  }

  /** Whether the two say the same. */
  equals(other: unknown): boolean {
    return other instanceof GenerationConfig && this.#fingerprint() === other.#fingerprint();
  }

  #fingerprint(): string {
    return this.to_json_string({ ignore_metadata: true });
  }

  /**
   * Writes `generation_config.json` into a folder.
   *
   * @throws OptionError where settings contradict each other or have no effect. One that is as it was loaded is
   *   saved all the same, with a warning
   */
  async save_pretrained(
    save_directory: string,
    options: { config_file_name?: string | null; push_to_hub?: false } = {},
  ): Promise<void> {
    const { config_file_name, ...rest } = options;
    checkSaveOptions("GenerationConfig.save_pretrained", rest);
    try {
      this.validate({ strict: this.#loaded !== this.#fingerprint() });
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
      const { where, expected, got } = error;
      const message = `${error.message}\nMend this to save the configuration.`;
      throw new OptionError(message, { where, expected, got, cause: error });
    }
    const json = this.to_json_string({ keys_to_pop: ["compile_config"] });
    await saveTextFile(save_directory, config_file_name ?? GENERATION_CONFIG_NAME, json);
  }

  /** From plain JSON. Unknown keys are kept. */
  static from_dict(config_dict: ConfigDict, overrides: GenerationSettings = {}): GenerationConfig {
    const values = { ...asConfigDict(config_dict, "GenerationConfig"), ...overrides };
    return new GenerationConfig(values, { keep_unknown: true });
  }

  /**
   * From a checkpoint's `generation_config.json`; where it has none, from its `config.json`.
   *
   * @throws CheckpointError naming the file and the setting whose value cannot be
   */
  static async from_pretrained(
    name: string,
    options: GenerationFromPretrainedOptions & { return_unused_kwargs: true },
  ): Promise<[GenerationConfig, Record<string, unknown>]>;
  static async from_pretrained(
    name: string,
    options?: GenerationFromPretrainedOptions,
  ): Promise<GenerationConfig>;
  static async from_pretrained(
    name: string,
    options: GenerationFromPretrainedOptions = {},
  ): Promise<GenerationConfig | [GenerationConfig, Record<string, unknown>]> {
    const { config_file_name, return_unused_kwargs, ...given } = options;
    const [hub, settings] = splitHubOptions(given);
    const repository = await openRepository(name, hub);
    const file = config_file_name ?? GENERATION_CONFIG_NAME;
    const found = await repository.has(file);
    if (!found && config_file_name) {
      throw new CheckpointError(`${name} has no file ${file}`, { file });
    }
    const source = found ? file : "config.json";
    const values = asConfigDict(await repository.json(source), source);
    const config = inFile(source, () =>
      found ? GenerationConfig.from_dict(values) : GenerationConfig.from_model_config(values),
    );
    config.#loaded = config.#fingerprint();
    const unused = config.update(settings);
    if (return_unused_kwargs) return [config, unused];
    checkOptions("GenerationConfig.from_pretrained", unused, Object.keys(GENERATION_FIELDS));
    return config;
  }

  /** The settings that an old model config holds, and the ids of its special tokens. */
  static from_model_config(model_config: PreTrainedConfig | ConfigDict): GenerationConfig {
    const own = model_config instanceof PreTrainedConfig;
    const whole: ConfigDict = own ? model_config.to_dict() : model_config;
    const set = Object.entries(whole).filter(([key, value]) => value !== null && key in GENERATION_FIELDS);
    const values = { ...Object.fromEntries(set), _from_model_config: true };
    const config = new GenerationConfig(values, { keep_unknown: true });
    const inner = own ? model_config.get_text_config({ decoder: true }).to_dict() : innerConfig(model_config);
    const self = config as unknown as Record<string, unknown>;
    for (const name of Object.keys(GENERATION_FIELDS)) {
      if (self[name] === null && Object.hasOwn(inner, name)) config.#set(name, inner[name]);
    }
    if (EXTRA_OUTPUTS.some((name) => config[name] === true)) config.return_dict_in_generate = true;
    config.validate({ user_set_attributes: [] });
    config.#loaded = config.#fingerprint();
    return config;
  }
}

function innerConfig(model_config: ConfigDict): ConfigDict {
  for (const name of ["decoder", "generator", "text_config"]) {
    const part = model_config[name];
    if (isRecord(part)) return part;
  }
  return model_config;
}
