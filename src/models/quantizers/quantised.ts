import { CheckpointError } from "../../base/errors.ts";
import type { StoredTensor, Weights } from "../../hub/weights.ts";
import { BYTES, type DType } from "../../tensor/dtype.ts";
import { sizeOf } from "../../tensor/tensor.ts";

/** Element types that a weight is unpacked to. */
export type FloatName = "float32" | "float16" | "bfloat16";

/** A weight that a checkpoint holds in parts. */
export interface Quantised {
  /** It unpacks itself when it is read. */
  tensor: StoredTensor;
  /** The names of the tensors that it is made of. */
  parts: readonly string[];
}

/**
 * A part of a quantised weight.
 *
 * @throws CheckpointError where it is not there, or has another type or shape
 */
export function part(
  weights: Weights,
  name: string,
  dtype?: DType | readonly DType[],
  shape?: readonly number[],
): StoredTensor {
  const tensor = weights.get(name);
  const types = typeof dtype === "string" ? [dtype] : dtype;
  const fits =
    shape === undefined ||
    (shape.length === tensor.shape.length && shape.every((n, i) => n === tensor.shape[i]));
  if ((types === undefined || types.includes(tensor.dtype)) && fits) return tensor;
  const expected = `${types?.join(" or ") ?? "any type"} [${shape ?? "any shape"}]`;
  throw fault(tensor, expected, `${tensor.dtype} [${tensor.shape}]`);
}

/** The error for a part that cannot be unpacked. */
export function fault({ name, file }: StoredTensor, expected: string, got: unknown): CheckpointError {
  const shown = (typeof got === "string" ? got : (JSON.stringify(got) ?? "nothing")).slice(0, 80);
  return new CheckpointError(
    `${file}: ${name}: expected ${expected}, got ${shown}. The checkpoint is damaged, or its quantization_config is of another one.`,
    { file, tensors: [name], where: name, expected, got },
  );
}

/** @throws CheckpointError where `name` is no element type of weights */
export function floatName(tensor: StoredTensor, name: unknown): FloatName {
  if (name === "float32" || name === "float16" || name === "bfloat16") return name;
  throw fault(tensor, "a dtype of float32, float16 or bfloat16", name);
}

/** What a weight of few bits is kept in where nobody asks: 16 bits hold all that it says. */
export function shortType(dtype: FloatName, compute: string): FloatName {
  if (dtype !== "float32") return dtype;
  return compute === "bfloat16" ? "bfloat16" : "float16";
}

export function bytesOf({ dtype, shape }: StoredTensor): number {
  return sizeOf(shape) * BYTES[dtype];
}
