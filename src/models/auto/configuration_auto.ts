import { CheckpointError, OptionError } from "../../base/errors.ts";
import type { ConfigDict } from "../config_fields.ts";
import { type ConfigFromPretrainedOptions, PreTrainedConfig } from "../configuration_utils.ts";
import { LlavaConfig } from "../llava/configuration_llava.ts";
import type { ConfigClass } from "../sub_config.ts";
import { TEXT_CONFIG_MAPPING, VISION_CONFIG_MAPPING } from "./backbones.ts";

/** Every config class, by `model_type`. */
export const CONFIG_MAPPING: ReadonlyMap<string, ConfigClass> = new Map<string, ConfigClass>([
  [LlavaConfig.model_type, LlavaConfig],
  ...TEXT_CONFIG_MAPPING,
  ...VISION_CONFIG_MAPPING,
]);

/** Finds the config class by what a checkpoint says it is. */
export class AutoConfig {
  constructor() {
    throw new OptionError("AutoConfig is made with AutoConfig.from_pretrained(name)");
  }

  /**
   * A config with the defaults of a `model_type`.
   *
   * @throws OptionError where no class has that type
   */
  static for_model(model_type: string, values: ConfigDict = {}): PreTrainedConfig {
    const cls = CONFIG_MAPPING.get(model_type);
    if (cls !== undefined) return new cls(values);
    const known = [...CONFIG_MAPPING.keys()];
    throw new OptionError(
      `model_type: expected one of ${known.join(", ")}, got ${JSON.stringify(model_type)}`,
      {
        where: "model_type",
        expected: known,
        got: model_type,
      },
    );
  }

  /**
   * The config of a checkpoint, as the class that its `model_type` names.
   *
   * @throws CheckpointError where the type is missing or not known
   */
  static async from_pretrained(
    name: string,
    options: ConfigFromPretrainedOptions & { return_unused_kwargs: true },
  ): Promise<[PreTrainedConfig, Record<string, unknown>]>;
  static async from_pretrained(
    name: string,
    options?: ConfigFromPretrainedOptions,
  ): Promise<PreTrainedConfig>;
  static async from_pretrained(
    name: string,
    options: ConfigFromPretrainedOptions = {},
  ): Promise<PreTrainedConfig | [PreTrainedConfig, Record<string, unknown>]> {
    const [values] = await PreTrainedConfig.get_config_dict(name, options);
    const type = values.model_type;
    const cls = typeof type === "string" ? CONFIG_MAPPING.get(type) : undefined;
    if (cls !== undefined) return cls.from_pretrained(name, options);
    const known = [...CONFIG_MAPPING.keys()];
    throw new CheckpointError(
      type === undefined
        ? `${name}: config.json has no model_type, so nothing says what the checkpoint is`
        : `${name}: config.json: model_type: expected one of ${known.join(", ")}, got ${JSON.stringify(type)}`,
      { file: "config.json", where: "model_type", expected: known, got: type },
    );
  }
}
