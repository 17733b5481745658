import { UnsupportedError } from "../base/errors.ts";
import { nearest } from "../base/options.ts";
import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { sizeOf } from "../tensor/tensor.ts";
import { vectorActivation } from "./activation_program.ts";
import { normal } from "./cases.ts";
import { erf } from "./erf.ts";
import { expectSize, f32, float32 } from "./host.ts";
import { mapRow, rowOf } from "./row_programs.ts";

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => (x > 20 ? x : Math.log1p(Math.exp(x)));
const clip = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x));
const gelu = (x: number): number => 0.5 * x * (1 + erf(x * Math.SQRT1_2));
const geluTanh = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

/** The functions of Transformers' ACT2FN that need no numbers of their own, under its names. */
export const ACTIVATIONS = {
  gelu,
  gelu_python: gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_python_tanh: geluTanh,
  gelu_accurate: geluTanh,
  gelu_fast: (x: number) => 0.5 * x * (1 + Math.tanh(x * 0.7978845608 * (1 + 0.044715 * x * x))),
  gelu_10: (x: number) => clip(gelu(x), -10, 10),
  quick_gelu: (x: number) => x * sigmoid(1.702 * x),
  silu: (x: number) => x * sigmoid(x),
  swish: (x: number) => x * sigmoid(x),
  hardswish: (x: number) => (x * clip(x + 3, 0, 6)) / 6,
  relu: (x: number) => Math.max(0, x),
  relu2: (x: number) => Math.max(0, x) ** 2,
  relu6: (x: number) => clip(x, 0, 6),
  leaky_relu: (x: number) => (x < 0 ? 0.01 * x : x),
  mish: (x: number) => x * Math.tanh(softplus(x)),
  sigmoid,
  sqrtsoftplus: (x: number) => Math.sqrt(softplus(x)),
  laplace: (x: number) => 0.5 * (1 + erf((x - 707107e-6) / (282095e-6 * Math.SQRT2))),
  tanh: Math.tanh,
  linear: (x: number) => x,
} satisfies Record<string, (x: number) => number>;

/** The name of an activation, as `hidden_act` of a config has it. */
export type ActivationName = keyof typeof ACTIVATIONS;

/**
 * The activation that a config names.
 *
 * @param where the config's field, for the message
 * @throws UnsupportedError where there is none of that name
 */
export function activationNamed(name: string, where: string): ActivationName {
  if (Object.hasOwn(ACTIVATIONS, name)) return name as ActivationName;
  const near = nearest(name, Object.keys(ACTIVATIONS));
  throw new UnsupportedError(
    `${where}: there is no activation "${name}".${near === undefined ? "" : ` Did you mean "${near}"?`}`,
    { where, expected: Object.keys(ACTIVATIONS), got: name },
  );
}

