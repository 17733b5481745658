import { UnsupportedError } from "../base/errors.ts";
import { GenerationConfig, type GenerationSettings } from "./configuration_utils.ts";
import { GENERATION_FIELDS } from "./generation_fields.ts";

/** What settings mean that neither the call nor a config sets. Those that are not listed stay null: off. */
const GLOBAL_DEFAULTS: GenerationSettings = {
  do_sample: false,
  use_cache: true,
  early_stopping: false,
  num_beams: 1,
  temperature: 1,
  top_k: 50,
  top_p: 1,
  typical_p: 1,
  repetition_penalty: 1,
  length_penalty: 1,
  num_return_sequences: 1,
  output_attentions: false,
  output_hidden_states: false,
  output_scores: false,
  output_logits: false,
  return_dict_in_generate: false,
};

const MOVED = "Transformers 5 has it no more, either: it loads it as code from the Hub";
const SHARED = "Transformers 5 has it no more, either, and beams share the pages of their caches in any case";

/** Settings that this version does not have, with the values that turn each off, and why. */
const UNSUPPORTED: readonly (readonly [
  name: keyof GenerationSettings,
  off: readonly unknown[],
  reason?: string,
])[] = [
  ["num_beam_groups", [1], MOVED],
  ["diversity_penalty", [0], MOVED],
  ["penalty_alpha", [0], MOVED],
  ["dola_layers", [], MOVED],
  ["constraints", [], MOVED],
  ["force_words_ids", [], MOVED],
  ["assistant_early_exit", []],
  ["token_healing", [false]],
  ["use_mtp", [false]],
  ["cache_implementation", ["dynamic"]],
  ["cache_config", []],
  ["low_memory", [false], SHARED],
  ["compile_config", []],
  ["continuous_batching_config", []],
];

/**
 * The settings of one call: what the call says, else the config that it passes, else the model's, else the defaults.
 *
 * @throws OptionError for values that cannot be; UnsupportedError for what this version does not have
 */
export function effectiveSettings(
  settings: GenerationSettings,
  passed: GenerationConfig | undefined,
  model: GenerationConfig,
): GenerationConfig {
  const config = GenerationConfig.from_dict((passed ?? model).to_dict());
  config.update(settings as GenerationSettings & Record<string, unknown>);
  fillNulls(config, model);
  fillNulls(config, GLOBAL_DEFAULTS);
  for (const [name, off, reason] of UNSUPPORTED) {
    const value = config[name];
    if (value === null || value === undefined || off.includes(value)) continue;
    const why = reason ? `is not supported. ${reason}.` : "is not supported yet";
    throw new UnsupportedError(`generate: ${name} ${why}`, { where: name, got: value });
  }
  if (config.pad_token_id === null && config.eos_token_id !== null) {
    config.pad_token_id = [config.eos_token_id].flat()[0];
  }
  return config;
}

/** Splits a call's options into settings and the rest. */
export function splitSettings<T extends object>(options: T): [GenerationSettings, Record<string, unknown>] {
  const settings: Record<string, unknown> = {};
  const rest: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    (Object.hasOwn(GENERATION_FIELDS, name) ? settings : rest)[name] = value;
  }
  return [settings as GenerationSettings, rest];
}

function fillNulls(config: GenerationConfig, values: GenerationSettings): void {
  const self = config as unknown as Record<string, unknown>;
  for (const name of Object.keys(GENERATION_FIELDS)) {
    const value = (values as Record<string, unknown>)[name];
    if (self[name] === null && value !== undefined && value !== null) self[name] = value;
  }
}
