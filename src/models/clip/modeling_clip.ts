import type { Value } from "../../devices/device.ts";
import { add, patches, prependRow } from "../../nn/functional.ts";
import { Embedding, LayerNorm, PatchConv2d } from "../../nn/layers.ts";
import { Module, Parameter } from "../../nn/module.ts";
import type { Trace } from "../../nn/trace.ts";
import { positionsFor, VisionEncoder } from "../vision_encoder.ts";
import {
  refuseOption,
  type VisionOptions,
  type VisionOutput,
  type VisionTower,
  wrongPicture,
} from "../vision_tower.ts";
import type { CLIPVisionConfig } from "./configuration_clip.ts";

class CLIPVisionEmbeddings extends Module {
  class_embedding: Parameter;
  patch_embedding: PatchConv2d;
  position_embedding: Embedding;
  #config: CLIPVisionConfig;

  constructor(config: CLIPVisionConfig) {
    super();
    this.#config = config;
    const { hidden_size, num_channels, image_size, patch_size } = config;
    const positions = Math.floor(image_size / patch_size) ** 2 + 1;
    this.class_embedding = new Parameter(hidden_size);
    this.patch_embedding = new PatchConv2d(num_channels, hidden_size, patch_size, false);
    this.position_embedding = new Embedding(positions, hidden_size);
  }

  // [N, C, H, W] -> [N*(P+1), D]
  forward(pixels: Value, interpolate: boolean): Value {
    const { num_channels, image_size, patch_size } = this.#config;
    const [N, C, H, W] = pixels.shape;
    const fits = interpolate ? Math.min(H, W) >= patch_size : H === image_size && W === image_size;
    if (C !== num_channels || !fits) {
      throw wrongPicture("CLIPVisionModel", [C, H, W], [num_channels, image_size, image_size]);
    }
    const x = this.patch_embedding.forward(patches(pixels, patch_size)); // [N*P, D]
    const withClass = prependRow(x, this.class_embedding.value, x.shape[0] / N); // [N*(P+1), D]
    const positions = this.position_embedding.weight.value;
    return add(withClass, interpolate ? positionsFor(positions, 1, [H, W], patch_size) : positions);
  }
}

/** The vision tower of LLaVA-1.5: a ViT with a class token, and a norm before its first block. */
export class CLIPVisionModel extends Module implements VisionTower {
  embeddings: CLIPVisionEmbeddings;
  /** Sic: the checkpoints have it so. */
  pre_layrnorm: LayerNorm;
  encoder: VisionEncoder;
  /** For the pooled class token alone, which LLaVA does not use. */
  post_layernorm: LayerNorm;

  constructor(config: CLIPVisionConfig) {
    super();
    this.embeddings = new CLIPVisionEmbeddings(config);
    this.pre_layrnorm = new LayerNorm(config.hidden_size, config.layer_norm_eps);
    this.encoder = new VisionEncoder(config);
    this.post_layernorm = new LayerNorm(config.hidden_size, config.layer_norm_eps);
  }

  get merged(): boolean {
    return false;
  }

  // [N, C, H, W] -> [N*(P+1), D]
  forward(pixels: Value, options: VisionOptions, trace: Trace): VisionOutput {
    refuseOption("CLIPVisionModel", options, "image_sizes", "its pictures are all of one size");
    const embedded = this.embeddings.forward(pixels, options.interpolate_pos_encoding ?? false);
    const N = pixels.shape[0];
    const lengths: number[] = Array(N).fill(embedded.shape[0] / N);
    const x = this.encoder.forward(this.pre_layrnorm.forward(embedded), lengths, trace);
    return { last_hidden_state: x, lengths };
  }
}
