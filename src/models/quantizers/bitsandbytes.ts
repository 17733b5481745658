import { decodeText, isRecord, parseJson } from "../../hub/json.ts";
import type { StoredTensor, Weights } from "../../hub/weights.ts";
import { allocate, fromFloat32, type TypedArray, viewBytes } from "../../tensor/dtype.ts";
import { sizeOf } from "../../tensor/tensor.ts";
import type { BitsAndBytesConfig } from "./bitsandbytes_config.ts";
import { bytesOf, type FloatName, fault, floatName, part, type Quantised, shortType } from "./quantised.ts";

const STATE = /^(.*\.weight)\.quant_state\.bitsandbytes__(nf4|fp4)$/;

/** Blocks of 4-bit numbers that are unpacked at once. */
const BLOCKS = 512;

/** int8 weights are this share of their row's largest: bitsandbytes multiplies by it in float32. */
const INT8_STEP = Math.fround(7.874015718698502e-3);

/**
 * The weights of a checkpoint that bitsandbytes quantised: in 4 bits those with a quant_state beside them, in 8 bits
 * those with row scales (SCB). Any Linear may be.
 */
export async function openBitsAndBytes(
  weights: Weights,
  config: BitsAndBytesConfig,
  dtype: FloatName,
): Promise<Quantised[]> {
  const names = weights.names();
  const found: Quantised[] = [];
  for (const name of names) {
    const match = STATE.exec(name);
    if (match) found.push(await open4bit(weights, match[1], name, config));
    else if (name.endsWith(".SCB")) found.push(open8bit(weights, name.slice(0, -".SCB".length), dtype));
  }
  return found;
}

/** What `quant_state` says of a weight. */
interface QuantState {
  shape: readonly [number, number];
  blocksize: number;
  dtype: FloatName;
  /** Of scales that are quantised themselves. */
  nested?: { blocksize: number; offset: number };
}

async function open4bit(
  weights: Weights,
  name: string,
  stateName: string,
  config: BitsAndBytesConfig,
): Promise<Quantised> {
  const packed = part(weights, name);
  const state = await readState(weights.get(stateName), bytesOf(packed) * 2);
  const count = sizeOf(state.shape);
  const blocks = Math.ceil(count / state.blocksize);
  const absmax = part(weights, `${name}.absmax`, state.nested ? "uint8" : "float32", [blocks]);
  const levels = part(weights, `${name}.quant_map`, "float32", [16]);
  const nested = state.nested && {
    absmax: part(weights, `${name}.nested_absmax`, "float32", [Math.ceil(blocks / state.nested.blocksize)]),
    levels: part(weights, `${name}.nested_quant_map`, "float32", [256]),
    ...state.nested,
  };
  const parts = [packed, weights.get(stateName), absmax, levels];
  if (nested) parts.push(nested.absmax, nested.levels);

  const read = async (): Promise<Uint8Array> => {
    const scales = nested
      ? scalesOf(await numbers(absmax), await numbers(nested.levels), await numbers(nested.absmax), nested)
      : await numbers(absmax);
    const codes = await packed.read();
    return unpack4bit(codes, await numbers(levels), scales, count, state);
  };
  const { shape, dtype } = state;
  return {
    tensor: {
      name,
      dtype,
      shape,
      file: packed.file,
      read,
      kept: shortType(dtype, config.bnb_4bit_compute_dtype),
    },
    parts: parts.map((tensor) => tensor.name),
  };
}

/** @param room numbers that the packed weight has place for */
async function readState(tensor: StoredTensor, room: number): Promise<QuantState> {
  const { name, file } = tensor;
  if (tensor.dtype !== "uint8" || sizeOf(tensor.shape) > 4096) {
    throw fault(tensor, "a short text in uint8", `${tensor.dtype} [${tensor.shape}]`);
  }
  const json = parseJson(decodeText(await tensor.read(), file), `${file}: ${name}`);
  if (!isRecord(json)) throw fault(tensor, "a JSON object", json);
  const { shape, blocksize, dtype, nested_blocksize, nested_offset } = json;
  const sizes = Array.isArray(shape) ? (shape as unknown[]) : [];
  const isSize = (size: unknown): size is number => Number.isSafeInteger(size) && (size as number) > 0;
  const [rows, columns] = sizes;
  if (sizes.length !== 2 || !isSize(rows) || !isSize(columns))
    throw fault(tensor, "a shape of two sizes", shape);
  // an odd count leaves half a byte over
  if (rows * columns !== room && rows * columns !== room - 1) {
    throw fault(tensor, `a shape of ${room} numbers, as the weight has`, shape);
  }
  if (!isSize(blocksize)) throw fault(tensor, "a blocksize from 1", blocksize);
  const state = { shape: [rows, columns] as const, blocksize, dtype: floatName(tensor, dtype) };
  if (nested_blocksize === undefined) return state;
  if (!isSize(nested_blocksize)) throw fault(tensor, "a nested_blocksize from 1", nested_blocksize);
  if (typeof nested_offset !== "number" || !Number.isFinite(nested_offset)) {
    throw fault(tensor, "a number as nested_offset", nested_offset);
  }
  return { ...state, nested: { blocksize: nested_blocksize, offset: nested_offset } };
}

