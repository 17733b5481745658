import type { Builder } from "../codegen/ir.ts";
import { erf, exp, polynomial, sigmoid, tanh } from "../codegen/math.ts";
import type { Vec } from "../codegen/vector.ts";
import type { ActivationName } from "./activation.ts";

type VectorFunction = (b: Builder, x: Vec<"f32">) => Vec<"f32">;

/** 0.5 x (1 + inner) */
const half = (b: Builder, x: Vec<"f32">, inner: Vec<"f32">): Vec<"f32"> => {
  const halved = b.mul(x, b.f32(0.5));
  return b.fma(halved, inner, halved);
};

const gelu: VectorFunction = (b, x) => half(b, x, erf(b, b.mul(x, b.f32(Math.SQRT1_2))));

const geluTanh: VectorFunction = (b, x) => {
  const cube = b.mul(b.mul(x, x), x);
  const inner = b.mul(b.fma(cube, b.f32(0.044715), x), b.f32(Math.sqrt(2 / Math.PI)));
  return half(b, x, tanh(b, inner));
};

/** x / (1 + e^(-k x)) */
const swish =
  (k: number): VectorFunction =>
  (b, x) =>
    b.div(x, b.add(b.f32(1), exp(b, b.mul(x, b.f32(-k)))));

/** tanh, exact also where x is so small that 1 - 2 / (1 + e^2x) has no digits left. */
const tanhOfAll: VectorFunction = (b, x) => {
  const square = b.mul(x, x);
  const series = b.mul(x, polynomial(b, square, [1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835]));
  return b.select(b.less(b.abs(x), b.f32(0.2)), series, tanh(b, x));
};

/** Activations that vector programs compute. For the others devices compute the reference. */
const VECTOR_ACTIVATIONS: Partial<Record<ActivationName, VectorFunction>> = {
  gelu,
  gelu_python: gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_python_tanh: geluTanh,
  gelu_accurate: geluTanh,
  quick_gelu: swish(1.702),
  silu: swish(1),
  swish: swish(1),
  relu: (b, x) => b.max(x, b.f32(0)),
  sigmoid,
  tanh: tanhOfAll,
  linear: (_, x) => x,
};

export function vectorActivation(name: ActivationName): VectorFunction | undefined {
  return VECTOR_ACTIVATIONS[name];
}
