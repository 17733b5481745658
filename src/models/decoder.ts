import type { Value } from "../devices/device.ts";
import { cachedAttention, type Heads } from "../nn/attention.ts";
import { add } from "../nn/functional.ts";
import { Embedding, Linear, RMSNorm } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { ProductInput } from "../nn/packed_product.ts";
import type { CacheShape, LayerCache } from "../nn/page_pool.ts";
import { type Rotary, rotate } from "../nn/rotary.ts";
import type { Rows } from "../nn/rows.ts";
import type { Trace } from "../nn/trace.ts";
import { GatedMLP } from "./gated_mlp.ts";
import { hasFixedFrequencies, ropeFrequencies, rotaryOf } from "./modeling_rope_utils.ts";
import { headDim, type TextConfig } from "./text_config.ts";
import type { TextModel } from "./text_model.ts";

/** What tells the text models from one another. What is left out is Llama's without biases. */
export interface DecoderVariant {
  /** Biases on queries, keys and values. */
  qkv_bias?: boolean;
  /** A bias on the attention's output. */
  o_bias?: boolean;
  mlp_bias?: boolean;
  /** How many of the latest keys a row of each layer sees, its own included; null: all. */
  windows?: readonly (number | null)[];
  /** Added to the weights of all norms. */
  norm_offset?: number;
  /** What embeddings are multiplied by. Pictures' rows are not. */
  embedding_factor?: number;
}

class DecoderAttention extends Module {
  q_proj: Linear;
  k_proj: Linear;
  v_proj: Linear;
  o_proj: Linear;
  #heads: Heads;

  constructor(
    config: TextConfig,
    { qkv_bias = false, o_bias = false, windows }: DecoderVariant,
    layer: number,
  ) {
    super();
    const { hidden_size } = config;
    this.#heads = { ...headsOf(config), window: windows?.[layer] ?? 0 };
    const { heads, kv_heads, head_dim } = this.#heads;
    this.q_proj = new Linear(hidden_size, heads * head_dim, qkv_bias);
    this.k_proj = new Linear(hidden_size, kv_heads * head_dim, qkv_bias);
    this.v_proj = new Linear(hidden_size, kv_heads * head_dim, qkv_bias);
    this.o_proj = new Linear(heads * head_dim, hidden_size, o_bias);
  }

  // [T, D] -> [T, D]
  forward(x: Value, rows: Rows, rotary: Rotary, cache: LayerCache, trace?: Trace): Value {
    const { heads, kv_heads } = this.#heads;
    const input = new ProductInput(x);
    // One after the other, as products of one input are computed side by side.
    const [q, k, v] = [this.q_proj, this.k_proj, this.v_proj].map((proj) => proj.product(input));
    const turned = rotate(q, heads, rotary); // [T, H*d]
    const keys = rotate(k, kv_heads, rotary); // [T, Hkv*d]
    return this.o_proj.forward(cachedAttention(turned, keys, v, rows, cache, this.#heads, trace));
  }
}

class DecoderLayer extends Module {
  self_attn: DecoderAttention;
  mlp: GatedMLP;
  input_layernorm: RMSNorm;
  post_attention_layernorm: RMSNorm;

  constructor(config: TextConfig, variant: DecoderVariant, layer: number) {
    super();
    const { hidden_size, intermediate_size, hidden_act, rms_norm_eps } = config;
    this.self_attn = new DecoderAttention(config, variant, layer);
    this.mlp = new GatedMLP(
      hidden_size,
      intermediate_size,
      hidden_act,
      "text_config.hidden_act",
      variant.mlp_bias,
    );
    this.input_layernorm = new RMSNorm(hidden_size, rms_norm_eps, variant.norm_offset);
    this.post_attention_layernorm = new RMSNorm(hidden_size, rms_norm_eps, variant.norm_offset);
  }

  // [T, D] -> [T, D]
  forward(x: Value, rows: Rows, rotary: Rotary, cache: LayerCache, trace?: Trace): Value {
    x = add(x, this.self_attn.forward(this.input_layernorm.forward(x), rows, rotary, cache, trace));
    return add(x, this.mlp.forward(this.post_attention_layernorm.forward(x)));
  }
}

/** Llama and what is built like it: a language model without its head. */
export abstract class DecoderModel extends Module implements TextModel {
  embed_tokens: Embedding;
  layers: DecoderLayer[];
  norm: RMSNorm;
  #config: TextConfig;

  protected constructor(config: TextConfig, variant: DecoderVariant) {
    super();
    this.#config = config;
    ropeFrequencies(config); // what cannot be computed is said now, not at the first token
    this.embed_tokens = new Embedding(config.vocab_size, config.hidden_size, variant.embedding_factor);
    this.embed_tokens.weight.loss = "little";
    this.layers = Array.from(
      { length: config.num_hidden_layers },
      (_, layer) => new DecoderLayer(config, variant, layer),
    );
    this.norm = new RMSNorm(config.hidden_size, config.rms_norm_eps, variant.norm_offset);
  }

  get cacheShape(): CacheShape {
    const { kv_heads, head_dim } = headsOf(this.#config);
    return { layers: this.#config.num_hidden_layers, kv_heads, head_dim };
  }

  get keysStay(): boolean {
    return hasFixedFrequencies(this.#config);
  }

  // [T, D] -> [T, D]
  forward(x: Value, rows: Rows, trace?: Trace): Value {
    const rotary = rotaryOf(x.device, this.#config, rows);
    for (const [i, layer] of this.layers.entries()) {
      trace?.hidden_states.push(x);
      x = layer.forward(x, rows, rotary, rows.layer(i), trace);
    }
    x = this.norm.forward(x);
    trace?.hidden_states.push(x);
    return x;
  }
}

function headsOf(config: TextConfig): Heads {
  return {
    heads: config.num_attention_heads,
    kv_heads: config.num_key_value_heads,
    head_dim: headDim(config),
  };
}
