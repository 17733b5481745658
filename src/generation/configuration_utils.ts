import { warnOnce } from "../base/env.ts";
import { CheckpointError, OptionError } from "../base/errors.ts";
import { checkOptions, unknownOption } from "../base/options.ts";
import { openRepository } from "../hub/open.ts";
import { HUB_OPTIONS, type HubOptions } from "../hub/repository.ts";
import { type ConfigDict, fieldError, isRecord } from "../models/config_fields.ts";
import { asConfigDict, inFile } from "../models/config_files.ts";
import { cloneJson, pythonJson } from "../models/config_json.ts";
import { PreTrainedConfig, TRANSFORMERS_VERSION } from "../models/configuration_utils.ts";
import { checkSaveOptions, saveTextFile, saveTextFileAt } from "../models/save_file.ts";
import { GENERATE_ARGUMENTS, GENERATION_FIELDS } from "./generation_fields.ts";
import { minorIssues, refuseContradictions } from "./generation_validation.ts";
import type { SequenceBias } from "./logits_process/bias.ts";
import {
  BaseWatermarkingConfig,
  type SynthIDTextWatermarkingConfig,
  type SynthIDTextWatermarkingOptions,
  type WatermarkingConfig,
  type WatermarkingOptions,
  watermarkingConfig,
} from "./watermarking_config.ts";

const GENERATION_CONFIG_NAME = "generation_config.json";
const METADATA_FIELDS = ["_from_model_config", "transformers_version"];
const EXTRA_OUTPUTS = [
  "output_attentions",
  "output_hidden_states",
  "output_scores",
  "output_logits",
] as const;

/** How `generate` goes about it. */
export type GenerationMode =
  | "contrastive_search"
  | "greedy_search"
  | "sample"
  | "assisted_generation"
  | "dola_generation"
  | "beam_search"
  | "beam_sample"
  | "constrained_beam_search"
  | "group_beam_search";

