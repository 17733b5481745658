import type { Value } from "../devices/device.ts";
import { type ActivationName, activationNamed } from "../kernels/activation.ts";
import { fullAttention } from "../nn/attention.ts";
import { act, add, interpolatePositions } from "../nn/functional.ts";
import { LayerNorm, Linear } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { ProductInput } from "../nn/packed_product.ts";
import type { Trace } from "../nn/trace.ts";
import type { VisionConfig } from "./vision_config.ts";

/** What of a config the blocks of CLIP and SigLIP come from. */
export type EncoderConfig = Pick<
  VisionConfig,
  "hidden_size" | "intermediate_size" | "num_hidden_layers" | "num_attention_heads" | "hidden_act"
> & { layer_norm_eps: number };

class VisionAttention extends Module {
  k_proj: Linear;
  v_proj: Linear;
  q_proj: Linear;
  out_proj: Linear;
  #heads: number;

  constructor({ hidden_size, num_attention_heads }: EncoderConfig) {
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
    const input = new ProductInput(x);
    const [q, k, v] = [this.q_proj, this.k_proj, this.v_proj].map((layer) => layer.product(input));
    return this.out_proj.forward(fullAttention(q, k, v, lengths, heads, trace));
  }
}

export class VisionMLP extends Module {
  fc1: Linear;
  fc2: Linear;
  #act: ActivationName;

  constructor({ hidden_size, intermediate_size, hidden_act }: EncoderConfig) {
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

class VisionEncoderLayer extends Module {
  self_attn: VisionAttention;
  layer_norm1: LayerNorm;
  mlp: VisionMLP;
  layer_norm2: LayerNorm;

  constructor(config: EncoderConfig) {
    super();
    this.self_attn = new VisionAttention(config);
    this.layer_norm1 = new LayerNorm(config.hidden_size, config.layer_norm_eps);
    this.mlp = new VisionMLP(config);
    this.layer_norm2 = new LayerNorm(config.hidden_size, config.layer_norm_eps);
  }

  // [T, D] -> [T, D]
  forward(x: Value, lengths: readonly number[], trace?: Trace): Value {
    x = add(x, this.self_attn.forward(this.layer_norm1.forward(x), lengths, trace));
    return add(x, this.mlp.forward(this.layer_norm2.forward(x)));
  }
}

/** The blocks of CLIP and SigLIP: every row of a picture sees the others of it. */
export class VisionEncoder extends Module {
  layers: VisionEncoderLayer[];

  constructor(config: EncoderConfig) {
    super();
    this.layers = Array.from({ length: config.num_hidden_layers }, () => new VisionEncoderLayer(config));
  }

  // [T, D] -> [T, D]
  forward(x: Value, lengths: readonly number[], trace: Trace): Value {
    trace.hidden_states.push(x);
    for (const layer of this.layers) {
      x = layer.forward(x, lengths, trace);
      trace.hidden_states.push(x);
    }
    return x;
  }
}

/**
 * Learned positions of a square grid, for pictures of another size; as they are where a square picture has as many.
 *
 * @param positions [kept + S*S, D]
 * @param kept rows before the grid's
 * @returns [kept + rows*columns, D]
 */
export function positionsFor(
  positions: Value,
  kept: number,
  [H, W]: readonly [height: number, width: number],
  patch: number,
): Value {
  const [rows, columns] = [Math.floor(H / patch), Math.floor(W / patch)];
  if (rows * columns === positions.shape[0] - kept && H === W) return positions;
  return interpolatePositions(positions, kept, rows, columns);
}
