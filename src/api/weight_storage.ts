import type { WeightDType } from "../devices/device.ts";
import { type FormatName, packable, packedBytes, type WeightFormat } from "../kernels/formats/format.ts";
import { FORMATS } from "../kernels/formats/formats.ts";
import type { Parameter } from "../nn/module.ts";
import { BYTES } from "../tensor/dtype.ts";
import { sizeOf } from "../tensor/tensor.ts";

/** What weights can be kept in. */
export type KeptDType = WeightDType | FormatName;

/** What one parameter is kept in. */
export type Storage =
  | { dtype: WeightDType; rounds: boolean; format?: undefined }
  | { format: WeightFormat; rounds: false; dtype?: undefined };

/**
 * The rule of what is kept in what. "q8" and "q4" pack matrices that a layer multiplies with, as its modules say
 * (`Parameter.loss`): in q4 some of them in 8 bits, and a few in bfloat16. Matrices that cannot be packed are kept in 16
 * bits, and norms and biases as they are stored. `rounds`: what it is multiplied with may be rounded to bfloat16.
 */
export function storageOf(
  { shape, loss }: Parameter,
  stored: WeightDType,
  wanted: KeptDType | "auto",
): Storage {
  if (wanted === "auto") return { dtype: stored, rounds: false };
  if (wanted !== "q8" && wanted !== "q4") return { dtype: wanted, rounds: wanted === "bfloat16" };
  if (loss === "least") return { dtype: "bfloat16", rounds: true };
  if (loss !== "none" && packable(shape[1]))
    return { format: FORMATS[loss === "little" ? "q8" : wanted], rounds: false };
  return { dtype: shape.length > 1 && stored === "float32" ? "bfloat16" : stored, rounds: false };
}

/** Bytes that a parameter takes. */
export function storageBytes({ shape }: Parameter, { dtype, format }: Storage): number {
  return format ? packedBytes(format, shape[0], shape[1]) : sizeOf(shape) * BYTES[dtype];
}