async function numbers(tensor: StoredTensor): Promise<TypedArray> {
  return viewBytes(tensor.dtype, await tensor.read());
}

/** The scales of blocks, where they are numbers of a table times a scale of their own, plus an offset. */
function scalesOf(
  codes: TypedArray,
  levels: TypedArray,
  absmax: TypedArray,
  { blocksize, offset }: { blocksize: number; offset: number },
): Float32Array {
  const scales = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) {
    const level = levels[codes[i] as number] as number;
    scales[i] = Math.fround(level * (absmax[Math.floor(i / blocksize)] as number)) + Math.fround(offset);
  }
  return scales;
}

/** Two numbers a byte, the first in the upper half; each is one of 16 levels, times its block's scale. */
function unpack4bit(
  codes: Uint8Array,
  levels: TypedArray,
  scales: TypedArray,
  count: number,
  { blocksize, dtype }: QuantState,
): Uint8Array {
  const out = allocate(dtype, count) as Float32Array | Uint16Array;
  const scaled = new Float32Array(16 * BLOCKS);
  for (let first = 0; first < scales.length; first += BLOCKS) {
    const blocks = Math.min(BLOCKS, scales.length - first);
    for (let block = 0; block < blocks; block++) {
      const scale = scales[first + block] as number;
      for (let level = 0; level < 16; level++) scaled[16 * block + level] = (levels[level] as number) * scale;
    }
    // each block has 16 different numbers only: these are rounded, not the weights
    const rounded = fromFloat32(dtype, scaled) as Float32Array | Uint16Array;
    for (let block = 0; block < blocks; block++) {
      const begin = (first + block) * blocksize;
      const end = Math.min(begin + blocksize, count);
      for (let i = begin; i < end; i++) {
        out[i] = rounded[16 * block + ((codes[i >> 1] >> (i & 1 ? 0 : 4)) & 15)];
      }
    }
  }
  return new Uint8Array(out.buffer);
}

function open8bit(weights: Weights, module: string, dtype: FloatName): Quantised {
  const name = `${module}.weight`;
  const packed = part(weights, name, "int8");
  if (packed.shape.length !== 2) throw fault(packed, "two axes", packed.shape);
  const [rows] = packed.shape;
  const scales = part(weights, `${module}.SCB`, "float32", [rows]);
  const parts = [packed.name, scales.name];
  if (weights.has(`${module}.weight_format`)) parts.push(`${module}.weight_format`);
  const { shape, file } = packed;
  const read = async (): Promise<Uint8Array> =>
    unpack8bit((await numbers(packed)) as Int8Array, (await numbers(scales)) as Float32Array, dtype);
  return { tensor: { name, dtype, shape, file, read, kept: shortType(dtype, dtype) }, parts };
}

/** A byte a number: the share of its row's largest, in 127ths. */
function unpack8bit(codes: Int8Array, scales: Float32Array, dtype: FloatName): Uint8Array {
  const out = allocate(dtype, codes.length) as Float32Array | Uint16Array;
  const columns = codes.length / scales.length;
  const scaled = new Float32Array(256);
  for (const [row, scale] of scales.entries()) {
    for (let code = 0; code < 256; code++) scaled[code] = Math.fround((code - 128) * scale) * INT8_STEP;
    const rounded = fromFloat32(dtype, scaled) as Float32Array | Uint16Array;
    for (let i = row * columns; i < (row + 1) * columns; i++) out[i] = rounded[codes[i] + 128];
  }
  return new Uint8Array(out.buffer);
}
