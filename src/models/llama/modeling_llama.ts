import { DecoderModel } from "../decoder.ts";
import type { LlamaConfig } from "./configuration_llama.ts";

/** The language model of LLaVA-1.5, without its head. */
export class LlamaModel extends DecoderModel {
  constructor(config: LlamaConfig) {
    const { attention_bias, mlp_bias } = config;
    super(config, { qkv_bias: attention_bias, o_bias: attention_bias, mlp_bias });
  }
}
