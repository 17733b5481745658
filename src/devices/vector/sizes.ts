import { panelBytes, panelRows } from "../../codegen/panels.ts";
import type { Target } from "../../codegen/target.ts";
import { BYTES } from "../../tensor/dtype.ts";
import { sizeOf } from "../../tensor/tensor.ts";
import type { Spec } from "../device.ts";

/** Bytes of the numbers alone, row after row. */
export function bytesOf({ dtype, shape }: Spec): number {
  return sizeOf(shape) * BYTES[dtype];
}

/** Bytes that a Value takes as it lies: panels end with rows, and columns, that the weight has not. */
export function storedBytes(spec: Spec, target: Target): number {
  if (spec.layout !== "panels") return bytesOf(spec);
  const [N, K] = matrixOf(spec.shape);
  return Math.ceil(N / panelRows(target)) * panelBytes(target, spec.dtype, K);
}

/** Rows and columns of a weight [N, ...] that is multiplied with. */
export function matrixOf([N, ...rest]: readonly number[]): [N: number, K: number] {
  return [N, sizeOf(rest)];
}
