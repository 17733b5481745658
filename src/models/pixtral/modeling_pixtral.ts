import { ShapeError, UnsupportedError } from "../../base/errors.ts";
import type { Value } from "../../devices/device.ts";
import { fullAttention } from "../../nn/attention.ts";
import { add, patches, takeRows } from "../../nn/functional.ts";
import { Linear, PatchConv2d, RMSNorm } from "../../nn/layers.ts";
import { Module } from "../../nn/module.ts";
import { ProductInput } from "../../nn/packed_product.ts";
import { type Rotary, rotaryOfAngles, rotate } from "../../nn/rotary.ts";
import type { Trace } from "../../nn/trace.ts";
import { GatedMLP } from "../gated_mlp.ts";
import { defaultFrequencies } from "../modeling_rope_utils.ts";
import {
  refuseOption,
  type VisionOptions,
  type VisionOutput,
  type VisionTower,
  wrongPicture,
} from "../vision_tower.ts";
import type { PixtralVisionConfig } from "./configuration_pixtral.ts";

/** No config names it. */
const EPSILON = 1e-5;

class PixtralAttention extends Module {
  k_proj: Linear;
  v_proj: Linear;
  q_proj: Linear;
  o_proj: Linear;
  #heads: number;

  constructor({ hidden_size, num_attention_heads }: PixtralVisionConfig) {
    super();
    this.k_proj = new Linear(hidden_size, hidden_size, false);
    this.v_proj = new Linear(hidden_size, hidden_size, false);
    this.q_proj = new Linear(hidden_size, hidden_size, false);
    this.o_proj = new Linear(hidden_size, hidden_size, false);
    this.#heads = num_attention_heads;
  }

