import type { Value } from "../devices/device.ts";
import { type ActivationName, activationNamed } from "../kernels/activation.ts";
import { gated } from "../nn/functional.ts";
import { Linear } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { ProductInput } from "../nn/packed_product.ts";

/** down(act(gate(x)) * up(x)) */
export class GatedMLP extends Module {
  gate_proj: Linear;
  up_proj: Linear;
  down_proj: Linear;
  #act: ActivationName;

  /** @param where the config's field that names the activation, for messages */
  constructor(size: number, inner: number, act: string, where: string, bias = false) {
    super();
    this.gate_proj = new Linear(size, inner, bias);
    this.up_proj = new Linear(size, inner, bias);
    this.down_proj = new Linear(inner, size, bias);
    this.#act = activationNamed(act, where);
  }

  // [T, D] -> [T, D]
  forward(x: Value): Value {
    const input = new ProductInput(x);
    return this.down_proj.forward(
      gated(this.gate_proj.product(input), this.up_proj.product(input), this.#act),
    );
  }
}
