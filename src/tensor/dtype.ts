/** Element types that a checkpoint can hold. */
export type DType =
  | "float64"
  | "float32"
  | "float16"
  | "bfloat16"
  | "int64"
  | "int32"
  | "int16"
  | "int8"
  | "uint8"
  | "bool";

/** Bytes an element takes. */
export const BYTES: Readonly<Record<DType, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
};

/** Arrays that hold tensors. 16-bit floats are kept as their bits, in a Uint16Array. */
export type TypedArray =
  | Float64Array
  | Float32Array
  | Uint16Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array;

/** An empty (zeroed) array for `length` elements of `dtype`. */
export function allocate(dtype: DType, length: number): TypedArray {
  return viewBytes(dtype, new Uint8Array(new ArrayBuffer(length * BYTES[dtype])));
}

/** The bytes as elements of `dtype` (little endian). Copies only where they are not aligned. */
export function viewBytes(dtype: DType, bytes: Uint8Array): TypedArray {
  const size = BYTES[dtype];
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const [buffer, offset, length] = [aligned.buffer, aligned.byteOffset, aligned.byteLength / size];
  switch (dtype) {
    case "float64":
      return new Float64Array(buffer, offset, length);
    case "float32":
      return new Float32Array(buffer, offset, length);
    case "float16":
    case "bfloat16":
      return new Uint16Array(buffer, offset, length);
    case "int64":
      return new BigInt64Array(buffer, offset, length);
    case "int32":
      return new Int32Array(buffer, offset, length);
    case "int16":
      return new Int16Array(buffer, offset, length);
    case "int8":
      return new Int8Array(buffer, offset, length);
    case "uint8":
    case "bool":
      return new Uint8Array(buffer, offset, length);
  }
}

/** The bytes of elements: a window, not a copy. */
export function bytesIn({ buffer, byteOffset, byteLength }: TypedArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

const word = new DataView(new ArrayBuffer(4));

/** IEEE half precision bits to a number. */
export function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** A number to IEEE half precision bits, rounded to nearest, ties to even. */
export function numberToFloat16(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = Math.abs(value);
  if (Number.isNaN(value)) return sign | 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  // Below 2^-14 the step is 2^-24; above, 2^-10 of the power of two below the value.
  const exponent = magnitude < 2 ** -14 ? -14 : Math.min(15, Math.floor(Math.log2(magnitude)));
  const scaled = magnitude * 2 ** (10 - exponent);
  const rounded = roundHalfEven(scaled);
  return sign | (rounded < 1024 ? rounded : ((exponent + 15) << 10) + (rounded - 1024));
}

/** The same for a number of float32 and its bits, by integer arithmetic: whole models go through here. */
function halfBits(word: number, value: number): number {
  const magnitude = word & 0x7fffffff;
  if (magnitude < 0x38800000 || magnitude >= 0x477ff000) return numberToFloat16(value);
  // Rebias the exponent from 127 to 15, and round the 13 bits that go: add just below half, or half where odd.
  const rebias = ((15 - 127) << 23) + 0xfff + ((magnitude >>> 13) & 1);
  return ((word >>> 16) & 0x8000) | ((magnitude + rebias) >>> 13);
}

/** Rounds to the nearest integer, halves to the even one, as Python and NumPy do. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** bfloat16 bits to a number. */
export function bfloat16ToNumber(bits: number): number {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}

/** A number to bfloat16 bits, rounded to nearest, ties to even. */
export function numberToBfloat16(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  if (Number.isNaN(value)) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Any elements as float32. Returns `data` itself where it already is. */
export function toFloat32(dtype: DType, data: TypedArray): Float32Array {
  if (data instanceof Float32Array) return data;
  const out = new Float32Array(data.length);
  if (dtype === "bfloat16") {
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < out.length; i++) bits[i] = (data[i] as number) << 16;
  } else if (dtype === "float16") {
    for (let i = 0; i < out.length; i++) out[i] = float16ToNumber(data[i] as number);
  } else {
    for (let i = 0; i < out.length; i++) out[i] = Number(data[i]);
  }
  return out;
}

/** float32 elements as `dtype`, rounded to nearest even. Returns `data` itself for float32. */
export function fromFloat32(dtype: DType, data: Float32Array): TypedArray {
  if (dtype === "float32") return data;
  const out = allocate(dtype, data.length);
  if (dtype === "bfloat16") for (let i = 0; i < data.length; i++) out[i] = numberToBfloat16(data[i]);
  else if (dtype === "float16") {
    const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
    for (let i = 0; i < data.length; i++) out[i] = halfBits(words[i], data[i]);
  } else if (out instanceof BigInt64Array)
    for (let i = 0; i < data.length; i++) out[i] = BigInt(Math.trunc(data[i]));
  else for (let i = 0; i < data.length; i++) out[i] = data[i];
  return out;
}