  // [T, D] -> [T, D]
  forward(x: Value, lengths: readonly number[], rotary: Rotary, trace: Trace): Value {
    const heads = { heads: this.#heads, kv_heads: this.#heads, head_dim: x.shape[1] / this.#heads };
    const input = new ProductInput(x);
    const q = rotate(this.q_proj.product(input), this.#heads, rotary);
    const k = rotate(this.k_proj.product(input), this.#heads, rotary);
    return this.o_proj.forward(fullAttention(q, k, this.v_proj.product(input), lengths, heads, trace));
  }
}

class PixtralAttentionLayer extends Module {
  attention_norm: RMSNorm;
  feed_forward: GatedMLP;
  attention: PixtralAttention;
  ffn_norm: RMSNorm;

  constructor(config: PixtralVisionConfig) {
    super();
    const { hidden_size, intermediate_size, hidden_act } = config;
    this.attention_norm = new RMSNorm(hidden_size, EPSILON);
    this.feed_forward = new GatedMLP(hidden_size, intermediate_size, hidden_act, "vision_config.hidden_act");
    this.attention = new PixtralAttention(config);
    this.ffn_norm = new RMSNorm(hidden_size, EPSILON);
  }

  // [T, D] -> [T, D]
  forward(x: Value, lengths: readonly number[], rotary: Rotary, trace: Trace): Value {
    x = add(x, this.attention.forward(this.attention_norm.forward(x), lengths, rotary, trace));
    return add(x, this.feed_forward.forward(this.ffn_norm.forward(x)));
  }
}

class PixtralTransformer extends Module {
  layers: PixtralAttentionLayer[];

  constructor(config: PixtralVisionConfig) {
    super();
    this.layers = Array.from({ length: config.num_hidden_layers }, () => new PixtralAttentionLayer(config));
  }
}

/** Patches of a picture: rows and columns. */
type Grid = readonly [rows: number, columns: number];

/** A tower for pictures of any size, whose patches have positions in two dimensions. */
export class PixtralVisionModel extends Module implements VisionTower {
  patch_conv: PatchConv2d;
  ln_pre: RMSNorm;
  transformer: PixtralTransformer;
  #config: PixtralVisionConfig;

  constructor(config: PixtralVisionConfig) {
    super();
    checkRopeType(config);
    this.#config = config;
    this.patch_conv = new PatchConv2d(config.num_channels, config.hidden_size, config.patch_size, false);
    this.ln_pre = new RMSNorm(config.hidden_size, EPSILON);
    this.transformer = new PixtralTransformer(config);
  }

  get merged(): boolean {
    return true;
  }

  // [N, C, H, W] -> [T, D]
  forward(pixels: Value, options: VisionOptions, trace: Trace): VisionOutput {
    refuseOption("PixtralVisionModel", options, "interpolate_pos_encoding", "it takes pictures of any size");
    checkHeadDim(this.#config);
    const { num_channels, patch_size } = this.#config;
    const [N, C, H, W] = pixels.shape;
    if (C !== num_channels || Math.min(H, W) < patch_size) {
      throw wrongPicture("PixtralVisionModel", [C, H, W], [num_channels, "any", "any"]);
    }
    const area: Grid = [Math.floor(H / patch_size), Math.floor(W / patch_size)];
    const grids = options.image_sizes
      ? gridsOf(options.image_sizes, pixels.shape, patch_size)
      : Array<Grid>(N).fill(area);
    const lengths = grids.map(([rows, columns]) => rows * columns);
    const own = takeRows(patches(pixels, patch_size), unpadded(grids, area)); // [T, C*p*p]
    let x = this.ln_pre.forward(this.patch_conv.forward(own)); // [T, D]
    const rotary = this.#rotary(pixels, grids);
    trace.hidden_states.push(x);
    for (const layer of this.transformer.layers) {
      x = layer.forward(x, lengths, rotary, trace);
      trace.hidden_states.push(x);
    }
    return { last_hidden_state: x, lengths };
  }

  /** The first half of a head's angles goes by the patch's row, the second by its column; frequencies alternate. */
  #rotary({ device }: Value, grids: readonly Grid[]): Rotary {
    const { rope_parameters, head_dim } = this.#config;
    const inv_freq = defaultFrequencies(rope_parameters.rope_theta, head_dim);
    const [byRow, byColumn] = [0, 1].map((odd) => inv_freq.filter((_, j) => j % 2 === odd));
    const angles: number[] = [];
    for (const [rows, columns] of grids)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++) {
          for (const f of byRow) angles.push(row * f);
          for (const f of byColumn) angles.push(column * f);
        }
    return rotaryOfAngles(device, Float32Array.from(angles), inv_freq.length);
  }
}

/** The config may say anything of `head_dim`, which reaches the rotation alone; no computation comes of what differs. */
function checkHeadDim({ head_dim, hidden_size, num_attention_heads: heads }: PixtralVisionConfig): void {
  if (head_dim * heads === hidden_size) return;
  throw new UnsupportedError(
    `vision_config.head_dim: a head has hidden_size / num_attention_heads = ${hidden_size / heads} elements, ` +
      `but positions are said to turn ${head_dim}`,
    { where: "vision_config.head_dim", expected: hidden_size / heads, got: head_dim },
  );
}

function checkRopeType({ rope_parameters: { rope_type } }: PixtralVisionConfig): void {
  if (rope_type === "axial") return;
  throw new UnsupportedError(
    `vision_config.rope_parameters: Pixtral's rope_type is "axial", got "${rope_type}"`,
    { where: "vision_config.rope_parameters.rope_type", expected: "axial", got: rope_type },
  );
}

/** The whole patches of each picture, without its padding. */
function gridsOf(
  sizes: readonly (readonly number[])[],
  [N, , H, W]: readonly number[],
  patch: number,
): Grid[] {
  const refuse = (what: string, got: unknown): ShapeError =>
    new ShapeError(`image_sizes: expected ${what}, got ${JSON.stringify(got)}`, {
      where: "image_sizes",
      got,
    });
  if (sizes.length !== N) throw refuse(`height and width of each of the ${N} pictures`, sizes);
  return sizes.map((size) => {
    const [height, width] = size;
    const fits = size.length === 2 && height >= patch && width >= patch && height <= H && width <= W;
    if (!fits) throw refuse(`[height, width] from ${patch} (a patch) to [${H}, ${W}] (pixel_values)`, size);
    return [Math.floor(height / patch), Math.floor(width / patch)];
  });
}

/** The numbers of the pictures' own patches among those of the padded area. */
function unpadded(grids: readonly Grid[], [areaRows, areaColumns]: Grid): number[] {
  return grids.flatMap(([rows, columns], n) =>
    Array.from({ length: rows * columns }, (_, i) => {
      const row = n * areaRows + Math.floor(i / columns);
      return row * areaColumns + (i % columns);
    }),
  );
}