/** Settings of `generate`. Null or absent: the global default. */
export interface GenerationSettings {
  max_length?: number | null;
  max_new_tokens?: number | null;
  min_length?: number | null;
  min_new_tokens?: number | null;
  early_stopping?: boolean | "never" | null;
  /** Seconds. */
  max_time?: number | null;
  stop_strings?: string | string[] | null;
  do_sample?: boolean | null;
  num_beams?: number | null;
  use_mtp?: boolean | null;
  use_cache?: boolean | null;
  cache_implementation?: string | null;
  cache_config?: Record<string, unknown> | null;
  max_cache_len?: number | null;
  temperature?: number | null;
  top_k?: number | null;
  top_p?: number | null;
  min_p?: number | null;
  top_h?: number | null;
  typical_p?: number | null;
  epsilon_cutoff?: number | null;
  eta_cutoff?: number | null;
  repetition_penalty?: number | null;
  encoder_repetition_penalty?: number | null;
  length_penalty?: number | null;
  no_repeat_ngram_size?: number | null;
  bad_words_ids?: number[][] | null;
  renormalize_logits?: boolean | null;
  forced_bos_token_id?: number | null;
  forced_eos_token_id?: number | number[] | null;
  remove_invalid_values?: boolean | null;
  /** `[start, factor]`: from `start` tokens past the prompt, the end grows likelier by `factor` a token. */
  exponential_decay_length_penalty?: [number, number] | null;
  suppress_tokens?: number[] | null;
  begin_suppress_tokens?: number[] | null;
  sequence_bias?: SequenceBias | null;
  token_healing?: boolean | null;
  guidance_scale?: number | null;
  watermarking_config?: BaseWatermarkingConfig | WatermarkingOptions | SynthIDTextWatermarkingOptions | null;
  num_return_sequences?: number | null;
  output_attentions?: boolean | null;
  output_hidden_states?: boolean | null;
  output_scores?: boolean | null;
  output_logits?: boolean | null;
  return_dict_in_generate?: boolean | null;
  pad_token_id?: number | null;
  bos_token_id?: number | null;
  eos_token_id?: number | number[] | null;
  encoder_no_repeat_ngram_size?: number | null;
  decoder_start_token_id?: number | number[] | null;
  is_assistant?: boolean | null;
  num_assistant_tokens?: number | null;
  num_assistant_tokens_schedule?: string | null;
  assistant_confidence_threshold?: number | null;
  prompt_lookup_num_tokens?: number | null;
  max_matching_ngram_size?: number | null;
  assistant_early_exit?: number | null;
  assistant_lookbehind?: number | null;
  target_lookbehind?: number | null;
  assistant_ensemble_weight?: number | null;
  speculation_type?: string | null;
  compile_config?: unknown;
  disable_compile?: boolean | null;
  continuous_batching_config?: unknown;
  low_memory?: boolean | null;
  penalty_alpha?: number | null;
  dola_layers?: unknown;
  diversity_penalty?: number | null;
  num_beam_groups?: number | null;
  constraints?: unknown;
  force_words_ids?: unknown;
  prefill_chunk_size?: number | null;
  transformers_version?: string | null;
}

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
    if (name in GenerationConfig.prototype || name === "__proto__") {
      throw new OptionError(`GenerationConfig: '${name}' cannot be the name of a setting`, { where: name });
    }
    Object.defineProperty(this, name, {
      value: cloneJson(value),
      enumerable: true,
      configurable: true,
      writable: true,
    });
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
    const self = this as unknown as Record<string, unknown>;
    for (const [name, field] of Object.entries(GENERATION_FIELDS)) {
      if (!field.accepts(self[name])) throw fieldError(name, field, self[name]);
    }
    for (const name of GENERATE_ARGUMENTS) if (name in this) throw misplaced(name);
    this.watermarking_config?.validate();
    refuseContradictions(this);
    const set = user_set_attributes === undefined ? undefined : new Set(user_set_attributes);
    const issues = minorIssues(this, set);
    if (issues.length === 0) return;
    const list = issues.map(([name, issue]) => `- ${name}: ${issue}`).join("\n");
    if (strict) {
      throw new OptionError(`GenerationConfig is invalid:\n${list}`, { where: issues[0][0] });
    }
    warnOnce(`These generation settings have no effect:\n${list}`);
  }

  /**
   * How `generate` goes about it with these settings.
   *
   * @param options `assistant_model`: any draft model
   */
  get_generation_mode({ assistant_model = null }: { assistant_model?: unknown } = {}): GenerationMode {
    const base = this.#baseMode();
    const assisted =
      (assistant_model !== null && assistant_model !== undefined) ||
      this.use_mtp === true ||
      this.prompt_lookup_num_tokens !== null ||
      this.assistant_early_exit !== null;
    const extendable = base === "greedy_search" || base === "sample";
    if ((assisted || this.dola_layers !== null) && !extendable) {
      warnOnce(
        `A draft model, prompt lookup or DoLa works with greedy search and sampling only, not with ${base}.`,
      );
    }
    if (this.dola_layers !== null && extendable) return "dola_generation";
    return assisted && extendable ? "assisted_generation" : base;
  }

  #baseMode(): GenerationMode {
    const { num_beams, do_sample, top_k, penalty_alpha } = this;
    if (this.constraints !== null || this.force_words_ids !== null) return "constrained_beam_search";
    if (num_beams === null || num_beams === 1) {
      if (do_sample === true) return "sample";
      return (top_k ?? 0) > 1 && (penalty_alpha ?? 0) > 0 ? "contrastive_search" : "greedy_search";
    }
    if ((this.num_beam_groups ?? 1) > 1) return "group_beam_search";
    return do_sample === true ? "beam_sample" : "beam_search";
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
    return pythonJson(values, ([name, ...place]) => {
      if (name === "watermarking_config") return place[0] === "bias" || place[0] === "greenlist_ratio";
      if (name === "exponential_decay_length_penalty") return place[0] === "1";
      if (name === "sequence_bias") return place.length === 2 && place[1] === "1";
      return GENERATION_FIELDS[name]?.float === true;
    });
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
    const hub = Object.fromEntries(Object.entries(given).filter(([key]) => HUB_OPTIONS.includes(key)));
    const settings = Object.fromEntries(Object.entries(given).filter(([key]) => !HUB_OPTIONS.includes(key)));
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

function misplaced(name: string): OptionError {
  return new OptionError(`${name} is not a setting of GenerationConfig: give it to generate() itself`, {
    where: name,
  });
}
