import type { Value } from "../../devices/device.ts";
import { type ActivationName, activationNamed } from "../../kernels/activation.ts";
import { cachedAttention, type Heads, type Rotary, rotate } from "../../nn/attention.ts";
import { add, gated } from "../../nn/functional.ts";
import type { CacheShape, LayerCache } from "../../nn/kv_cache.ts";
import { Embedding, Linear, RMSNorm } from "../../nn/layers.ts";
import { Module } from "../../nn/module.ts";
import type { Rows } from "../../nn/rows.ts";
import type { Trace } from "../../nn/trace.ts";
import { rotaryOf } from "../modeling_rope_utils.ts";
import type { TextModel } from "../text_model.ts";
import type { LlamaConfig } from "./configuration_llama.ts";

class LlamaAttention extends Module {
  q_proj: Linear;
  k_proj: Linear;
  v_proj: Linear;
  o_proj: Linear;
  #heads: Heads;

  constructor(config: LlamaConfig) {
    super();
    const { hidden_size, attention_bias } = config;
    this.#heads = headsOf(config);
    const { heads, kv_heads, head_dim } = this.#heads;
    this.q_proj = new Linear(hidden_size, heads * head_dim, attention_bias);
    this.k_proj = new Linear(hidden_size, kv_heads * head_dim, attention_bias);
    this.v_proj = new Linear(hidden_size, kv_heads * head_dim, attention_bias);
    this.o_proj = new Linear(heads * head_dim, hidden_size, attention_bias);
  }

  // [T, D] -> [T, D]
  forward(x: Value, rows: Rows, rotary: Rotary, cache: LayerCache, trace?: Trace): Value {
    const { heads, kv_heads } = this.#heads;
    const q = rotate(this.q_proj.forward(x), rows, heads, rotary); // [T, H*d]
    const k = rotate(this.k_proj.forward(x), rows, kv_heads, rotary); // [T, Hkv*d]
    const v = this.v_proj.forward(x);
    return this.o_proj.forward(cachedAttention(q, k, v, rows, cache, this.#heads, trace));
  }
}

class LlamaMLP extends Module {
  gate_proj: Linear;
  up_proj: Linear;
  down_proj: Linear;
  #act: ActivationName;

  constructor({ hidden_size, intermediate_size, mlp_bias, hidden_act }: LlamaConfig) {
    super();
    this.gate_proj = new Linear(hidden_size, intermediate_size, mlp_bias);
    this.up_proj = new Linear(hidden_size, intermediate_size, mlp_bias);
    this.down_proj = new Linear(intermediate_size, hidden_size, mlp_bias);
    this.#act = activationNamed(hidden_act, "text_config.hidden_act");
  }

  // [T, D] -> [T, D]
  forward(x: Value): Value {
    return this.down_proj.forward(gated(this.gate_proj.forward(x), this.up_proj.forward(x), this.#act));
  }
}

class LlamaDecoderLayer extends Module {
  self_attn: LlamaAttention;
  mlp: LlamaMLP;
  input_layernorm: RMSNorm;
  post_attention_layernorm: RMSNorm;

  constructor(config: LlamaConfig) {
    super();
    this.self_attn = new LlamaAttention(config);
    this.mlp = new LlamaMLP(config);
    this.input_layernorm = new RMSNorm(config.hidden_size, config.rms_norm_eps);
    this.post_attention_layernorm = new RMSNorm(config.hidden_size, config.rms_norm_eps);
  }

  // [T, D] -> [T, D]
  forward(x: Value, rows: Rows, rotary: Rotary, cache: LayerCache, trace?: Trace): Value {
    x = add(x, this.self_attn.forward(this.input_layernorm.forward(x), rows, rotary, cache, trace));
    return add(x, this.mlp.forward(this.post_attention_layernorm.forward(x)));
  }
}

/** The language model of LLaVA-1.5, without its head. */
export class LlamaModel extends Module implements TextModel {
  embed_tokens: Embedding;
  layers: LlamaDecoderLayer[];
  norm: RMSNorm;
  #config: LlamaConfig;

  constructor(config: LlamaConfig) {
    super();
    this.#config = config;
    this.embed_tokens = new Embedding(config.vocab_size, config.hidden_size);
    this.layers = Array.from({ length: config.num_hidden_layers }, () => new LlamaDecoderLayer(config));
    this.norm = new RMSNorm(config.hidden_size, config.rms_norm_eps);
  }

  get cacheShape(): CacheShape {
    const { kv_heads, head_dim } = headsOf(this.#config);
    return { layers: this.#config.num_hidden_layers, kv_heads, head_dim };
  }

  // [T, D] -> [T, D]
  forward(x: Value, rows: Rows, trace?: Trace): Value {
    const rotary = rotaryOf(this.#config, rows);
    for (const [i, layer] of this.layers.entries()) {
      trace?.hidden_states.push(x);
      x = layer.forward(x, rows, rotary, rows.layer(i), trace);
    }
    x = this.norm.forward(x);
    trace?.hidden_states.push(x);
    return x;
  }
}

function headsOf(config: LlamaConfig): Heads {
  const heads = config.num_attention_heads;
  return {
    heads,
    kv_heads: config.num_key_value_heads ?? heads,
    head_dim: config.head_dim ?? config.hidden_size / heads,
  };
}
