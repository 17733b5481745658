import type { StoredTensor, Weights } from "../../hub/weights.ts";
import { allocate, fromFloat32, toFloat32, viewBytes } from "../../tensor/dtype.ts";
import { type FloatName, fault, floatName, part, type Quantised } from "./quantised.ts";

/** Outputs that are unpacked at once: as many int32 as a cache line holds. */
const OUTPUTS = 16;

const FLOATS = ["float16", "bfloat16", "float32"] as const;

/** How GPTQ's and AWQ's files lay numbers of few bits into int32 words. */
export interface WordLayout {
  bits: number;
  /** The axis of which a word holds several numbers. The other is stored as it is. */
  packed: "inputs" | "outputs";
  /** Where in a word the numbers lie, by their place along that axis: bits from the lowest. */
  shifts: readonly number[];
  /** The same for zero points, which are always packed along the outputs. */
  zeroShifts: readonly number[];
  /** Added to each word of zero points: 1 in each place where they are stored less one. */
  zeroWord: number;
}

/** A weight whose inputs share scales and zero points in groups: w = (number - zero) * scale. */
interface Grouped {
  layout: WordLayout;
  inputs: number;
  outputs: number;
  groups: number;
  dtype: FloatName;
}

/**
 * The Linears of which a checkpoint holds `qweight`, `qzeros`, `scales` and maybe `g_idx`.
 *
 * @param size inputs of a group, as the config says; -1: all
 */
export function openGroups(weights: Weights, layout: WordLayout, size: number): Quantised[] {
  const modules = weights.names().filter((name) => name.endsWith(".qweight"));
  return modules.map((name) => open(weights, name.slice(0, -".qweight".length), layout, size));
}

function open(weights: Weights, module: string, layout: WordLayout, size: number): Quantised {
  const qweight = part(weights, `${module}.qweight`, "int32");
  if (qweight.shape.length !== 2) throw fault(qweight, "two axes", qweight.shape);
  const per = layout.shifts.length;
  const [inputs, outputs] =
    layout.packed === "inputs"
      ? [qweight.shape[0] * per, qweight.shape[1]]
      : [qweight.shape[0], qweight.shape[1] * per];
  const groupSize = size === -1 ? inputs : size;
  const groups = Math.ceil(inputs / groupSize);
  const scales = part(weights, `${module}.scales`, FLOATS, [groups, outputs]);
  const qzeros = part(weights, `${module}.qzeros`, "int32", [
    groups,
    Math.ceil(outputs / layout.zeroShifts.length),
  ]);
  const indices = weights.has(`${module}.g_idx`)
    ? part(weights, `${module}.g_idx`, "int32", [inputs])
    : undefined;
  const grouped: Grouped = { layout, inputs, outputs, groups, dtype: floatName(scales, scales.dtype) };
  const read = async (): Promise<Uint8Array> => {
    const groupOf = indices
      ? await readIndices(indices, groups)
      : Int32Array.from({ length: inputs }, (_, i) => Math.floor(i / groupSize));
    const zeros = unpackZeros(viewBytes("int32", await qzeros.read()) as Int32Array, grouped);
    const scale = viewBytes(scales.dtype, await scales.read());
    const words = viewBytes("int32", await qweight.read()) as Int32Array;
    return unpack(words, zeros, toFloat32(scales.dtype, scale), groupOf, grouped);
  };
  const parts = [qweight, scales, qzeros, ...(indices ? [indices] : [])];
  return {
    tensor: {
      name: `${module}.weight`,
      dtype: grouped.dtype,
      shape: [outputs, inputs],
      file: qweight.file,
      read,
    },
    parts: parts.map((tensor) => tensor.name),
  };
}

/** The group of each input. */
async function readIndices(indices: StoredTensor, groups: number): Promise<Int32Array> {
  const read = viewBytes("int32", await indices.read()) as Int32Array;
  const outside = read.find((group) => group < 0 || group >= groups);
  if (outside !== undefined) throw fault(indices, `numbers of groups below ${groups}`, outside);
  return read;
}

// int32 [G, O / numbers a word] -> [G, O]
function unpackZeros(words: Int32Array, { layout, groups, outputs }: Grouped): Int32Array {
  const { zeroShifts, zeroWord, bits } = layout;
  const zeros = new Int32Array(groups * outputs);
  const width = words.length / groups;
  const mask = 2 ** bits - 1;
  for (let group = 0; group < groups; group++) {
    for (let output = 0; output < outputs; output++) {
      const word = words[group * width + Math.floor(output / zeroShifts.length)] + zeroWord;
      zeros[group * outputs + output] = (word >> zeroShifts[output % zeroShifts.length]) & mask;
    }
  }
  return zeros;
}

/** The words' numbers as weights [outputs, inputs]. */
function unpack(
  words: Int32Array,
  zeros: Int32Array,
  scales: Float32Array,
  groupOf: Int32Array,
  { layout, inputs, outputs, groups, dtype }: Grouped,
): Uint8Array {
  const out = allocate(dtype, inputs * outputs) as Float32Array | Uint16Array;
  const { shifts, bits } = layout;
  const levels = 2 ** bits;
  const width = layout.packed === "inputs" ? outputs : outputs / shifts.length;
  const [inputStep, outputStep] = layout.packed === "inputs" ? [shifts.length, 1] : [1, shifts.length];
  const scaled = new Float32Array(groups * OUTPUTS * levels);
  for (let first = 0; first < outputs; first += OUTPUTS) {
    const count = Math.min(OUTPUTS, outputs - first);
    for (let group = 0; group < groups; group++) {
      for (let at = 0; at < count; at++) {
        const [zero, scale] = [zeros[group * outputs + first + at], scales[group * outputs + first + at]];
        const table = (group * OUTPUTS + at) * levels;
        for (let number = 0; number < levels; number++) scaled[table + number] = (number - zero) * scale;
      }
    }
    // a group's output has 2^bits different weights only: these are rounded, not the weights
    const rounded = fromFloat32(dtype, scaled) as Float32Array | Uint16Array;
    for (let input = 0; input < inputs; input++) {
      const row = Math.floor(input / inputStep) * width;
      const tables = groupOf[input] * OUTPUTS;
      for (let at = 0; at < count; at++) {
        const output = first + at;
        const word = words[row + Math.floor(output / outputStep)];
        const shift = shifts[layout.packed === "inputs" ? input % inputStep : output % outputStep];
        out[output * inputs + input] = rounded[(tables + at) * levels + ((word >>> shift) & (levels - 1))];
      }
    }
  }
  return new Uint8Array(out.buffer);
}
