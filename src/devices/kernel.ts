import type { Tensor } from "../tensor/tensor.ts";
import type { Spec, Value } from "./device.ts";

/** Named inputs of a kernel. An optional one may be left out. */
export type KernelInputs = { readonly [name: string]: Value | undefined };

/** The same names, with what is known before computing. */
export type Specs<I extends KernelInputs> = {
  readonly [K in keyof I]: undefined extends I[K] ? Spec | undefined : Spec;
};

/** The same names with their numbers on the host, and the output `y`. */
export type HostArrays<I extends KernelInputs> = {
  readonly [K in keyof I]: undefined extends I[K] ? Tensor | undefined : Tensor;
} & { readonly y: Tensor };

/**
 * One operation, as data: all that there is to know about it. A device can run any kernel and imports none.
 *
 * `reference` is the definition; every other form must agree with it within `tolerance` (of the largest magnitude
 * in the reference's output).
 */
export interface Kernel<I extends KernelInputs, P> {
  readonly name: string;
  /** The output's type and shape. Throws ShapeError where the inputs do not fit together. */
  shape(inputs: Specs<I>, params: P): Spec;
  /** The input that the kernel writes into; `y` is then that input and `shape` gives its own. */
  readonly inPlace?: keyof I & string;
  /** The plain loop: the definition. Writes into `y`, which is zero (or the in-place input). */
  reference(arrays: HostArrays<I>, params: P): void;
  readonly tolerance: number;
}

/** Declares a kernel, with its types taken from what it says. */
export function kernel<I extends KernelInputs, P = Record<never, never>>(
  definition: Kernel<I, P>,
): Kernel<I, P> {
  return definition;
}
