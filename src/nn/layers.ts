import type { Value } from "../devices/device.ts";
import { packedEmbedding } from "../kernels/formats/packed_embedding.ts";
import { linear } from "../kernels/linear.ts";
import { layerNorm, rmsNorm } from "../kernels/norm.ts";
import { embedding } from "../kernels/rows.ts";
import { scale } from "../kernels/scale.ts";
import { type Loss, Module, Parameter } from "./module.ts";
import { ProductInput, packedProduct } from "./packed_product.ts";

/** y = x W^T + b */
export class Linear extends Module {
  weight: Parameter;
  bias: Parameter | undefined;

  constructor(in_features: number, out_features: number, bias: boolean, loss: Loss = "much") {
    super();
    this.weight = new Parameter(out_features, in_features);
    this.weight.loss = loss;
    this.weight.multiplied = true;
    this.bias = bias ? new Parameter(out_features) : undefined;
  }

  // [T, in] -> [T, out]
  forward(x: Value): Value {
    return this.product(new ProductInput(x));
  }

  /** The same, for an input that several layers share. */
  product(input: ProductInput): Value {
    const { x } = input;
    if (this.weight.format) return packedProduct(input, this.weight, this.weight.format, this.bias);
    const rounded = this.weight.rounds && x.device.multipliesPairs;
    return x.device.run(linear, { x, weight: this.weight.value, bias: this.bias?.value }, { rounded });
  }
}

export class Embedding extends Module {
  weight: Parameter;
  #factor: number;

  /** @param factor what rows are multiplied by */
  constructor(num_embeddings: number, embedding_dim: number, factor = 1) {
    super();
    this.weight = new Parameter(num_embeddings, embedding_dim);
    this.#factor = factor;
  }

  // int32 [T] -> [T, D]
  forward(ids: Value): Value {
    const { value: weight, format, shape } = this.weight;
    const x = format
      ? ids.device.run(packedEmbedding, { ids, weight }, { format, D: shape[1] })
      : ids.device.run(embedding, { ids, weight }, {});
    return this.#factor === 1 ? x : x.device.run(scale, { x }, { factor: this.#factor });
  }
}

/** A convolution whose stride is its size: cuts pictures into patches and multiplies each. */
export class PatchConv2d extends Module {
  weight: Parameter;
  bias: Parameter | undefined;

  constructor(in_channels: number, out_channels: number, kernel_size: number, bias: boolean) {
    super();
    this.weight = new Parameter(out_channels, in_channels, kernel_size, kernel_size);
    this.weight.multiplied = true;
    this.bias = bias ? new Parameter(out_channels) : undefined;
  }

  // patches [T, C*p*p] -> [T, D]
  forward(x: Value): Value {
    const [D, ...rest] = this.weight.shape;
    const weight = x.device.view(this.weight.value, [D, rest.reduce((a, b) => a * b)]);
    return x.device.run(linear, { x, weight, bias: this.bias?.value }, {});
  }
}

export class RMSNorm extends Module {
  weight: Parameter;
  #eps: number;
  #offset: number;

  /** @param offset what is added to the weight */
  constructor(size: number, eps: number, offset = 0) {
    super();
    this.weight = new Parameter(size);
    this.#eps = eps;
    this.#offset = offset;
  }

  // [T, D] -> [T, D]
  forward(x: Value): Value {
    const params = { eps: this.#eps, offset: this.#offset };
    return x.device.run(rmsNorm, { x, weight: this.weight.value }, params);
  }
}

export class LayerNorm extends Module {
  weight: Parameter;
  bias: Parameter;
  #eps: number;

  constructor(size: number, eps: number) {
    super();
    this.weight = new Parameter(size);
    this.bias = new Parameter(size);
    this.#eps = eps;
  }

  // [T, D] -> [T, D]
  forward(x: Value): Value {
    const inputs = { x, weight: this.weight.value, bias: this.bias.value };
    return x.device.run(layerNorm, inputs, { eps: this.#eps });
  }
}