/** y = act(x), element by element. Any shape. */
export const activation = kernel<{ x: Value }, { act: ActivationName }>({
  name: "activation",
  shape: ({ x }) => float32(...x.shape),
  reference({ x, y }, { act }) {
    const [input, output, f] = [f32(x), f32(y), ACTIVATIONS[act]];
    for (let i = 0; i < output.length; i++) output[i] = f(input[i]);
  },
  vector({ x }, { act }) {
    const f = vectorActivation(act);
    const D = x.shape[x.shape.length - 1] ?? 1;
    if (!f || x.shape.length === 0) return undefined;
    return {
      key: `${act} ${D}`,
      tiles: sizeOf(x.shape) / D,
      rows: true,
      build: (b, args) =>
        mapRow(b, D, [rowOf(b, args.x, b.tile, D)], rowOf(b, args.y, b.tile, D), (v) => f(b, v)),
    };
  },
  tolerance: 1e-6,
  cases: {
    list: [
      { act: "gelu", shape: [1, 1] },
      { act: "gelu", shape: [45, 65] },
      { act: "gelu_python", shape: [3, 7] },
      { act: "gelu_new", shape: [3, 7] },
      { act: "gelu_pytorch_tanh", shape: [45, 65] },
      { act: "gelu_python_tanh", shape: [2, 33] },
      { act: "gelu_accurate", shape: [5, 13] },
      { act: "gelu_fast", shape: [3, 31] },
      { act: "gelu_10", shape: [3, 17], scale: 8 },
      { act: "quick_gelu", shape: [45, 65] },
      { act: "silu", shape: [17, 130] },
      { act: "swish", shape: [3, 7] },
      { act: "hardswish", shape: [3, 19] },
      { act: "relu", shape: [3, 7] },
      { act: "relu2", shape: [3, 7] },
      { act: "relu6", shape: [3, 29] },
      { act: "leaky_relu", shape: [3, 7] },
      { act: "mish", shape: [7, 33] },
      { act: "sigmoid", shape: [3, 7] },
      { act: "sqrtsoftplus", shape: [3, 23] },
      { act: "laplace", shape: [3, 21] },
      { act: "tanh", shape: [7, 5] },
      { act: "linear", shape: [3, 7] },
      { act: "gelu", shape: [3, 7], scale: 1e4 },
      { act: "gelu_new", shape: [3, 7], scale: 1e4 },
      { act: "quick_gelu", shape: [3, 7], scale: 1e4 },
      { act: "silu", shape: [3, 7], scale: 1e4 },
      { act: "mish", shape: [3, 7], scale: 1e4 },
      { act: "tanh", shape: [3, 7], scale: 1e4 },
      { act: "gelu", shape: [3, 7], scale: 1e-4 },
      { act: "gelu_pytorch_tanh", shape: [3, 7], scale: 1e-4 },
      { act: "quick_gelu", shape: [3, 7], scale: 1e-4 },
      { act: "silu", shape: [3, 7], scale: 1e-4 },
      { act: "tanh", shape: [3, 7], scale: 1e-4 },
    ] satisfies ActivationCase[],
    trial: ({ act, shape, scale }: ActivationCase, random) => ({
      tensors: { x: extremes(normal(random, shape, scale ?? 4), scale) },
      params: { act },
    }),
  },
});

/** Where no `scale` is given, zeros and far numbers are among the input. */
interface ActivationCase {
  act: ActivationName;
  shape: number[];
  scale?: number;
}

/** Puts zeros, tiny and far numbers among the input of an activation that is tried over its whole range. */
function extremes(x: Tensor, scale: number | undefined): Tensor {
  const far = [0, -0, 1e-6, -1e-6, 30, -30, 0.46875, -4, 88.5, -104];
  if (scale === undefined && x.data.length > far.length) x.data.set(far as never, 1);
  return x;
}

/** y = act(gate) * up, element by element: the inner part of a gated MLP. [T, I], [T, I] -> [T, I] */
export const gatedActivation = kernel<{ gate: Value; up: Value }, { act: ActivationName }>({
  name: "gated_activation",
  shape({ gate, up }) {
    expectSize("gated_activation", "columns of up", up.shape[1], gate.shape[1]);
    return float32(...gate.shape);
  },
  reference({ gate, up, y }, { act }) {
    const [g, u, output, f] = [f32(gate), f32(up), f32(y), ACTIVATIONS[act]];
    for (let i = 0; i < output.length; i++) output[i] = f(g[i]) * u[i];
  },
  vector({ gate }, { act }) {
    const f = vectorActivation(act);
    const [T, D] = gate.shape;
    if (!f) return undefined;
    return {
      key: `${act} ${D}`,
      tiles: T,
      rows: true,
      build(b, args) {
        const inputs = [args.gate, args.up].map((input) => rowOf(b, input, b.tile, D));
        mapRow(b, D, inputs, rowOf(b, args.y, b.tile, D), (g, u) => b.mul(f(b, g), u));
      },
    };
  },
  tolerance: 1e-6,
  cases: {
    list: [
      { act: "silu", shape: [1, 1] },
      { act: "silu", shape: [3, 7] },
      { act: "silu", shape: [45, 65] },
      { act: "gelu", shape: [17, 130] },
      { act: "gelu_pytorch_tanh", shape: [5, 31] },
      { act: "quick_gelu", shape: [3, 7] },
      { act: "relu2", shape: [2, 19] },
      { act: "silu", shape: [3, 33], scale: 1e4 },
      { act: "silu", shape: [3, 33], scale: 1e-4 },
    ] satisfies ActivationCase[],
    trial: ({ act, shape, scale }: ActivationCase, random) => ({
      tensors: { gate: extremes(normal(random, shape, scale ?? 4), scale), up: normal(random, shape, scale) },
      params: { act },
    }),
  },
});
