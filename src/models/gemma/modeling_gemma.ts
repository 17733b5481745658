import { UnsupportedError } from "../../base/errors.ts";
import { DecoderModel } from "../decoder.ts";
import type { GemmaConfig } from "./configuration_gemma.ts";

/** Llama's shape: norms multiply by one more than their weights, embeddings by the root of their size. */
export class GemmaModel extends DecoderModel {
  constructor(config: GemmaConfig) {
    const { attention_bias, hidden_size, use_bidirectional_attention } = config;
    if (use_bidirectional_attention) {
      throw new UnsupportedError(
        "text_config.use_bidirectional_attention: only causal attention is supported",
        {
          where: "text_config.use_bidirectional_attention",
          got: true,
        },
      );
    }
    super(config, {
      qkv_bias: attention_bias,
      o_bias: attention_bias,
      norm_offset: 1,
      embedding_factor: Math.sqrt(hidden_size),
    });
  }
}
