import type { Value } from "../devices/device.ts";
import type { FormatName } from "../kernels/formats/format.ts";
import { FORMATS } from "../kernels/formats/formats.ts";
import { packedLinear } from "../kernels/formats/packed_linear.ts";
import { quantiseRows } from "../kernels/formats/quantise_rows.ts";
import type { Parameter } from "./module.ts";

/** x W^T + b, of a packed weight [N, K]: x is rounded to 8 bits in blocks of 32 first. [T, K] -> [T, N] */
export function packedProduct(
  x: Value,
  weight: Parameter,
  format: FormatName,
  bias: Parameter | undefined,
): Value {
  const rows = x.device.run(quantiseRows, { x }, { zero: FORMATS[format].zero });
  const inputs = { x: rows, weight: weight.value, bias: bias?.value };
  return x.device.run(packedLinear, inputs, { format, N: weight.shape[0] });
}
