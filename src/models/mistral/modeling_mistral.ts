import { DecoderModel } from "../decoder.ts";
import type { MistralConfig } from "./configuration_mistral.ts";

/** Llama's shape, with a window over the latest tokens in every layer. */
export class MistralModel extends DecoderModel {
  constructor(config: MistralConfig) {
    super(config, { windows: Array(config.num_hidden_layers).fill(config.sliding_window) });
  }
}
