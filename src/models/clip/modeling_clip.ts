import { ShapeError, UnsupportedError } from "../../base/errors.ts";
import type { Value } from "../../devices/device.ts";
import { type ActivationName, activationNamed } from "../../kernels/activation.ts";
import { fullAttention } from "../../nn/attention.ts";
import { act, add, patches, prependRow, takeRows } from "../../nn/functional.ts";
import { Embedding, LayerNorm, Linear, PatchConv2d } from "../../nn/layers.ts";
import { Module, Parameter } from "../../nn/module.ts";
import type { Trace } from "../../nn/trace.ts";
import type { VisionOutput, VisionTower } from "../vision_tower.ts";
import type { CLIPVisionConfig } from "./configuration_clip.ts";

class CLIPVisionEmbeddings extends Module {
  class_embedding: Parameter;
  patch_embedding: PatchConv2d;
  position_embedding: Embedding;
  #config: CLIPVisionConfig;

  constructor(config: CLIPVisionConfig) {
    super();
    this.#config = config;
    const { hidden_size, num_channels } = config;
    this.class_embedding = new Parameter(hidden_size);
    this.patch_embedding = new PatchConv2d(num_channels, hidden_size, side(config.patch_size), false);
    this.position_embedding = new Embedding(patchesOf(config) + 1, hidden_size);
  }

  // [N, C, S, S] -> [N*(P+1), D]
  forward(pixels: Value): Value {
    const { num_channels } = this.#config;
    const image_size = side(this.#config.image_size);
    const [, C, H, W] = pixels.shape;
    if (C !== num_channels || H !== image_size || W !== image_size) {
      throw new ShapeError(
        `CLIPVisionModel: the picture is ${C} x ${H} x ${W} (channels, height, width), the tower takes ` +
          `${num_channels} x ${image_size} x ${image_size}. Do size and crop_size of the image processor fit the model?`,
        { expected: [num_channels, image_size, image_size], got: [C, H, W] },
      );
    }
    const x = this.patch_embedding.forward(patches(pixels, side(this.#config.patch_size))); // [N*P, D]
    const withClass = prependRow(x, this.class_embedding.value, patchesOf(this.#config)); // [N*(P+1), D]
    return add(withClass, this.position_embedding.weight.value);
  }
}

class CLIPAttention extends Module {
  k_proj: Linear;
  v_proj: Linear;
  q_proj: Linear;
  out_proj: Linear;
  #heads: number;

  constructor({ hidden_size, num_attention_heads }: CLIPVisionConfig) {
    super();
    this.k_proj = new Linear(hidden_size, hidden_size, true);
    this.v_proj = new Linear(hidden_size, hidden_size, true);
    this.q_proj = new Linear(hidden_size, hidden_size, true);
    this.out_proj = new Linear(hidden_size, hidden_size, true);
    this.#heads = num_attention_heads;
  }

  // [T, D] -> [T, D]
  forward(x: Value, lengths: readonly number[], trace?: Trace): Value {
    const heads = { heads: this.#heads, kv_heads: this.#heads, head_dim: x.shape[1] / this.#heads };
    const [q, k, v] = [this.q_proj.forward(x), this.k_proj.forward(x), this.v_proj.forward(x)];
    return this.out_proj.forward(fullAttention(q, k, v, lengths, heads, trace));
  }
}

class CLIPMLP extends Module {
  fc1: Linear;
  fc2: Linear;
  #act: ActivationName;

  constructor({ hidden_size, intermediate_size, hidden_act }: CLIPVisionConfig) {
    super();
    this.fc1 = new Linear(hidden_size, intermediate_size, true);
    this.fc2 = new Linear(intermediate_size, hidden_size, true);
    this.#act = activationNamed(hidden_act, "vision_config.hidden_act");
  }

  // [T, D] -> [T, D]
  forward(x: Value): Value {
    return this.fc2.forward(act(this.fc1.forward(x), this.#act));
  }
}

class CLIPEncoderLayer extends Module {
  self_attn: CLIPAttention;
  layer_norm1: LayerNorm;
  mlp: CLIPMLP;
  layer_norm2: LayerNorm;

  constructor(config: CLIPVisionConfig) {
    super();
    this.self_attn = new CLIPAttention(config);
    this.layer_norm1 = new LayerNorm(config.hidden_size, config.layer_norm_eps);
    this.mlp = new CLIPMLP(config);
    this.layer_norm2 = new LayerNorm(config.hidden_size, config.layer_norm_eps);
  }

  // [T, D] -> [T, D]
  forward(x: Value, lengths: readonly number[], trace?: Trace): Value {
    x = add(x, this.self_attn.forward(this.layer_norm1.forward(x), lengths, trace));
    return add(x, this.mlp.forward(this.layer_norm2.forward(x)));
  }
}

class CLIPEncoder extends Module {
  layers: CLIPEncoderLayer[];

  constructor(config: CLIPVisionConfig) {
    super();
    this.layers = Array.from({ length: config.num_hidden_layers }, () => new CLIPEncoderLayer(config));
  }
}

/** The vision tower of LLaVA-1.5: a ViT with a class token, and a norm before its first block. */
export class CLIPVisionModel extends Module implements VisionTower {
  embeddings: CLIPVisionEmbeddings;
  /** Sic: the checkpoints have it so. */
  pre_layrnorm: LayerNorm;
  encoder: CLIPEncoder;
  post_layernorm: LayerNorm;
  #config: CLIPVisionConfig;

  constructor(config: CLIPVisionConfig) {
    super();
    this.#config = config;
    this.embeddings = new CLIPVisionEmbeddings(config);
    this.pre_layrnorm = new LayerNorm(config.hidden_size, config.layer_norm_eps);
    this.encoder = new CLIPEncoder(config);
    this.post_layernorm = new LayerNorm(config.hidden_size, config.layer_norm_eps);
  }

  // [N, C, S, S] -> hidden states [N*(P+1), D], pooled [N, D]
  forward(pixels: Value, trace: Trace): VisionOutput {
    const N = pixels.shape[0];
    const rows = patchesOf(this.#config) + 1;
    const lengths: number[] = Array(N).fill(rows);
    let x = this.pre_layrnorm.forward(this.embeddings.forward(pixels));
    trace.hidden_states.push(x);
    for (const layer of this.encoder.layers) {
      x = layer.forward(x, lengths, trace);
      trace.hidden_states.push(x);
    }
    const firstRows = lengths.map((_, n) => n * rows);
    return {
      last_hidden_state: x,
      pooler_output: this.post_layernorm.forward(takeRows(x, firstRows)),
      lengths,
    };
  }
}

function patchesOf({ image_size, patch_size }: CLIPVisionConfig): number {
  return Math.floor(side(image_size) / side(patch_size)) ** 2;
}

/** CLIP's pictures and patches are squares; its config may hold a pair all the same. */
function side(size: number | readonly number[]): number {
  if (typeof size === "number") return size;
  throw new UnsupportedError(`CLIPVisionModel: image_size and patch_size must be one number, got [${size}]`, {
    where: "vision_config",
    got: size,
  });
}
