import { checkOptions } from "../base/options.ts";
import { type ConfigDict, isRecord } from "./config_fields.ts";
import type { PreTrainedConfig } from "./configuration_utils.ts";
import { DeclaredFields } from "./declared_fields.ts";
import type { ConfigClass } from "./sub_config.ts";

/** Sets what a caller wants otherwise than the JSON has it. Gives back what is no field. */
export function override(config: PreTrainedConfig, overrides: ConfigDict): Record<string, unknown> {
  const unused: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(overrides)) {
    const current = (config as unknown as Record<string, unknown>)[key];
    if ((key === "dtype" || key === "torch_dtype") && value === "auto") continue;
    if (!(key in config) || typeof current === "function") unused[key] = value;
    else if (current instanceof DeclaredFields && isRecord(value) && !(value instanceof DeclaredFields)) {
      const part = current.constructor as ConfigClass;
      config.update({ [key]: new part({ ...current.to_dict(), ...value }, { keep_unknown: true }) });
    } else config.update({ [key]: value });
  }
  config.validate();
  return unused;
}

/** @throws OptionError naming the option that is no field, and the nearest one */
export function refuseUnused(config: PreTrainedConfig, unused: Record<string, unknown>): void {
  const { attribute_map } = config.constructor as ConfigClass;
  checkOptions(config.constructor.name, unused, [...Object.keys(config), ...Object.keys(attribute_map)]);
}
