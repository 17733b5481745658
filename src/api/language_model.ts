import { Callable } from "../base/callable.ts";
import { checkOptions } from "../base/options.ts";
import type { TextConfig } from "../models/text_config.ts";
import type { LlavaForwardOptions } from "./forward_inputs.ts";
import type { LlavaModelOutputWithPast } from "./outputs.ts";

/** What the text model takes: no pictures. */
export type LanguageModelOptions = Pick<
  LlavaForwardOptions,
  | "input_ids"
  | "attention_mask"
  | "position_ids"
  | "past_key_values"
  | "inputs_embeds"
  | "use_cache"
  | "output_hidden_states"
  | "output_attentions"
  | "signal"
>;

const OPTIONS = [
  "input_ids",
  "attention_mask",
  "position_ids",
  "past_key_values",
  "inputs_embeds",
  "use_cache",
  "output_hidden_states",
  "output_attentions",
  "signal",
] as const satisfies readonly (keyof LanguageModelOptions)[];

type Compute = (options: LanguageModelOptions) => Promise<LlavaModelOutputWithPast>;

const CallableText = Callable as unknown as abstract new () => Compute;

/** The text model of a LLaVA, without its head: `await decoder({ input_ids })`. A view of the model's weights. */
export class LanguageModel extends CallableText {
  readonly config: TextConfig;
  readonly #compute: Compute;

  constructor(config: TextConfig, compute: Compute) {
    super();
    this.config = config;
    this.#compute = compute;
  }

  /**
   * One pass: ids or embeddings to hidden states.
   *
   * @throws OptionError for options that it does not have, pictures among them
   */
  async forward(options: LanguageModelOptions): Promise<LlavaModelOutputWithPast> {
    checkOptions("LanguageModel", options, OPTIONS);
    return this.#compute(options);
  }

  __call__(options: LanguageModelOptions): Promise<LlavaModelOutputWithPast> {
    return this.forward(options);
  }
}
