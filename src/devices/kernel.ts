import type { Builder } from "../codegen/ir.ts";
import type { Argument } from "../codegen/scalar.ts";
import type { Target } from "../codegen/target.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Spec, Value } from "./device.ts";

/** Named inputs of a kernel. An optional one may be left out. */
export type KernelInputs = { readonly [name: string]: Value | undefined };

/** The same names, with what is known before computing. */
export type Specs<I extends KernelInputs> = {
  readonly [K in keyof I]: undefined extends I[K] ? Spec | undefined : Spec;
};

/** The same names with their numbers on the host. */
export type HostInputs<I extends KernelInputs> = {
  readonly [K in keyof I]: undefined extends I[K] ? Tensor | undefined : Tensor;
};

/** The same, and the output `y`. */
export type HostArrays<I extends KernelInputs> = HostInputs<I> & { readonly y: Tensor };

/** What a kernel is tried with. */
export interface Trial<I extends KernelInputs, P> {
  readonly tensors: HostInputs<I>;
  readonly params: P;
  /** The inputs that come from a checkpoint, by `device.load`. The others are uploaded. */
  readonly loaded?: readonly (keyof I & string)[];
  /** Those of them that are multiplied with. */
  readonly panels?: readonly (keyof I & string)[];
}

/** Sizes and parameters that a kernel must be right for on every device, and the numbers that go with them. */
export interface KernelCases<I extends KernelInputs, P> {
  /** One entry a case: plain data. */
  readonly list: readonly object[];
  /**
   * The inputs of one case.
   *
   * @param random gives numbers from 0 to 1 (not included), the same ones for the same seed
   */
  trial(entry: object, random: () => number): Trial<I, P>;
}

/** A program that computes a kernel, or a part of it. */
export interface VectorProgram {
  /** Names all that `build` builds in, so that a program can be used again. Row counts are better given as numbers. */
  readonly key: string;
  /** Pieces of work, which threads share out among themselves. */
  readonly tiles: number;
  /** Tiles read memory on end, which is what takes the time, and take equally long: threads take long runs of them. */
  readonly streams?: boolean;
  /** A tile is a row: of inputs and output, tile `t` reads and writes row `t` only. What is loaded it reads as it likes. */
  readonly rows?: boolean;
  /** Numbers that the program reads when it runs, by name. */
  readonly numbers?: Readonly<Record<string, number>>;
  /**
   * Writes the program that computes one tile.
   *
   * @param args the addresses of the inputs that are there and of `y`, and the numbers
   */
  build(b: Builder, args: Readonly<Record<string, Argument>>): void;
}

/**
 * What is computed before a kernel: `bytes` of memory that end with it, whose address both programs have as their argument
 * `work`.
 */
export interface FirstProgram extends VectorProgram {
  readonly bytes: number;
  /** The only input that it reads. Kernels that read the same one, and would have the same computed of it, share that. */
  readonly reads?: string;
}

/** How vector programs compute a kernel for inputs of certain types and shapes. */
export interface VectorForm extends VectorProgram {
  readonly first?: FirstProgram | undefined;
}

/** What computing a kernel amounts to, for measuring. */
export interface Cost {
  /** Tells its uses apart: sizes that do not depend on the number of rows. */
  readonly use: string;
  /** Bytes that have to be read and written. */
  readonly bytes: number;
  /** Multiplications and additions, each counted. */
  readonly operations: number;
  /** What they are done on. Where it is left out: float32. */
  readonly numbers: "bytes" | "bfloat16";
}

/**
 * One operation, as data: all that there is to know about it. A device can run any kernel and imports none.
 *
 * `reference` is the definition; every other form must agree with it within `tolerance` (of the largest magnitude
 * in the reference's output), for each of the `cases`.
 */
export interface Kernel<I extends KernelInputs, P> {
  readonly name: string;
  /** The output's type and shape. Throws ShapeError where the inputs do not fit together. */
  shape(inputs: Specs<I>, params: P): Spec;
  /** The input that the kernel writes into; `y` is then that input and `shape` gives its own. */
  readonly inPlace?: keyof I & string;
  /** The plain loop: the definition. Writes into `y`, which is zero (or the in-place input). */
  reference(arrays: HostArrays<I>, params: P): void;
  /** The form that machine code and WebAssembly are made from. Without it such devices compute the reference. */
  vector?(inputs: Specs<I>, params: P, target: Target): VectorForm | undefined;
  /** What it amounts to. Where it is left out: reading the inputs and writing the output once, and no operations. */
  cost?(inputs: Specs<I>, params: P): Partial<Cost>;
  readonly tolerance: number;
  readonly cases: KernelCases<I, P>;
}

/** Declares a kernel, with its types taken from what it says. */
export function kernel<I extends KernelInputs, P = Record<never, never>>(
  definition: Kernel<I, P>,
): Kernel<I, P> {
  return definition;
}
