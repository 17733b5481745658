import type { Value } from "../devices/device.ts";
import { expandedLinear } from "../kernels/formats/expanded_linear.ts";
import type { FormatName } from "../kernels/formats/format.ts";
import { FORMATS } from "../kernels/formats/formats.ts";
import { packedLinear } from "../kernels/formats/packed_linear.ts";
import { quantiseRows } from "../kernels/formats/quantise_rows.ts";
import type { Parameter } from "./module.ts";

/**
 * The input of one or several products within a step. Where weights are packed it is rounded to 8 bits in blocks of 32,
 * once for all of them.
 */
export class ProductInput {
  readonly x: Value;
  /** Rounded, by the code that weights have for zero. */
  readonly #rounded = new Map<number, Value>();

  /** @param x [T, K] */
  constructor(x: Value) {
    this.x = x;
  }

  /** Rows as `packedLinear` takes them. */
  rounded(format: FormatName): Value {
    const { zero } = FORMATS[format];
    const known = this.#rounded.get(zero);
    if (known) return known;
    const rows = this.x.device.run(quantiseRows, { x: this.x }, { zero });
    this.#rounded.set(zero, rows);
    return rows;
  }
}

/**
 * x W^T + b, of a packed weight [N, K]. [T, K] -> [T, N]. Where the device expands weights in this step, the input is
 * rounded to bfloat16 instead of 8 bits.
 */
export function packedProduct(
  input: ProductInput,
  weight: Parameter,
  format: FormatName,
  bias: Parameter | undefined,
): Value {
  const params = { format, N: weight.shape[0] };
  const { x } = input;
  if (x.device.expands)
    return x.device.run(expandedLinear, { x, weight: weight.value, bias: bias?.value }, params);
  const inputs = { x: input.rounded(format), weight: weight.value, bias: bias?.value };
  return x.device.run(packedLinear, inputs, params);
}
