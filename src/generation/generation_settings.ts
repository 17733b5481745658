import { warnOnce } from "../base/env.ts";
import { GENERATION_DEFAULTS } from "../models/generation_defaults.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import { GENERATION_FIELDS, type GenerationSettings } from "./generation_fields.ts";
import { refuseUnsupported } from "./unsupported.ts";

/** Lengths that nobody set depend on the prompt. */
const { max_length: _, min_length: __, ...DEFAULTS } = GENERATION_DEFAULTS;

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
  const config = (passed ?? model).copy();
  fillNulls(config, model);
  fillNulls(config, DEFAULTS);
  config.update(settings as GenerationSettings & Record<string, unknown>);
  if (passed && Object.keys(settings).length > 0) {
    warnOnce(
      `generate: ${Object.keys(settings).join(", ")} win over the generation_config that is passed beside. ` +
        "Transformers will take one of the two only.",
    );
  }
  refuseUnsupported(config);
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
