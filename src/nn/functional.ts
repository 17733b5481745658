import type { Value } from "../devices/device.ts";
import { type ActivationName, activation, gatedActivation } from "../kernels/activation.ts";
import { argmax as argmaxKernel } from "../kernels/argmax.ts";
import { patches as patchesKernel } from "../kernels/patches.ts";
import { interpolatePositions as interpolatePositionsKernel } from "../kernels/positions.ts";
import {
  add as addKernel,
  concatColumns as concatColumnsKernel,
  mergeRows as mergeRowsKernel,
  prependRow as prependRowKernel,
  takeRows as takeRowsKernel,
} from "../kernels/rows.ts";
import { Tensor } from "../tensor/tensor.ts";

/** x + other, the rows of the second repeated: [N*R, D], [R, D] -> [N*R, D] */
export function add(x: Value, other: Value): Value {
  return x.device.run(addKernel, { x, other }, {});
}

/** The named activation, element by element. */
export function act(x: Value, name: ActivationName): Value {
  return x.device.run(activation, { x }, { act: name });
}

/** act(gate) * up: [T, I], [T, I] -> [T, I] */
export function gated(gate: Value, up: Value, name: ActivationName): Value {
  return gate.device.run(gatedActivation, { gate, up }, { act: name });
}

/** Cut into patches: [N, C, H, W] -> [N*P, C*p*p] */
export function patches(pixels: Value, patch: number): Value {
  return pixels.device.run(patchesKernel, { pixels }, { patch });
}

/** Stretches positions of a square grid, all but the first rows: [kept + S*S, D] -> [kept + height*width, D] */
export function interpolatePositions(weight: Value, kept: number, height: number, width: number): Value {
  return weight.device.run(interpolatePositionsKernel, { weight }, { kept, height, width });
}

/** A row before every group: [N*P, D], [D] -> [N*(P+1), D] */
export function prependRow(x: Value, row: Value, every: number): Value {
  return x.device.run(prependRowKernel, { x, row }, { every });
}

/** The place of each row's largest number: [T, D] -> int32 [T] */
export function argmax(x: Value): Value {
  return x.device.run(argmaxKernel, { x }, {});
}

/** The rows of the given numbers: [T, D] -> [M, D] */
export function takeRows(x: Value, index: readonly number[] | Int32Array): Value {
  return x.device.run(takeRowsKernel, { x, index: indices(x, index) }, {});
}

/** Rows of `source` where `index` is not negative: [T, D], [S, D] -> [T, D] */
export function mergeRows(x: Value, source: Value, index: readonly number[] | Int32Array): Value {
  return x.device.run(mergeRowsKernel, { x, source, index: indices(x, index) }, {});
}

/** Side by side: [T, A], [T, B], ... -> [T, A+B+...] */
export function concatColumns(parts: readonly Value[]): Value {
  return parts.reduce((a, b) => a.device.run(concatColumnsKernel, { a, b }, {}));
}

function indices(x: Value, index: readonly number[] | Int32Array): Value {
  return x.device.upload(new Tensor("int32", [index.length], Int32Array.from(index)));
}
