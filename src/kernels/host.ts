import { ShapeError } from "../base/errors.ts";
import type { Spec } from "../devices/device.ts";
import { toFloat32 } from "../tensor/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The numbers of an activation, which are always float32. */
export function f32(tensor: Tensor): Float32Array {
  if (tensor.data instanceof Float32Array) return tensor.data;
  throw new ShapeError(`a kernel expected float32, got ${tensor.dtype}`);
}

/** The numbers of an index table, which are always int32. */
export function i32(tensor: Tensor): Int32Array {
  if (tensor.data instanceof Int32Array) return tensor.data;
  throw new ShapeError(`a kernel expected int32, got ${tensor.dtype}`);
}

/** The numbers of a small weight (a bias, a norm) in any float type, widened. */
export function widened(tensor: Tensor): Float32Array {
  return toFloat32(tensor.dtype, tensor.data);
}

/** Throws where a size that must fit does not. */
export function expectSize(kernel: string, what: string, got: number, expected: number): void {
  if (got === expected) return;
  throw new ShapeError(`${kernel}: ${what} is ${got}, expected ${expected}`, {
    where: kernel,
    expected,
    got,
  });
}

/** Throws where a shape has not the number of dimensions that the kernel takes. */
export function expectRank(kernel: string, what: string, spec: Spec, rank: number): void {
  if (spec.shape.length === rank) return;
  throw new ShapeError(`${kernel}: ${what} has shape [${spec.shape}], expected ${rank} dimensions`, {
    where: kernel,
    expected: rank,
    got: spec.shape,
  });
}

/** A float32 output. */
export function float32(...shape: number[]): Spec {
  return { dtype: "float32", shape };
}
