import type { Value } from "../../devices/device.ts";
import { add, patches } from "../../nn/functional.ts";
import { Embedding, LayerNorm, Linear, PatchConv2d } from "../../nn/layers.ts";
import { Module, Parameter } from "../../nn/module.ts";
import type { Trace } from "../../nn/trace.ts";
import { positionsFor, VisionEncoder, VisionMLP } from "../vision_encoder.ts";
import {
  refuseOption,
  type VisionOptions,
  type VisionOutput,
  type VisionTower,
  wrongPicture,
} from "../vision_tower.ts";
import type { SiglipVisionConfig } from "./configuration_siglip.ts";

class SiglipVisionEmbeddings extends Module {
  patch_embedding: PatchConv2d;
  position_embedding: Embedding;
  #config: SiglipVisionConfig;

  constructor(config: SiglipVisionConfig) {
    super();
    this.#config = config;
    const { hidden_size, num_channels, image_size, patch_size } = config;
    this.patch_embedding = new PatchConv2d(num_channels, hidden_size, patch_size, true);
    this.position_embedding = new Embedding(Math.floor(image_size / patch_size) ** 2, hidden_size);
  }

  // [N, C, H, W] -> [N*P, D]
  forward(pixels: Value, interpolate: boolean): Value {
    const { num_channels, image_size, patch_size } = this.#config;
    const [, C, H, W] = pixels.shape;
    const cells = (size: number): number => Math.floor(size / patch_size);
    // A picture that is larger by less than a patch has the same patches.
    const same = cells(H) === cells(image_size) && cells(W) === cells(image_size);
    if (C !== num_channels || !(interpolate ? cells(Math.min(H, W)) > 0 : same)) {
      throw wrongPicture("SiglipVisionModel", [C, H, W], [num_channels, image_size, image_size]);
    }
    const x = this.patch_embedding.forward(patches(pixels, patch_size)); // [N*P, D]
    const positions = this.position_embedding.weight.value;
    return add(x, interpolate ? positionsFor(positions, 0, [H, W], patch_size) : positions);
  }
}

class MultiheadAttention extends Module {
  in_proj_weight: Parameter;
  in_proj_bias: Parameter;
  out_proj: Linear;

  constructor(size: number) {
    super();
    this.in_proj_weight = new Parameter(3 * size, size);
    this.in_proj_bias = new Parameter(3 * size);
    this.out_proj = new Linear(size, size, true);
  }
}

/** Makes one row of a picture. LLaVA has no use for it, but checkpoints have its weights. */
class SiglipMultiheadAttentionPoolingHead extends Module {
  probe: Parameter;
  attention: MultiheadAttention;
  layernorm: LayerNorm;
  mlp: VisionMLP;

  constructor(config: SiglipVisionConfig) {
    super();
    this.probe = new Parameter(1, 1, config.hidden_size);
    this.attention = new MultiheadAttention(config.hidden_size);
    this.layernorm = new LayerNorm(config.hidden_size, config.layer_norm_eps);
    this.mlp = new VisionMLP(config);
  }
}

/** A ViT without a class token. */
export class SiglipVisionModel extends Module implements VisionTower {
  embeddings: SiglipVisionEmbeddings;
  encoder: VisionEncoder;
  /** After the last block, but in none of the hidden states. */
  post_layernorm: LayerNorm;
  head: SiglipMultiheadAttentionPoolingHead | undefined;

  constructor(config: SiglipVisionConfig) {
    super();
    this.embeddings = new SiglipVisionEmbeddings(config);
    this.encoder = new VisionEncoder(config);
    this.post_layernorm = new LayerNorm(config.hidden_size, config.layer_norm_eps);
    this.head = config.vision_use_head ? new SiglipMultiheadAttentionPoolingHead(config) : undefined;
  }

  get merged(): boolean {
    return false;
  }

  // [N, C, H, W] -> [N*P, D]
  forward(pixels: Value, options: VisionOptions, trace: Trace): VisionOutput {
    refuseOption("SiglipVisionModel", options, "image_sizes", "its pictures are all of one size");
    const embedded = this.embeddings.forward(pixels, options.interpolate_pos_encoding ?? false);
    const N = pixels.shape[0];
    const lengths: number[] = Array(N).fill(embedded.shape[0] / N);
    const x = this.encoder.forward(embedded, lengths, trace);
    return { last_hidden_state: this.post_layernorm.forward(x), lengths };
  }
}
