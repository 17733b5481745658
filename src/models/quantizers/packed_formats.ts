import { UnsupportedError } from "../../base/errors.ts";
import type { AwqConfig } from "./awq_config.ts";
import type { GPTQConfig } from "./gptq_config.ts";
import type { WordLayout } from "./groups.ts";

/** Where AWQ's `gemm` keeps the outputs 0 to 7 of a word: its order is 0 2 4 6 1 3 5 7, from the lowest bits. */
const AWQ_SHIFTS = [0, 16, 4, 20, 8, 24, 12, 28];

/**
 * GPTQ packs along the inputs, lowest bits first. Version 1 stores zero points less one, borrowing from the next one
 * where they are 0.
 *
 * @throws UnsupportedError for numbers of bits and formats that are not read
 */
export function gptqLayout({ bits, format }: GPTQConfig): WordLayout {
  if (bits !== 4 && bits !== 8) throw refused("gptq", "bits", [4, 8], bits);
  if (format !== "gptq" && format !== "gptq_v2") throw refused("gptq", "format", ["gptq", "gptq_v2"], format);
  const shifts = Array.from({ length: 32 / bits }, (_, place) => place * bits);
  const one = shifts.reduce((word, shift) => word + 2 ** shift, 0);
  return { bits, packed: "inputs", shifts, zeroShifts: shifts, zeroWord: format === "gptq" ? one : 0 };
}

/** @throws UnsupportedError for numbers of bits and formats that are not read */
export function awqLayout({ bits, format, zero_point }: AwqConfig): WordLayout {
  if (bits !== 4) throw refused("awq", "bits", [4], bits);
  if (format !== "gemm") throw refused("awq", "version", ["gemm"], format);
  if (!zero_point) throw refused("awq", "zero_point", [true], zero_point);
  return { bits, packed: "outputs", shifts: AWQ_SHIFTS, zeroShifts: AWQ_SHIFTS, zeroWord: 0 };
}

function refused(method: string, field: string, expected: unknown[], got: unknown): UnsupportedError {
  return new UnsupportedError(
    `config.json: quantization_config: weights of the method "${method}" with ${field} ${JSON.stringify(got)} are not read; ` +
      `with ${field} ${expected.map((value) => JSON.stringify(value)).join(" or ")} they are. ` +
      "Take the original with float16, bfloat16 or float32 weights.",
    { where: `quantization_config.${field}`, expected, got },
  );
}
