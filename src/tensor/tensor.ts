import { ShapeError } from "../base/errors.ts";
import { allocate, type DType, fromFloat32, type TypedArray, toFloat32 } from "./dtype.ts";

/** Numbers nested as deep as the tensor has dimensions; a plain number for none. */
export type NestedNumbers = number | NestedNumbers[];

/** The number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/**
 * Numbers on the host, row-major. What goes into and comes out of the library.
 *
 * `data` is the typed array of `dtype`; bfloat16 and float16 are kept as bits in a Uint16Array.
 */
export class Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;

  /** @throws ShapeError where `data` has not as many elements as `shape` says */
  constructor(dtype: DType, shape: readonly number[], data: TypedArray | readonly number[]) {
    const size = sizeOf(shape);
    if (data.length !== size) {
      throw new ShapeError(`Tensor: shape [${shape}] has ${size} elements, data has ${data.length}`, {
        expected: size,
        got: data.length,
      });
    }
    this.dtype = dtype;
    this.shape = [...shape];
    this.data = ArrayBuffer.isView(data) ? data : fill(dtype, data);
  }

  /** An int32 tensor from nested arrays; all rows must be of one length. */
  static fromNested(values: NestedNumbers, dtype: DType = "int32"): Tensor {
    const shape: number[] = [];
    for (let level: NestedNumbers = values; Array.isArray(level); level = level[0]) {
      shape.push(level.length);
      if (level.length === 0) break;
    }
    const flat: number[] = [];
    const visit = (value: NestedNumbers, depth: number): void => {
      if (!Array.isArray(value)) {
        if (depth !== shape.length) throw new ShapeError("Tensor: rows are of unequal depth");
        flat.push(value);
        return;
      }
      if (value.length !== shape[depth]) {
        throw new ShapeError(
          `Tensor: rows are of unequal length (${shape[depth]} and ${value.length}); use padding`,
          { expected: shape[depth], got: value.length },
        );
      }
      for (const item of value) visit(item, depth + 1);
    };
    visit(values, 0);
    return new Tensor(dtype, shape, flat);
  }

  /** The numbers as nested arrays. 64-bit integers come as numbers. */
  tolist(): NestedNumbers {
    const half = this.dtype === "float16" || this.dtype === "bfloat16";
    const data = half ? toFloat32(this.dtype, this.data) : this.data;
    let next = 0;
    const build = (depth: number): NestedNumbers =>
      depth === this.shape.length
        ? Number(data[next++])
        : Array.from({ length: this.shape[depth] }, () => build(depth + 1));
    return build(0);
  }
}

function fill(dtype: DType, values: readonly number[]): TypedArray {
  if (dtype === "float16" || dtype === "bfloat16") return fromFloat32(dtype, Float32Array.from(values));
  const out = allocate(dtype, values.length);
  if (out instanceof BigInt64Array) for (let i = 0; i < values.length; i++) out[i] = BigInt(values[i]);
  else for (let i = 0; i < values.length; i++) out[i] = values[i];
  return out;
}
