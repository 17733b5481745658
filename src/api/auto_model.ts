import { OptionError, UnsupportedError } from "../base/errors.ts";
import { splitHubOptions } from "../hub/repository.ts";
import { AutoConfig } from "../models/auto/configuration_auto.ts";
import { LlavaConfig } from "../models/llava/configuration_llava.ts";
import { LlavaForConditionalGeneration } from "./modeling_llava.ts";
import type { ModelFromPretrainedOptions } from "./pretrained.ts";

/** Finds the model class by what a checkpoint says it is; of those for pictures and text, LLaVA's is here. */
export class AutoModelForImageTextToText {
  constructor() {
    throw new OptionError(
      "AutoModelForImageTextToText is made with AutoModelForImageTextToText.from_pretrained(name)",
    );
  }

  /**
   * The model of a checkpoint: a folder, a Hub id, or "llava-demo".
   *
   * @throws UnsupportedError where it is of another class; otherwise as LlavaForConditionalGeneration.from_pretrained
   */
  static async from_pretrained(
    name: string,
    options: ModelFromPretrainedOptions = {},
  ): Promise<LlavaForConditionalGeneration> {
    const [hub] = splitHubOptions(options);
    const config = options.config ?? (await AutoConfig.from_pretrained(name, { ...hub }));
    if (!(config instanceof LlavaConfig)) {
      throw new UnsupportedError(
        `${name}: config.json says model_type "${config.model_type}": for pictures and text, only "llava" is here`,
        { where: "model_type", expected: "llava", got: config.model_type },
      );
    }
    return LlavaForConditionalGeneration.from_pretrained(name, options);
  }
}
