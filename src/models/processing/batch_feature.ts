import { isConstant } from "../../base/constant.ts";
import { OptionError, ShapeError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { type DType, fromFloat32, toFloat32 } from "../../tensor/dtype.ts";
import { type NestedNumbers, Tensor } from "../../tensor/tensor.ts";

/** `"pt"` and `"np"` both mean this library's Tensor; null leaves nested number arrays. */
export type TensorType = "pt" | "np";

/** What a batch holds, by name. */
export type Features = Readonly<Record<string, unknown>>;

const FLOATS: readonly DType[] = ["float64", "float32", "float16", "bfloat16"];
const DEVICES = ["auto", "cpu", "wasm", "webgpu", "reference"];

class Batch<T extends object> {
  constructor(data?: T, tensor_type: TensorType | null = null, skip_tensor_conversion?: readonly string[]) {
    Object.assign(this, data);
    this.convert_to_tensors(tensor_type, { skip_tensor_conversion });
  }

  /** The value of `key`, or `fallback` (undefined) where there is none. */
  get<K extends keyof T>(key: K): T[K];
  get(key: string, fallback?: unknown): unknown;
  get(key: PropertyKey, fallback?: unknown): unknown {
    return Object.hasOwn(this, key) ? this.#data[key as keyof T] : fallback;
  }

  keys(): string[] {
    return Object.keys(this);
  }

  values(): T[keyof T][] {
    return Object.values(this.#data);
  }

  items(): [string, T[keyof T]][] {
    return Object.entries(this.#data);
  }

  /**
   * Makes nested number arrays, and lists of tensors of one shape, into tensors, in place. Whole numbers become
   * int32, others float32; texts and other objects stay.
   *
   * @throws ShapeError naming the key where its rows are of unequal length
   */
  convert_to_tensors(
    tensor_type: TensorType | null = null,
    options: { skip_tensor_conversion?: readonly string[] | null } = {},
  ): this {
    checkOptions("convert_to_tensors", options, ["skip_tensor_conversion"]);
    if (tensor_type === null) return this;
    if (tensor_type !== "pt" && tensor_type !== "np") {
      throw new OptionError(`return_tensors must be "pt", "np" or null, got ${JSON.stringify(tensor_type)}`, {
        where: "return_tensors",
        got: tensor_type,
      });
    }
    const converted: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(this)) {
      const tensor = options.skip_tensor_conversion?.includes(key) ? undefined : asTensor(key, value);
      if (tensor !== undefined) converted[key] = tensor;
    }
    return Object.assign(this, converted);
  }

  /**
   * Casts floating-point tensors to `dtype`, in place. A device may be named, as in Transformers' examples, but
   * the tensors stay on the host: a model takes them from there.
   */
  to(target: string, dtype?: DType): this {
    const cast = FLOATS.find((name) => name === (dtype ?? target));
    if (!DEVICES.includes(target) && (cast === undefined || dtype !== undefined)) {
      const known = [...DEVICES, ...FLOATS].join(", ");
      throw new OptionError(`BatchFeature.to: expected one of ${known}, got ${JSON.stringify(target)}`, {
        expected: known,
        got: target,
      });
    }
    if (cast === undefined) return this;
    const converted: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(this)) {
      if (value instanceof Tensor && FLOATS.includes(value.dtype)) converted[key] = castTensor(value, cast);
    }
    return Object.assign(this, converted);
  }

  get #data(): T {
    return this as unknown as T;
  }
}

/**
 * The output of a processor: its own enumerable keys are its data, so `{ ...inputs }` hands them on; what it can
 * do stands on its prototype.
 */
export type BatchFeature<T extends object = Features> = Batch<T> & T;
export const BatchFeature = Batch as unknown as {
  new <T extends object = Features>(
    data?: T,
    tensor_type?: TensorType | null,
    skip_tensor_conversion?: readonly string[],
  ): BatchFeature<T>;
  readonly prototype: Batch<object>;
};

/** The value as a tensor, or undefined where it is none already or no numbers. */
function asTensor(key: string, value: unknown): Tensor | undefined {
  if (!Array.isArray(value)) return undefined;
  try {
    if (value.length > 0 && value.every((item) => item instanceof Tensor)) return stack(value);
    if (!isNumbers(value)) return undefined;
    return Tensor.fromNested(value, isWhole(value) ? "int32" : "float32");
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new ShapeError(
      `Cannot make '${key}' one tensor: ${error.message}. Give padding: true so that all have one shape, or return_tensors: null.`,
      { where: key, expected: error.expected, got: error.got, cause: error },
    );
  }
}

/**
 * One tensor of tensors of one shape. N x [...] -> [N, ...]. One alone whose numbers stay
 * as they are is not copied.
 *
 * @throws ShapeError where shapes differ
 */
export function stack(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  if (tensors.length === 1 && isConstant(first.data))
    return new Tensor(first.dtype, [1, ...first.shape], first.data);
  const length = first.data.length;
  const out = new (first.data.constructor as new (length: number) => Float32Array)(length * tensors.length);
  for (const [i, tensor] of tensors.entries()) {
    if (tensor.shape.join() !== first.shape.join()) {
      throw new ShapeError(`sizes [${first.shape}] and [${tensor.shape}] differ`, {
        expected: first.shape,
        got: tensor.shape,
      });
    }
    out.set(tensor.data as Float32Array, i * length);
  }
  return new Tensor(first.dtype, [tensors.length, ...first.shape], out);
}

function castTensor(tensor: Tensor, dtype: DType): Tensor {
  return tensor.dtype === dtype
    ? tensor
    : new Tensor(dtype, tensor.shape, fromFloat32(dtype, toFloat32(tensor.dtype, tensor.data)));
}

function isNumbers(value: unknown): value is NestedNumbers {
  return Array.isArray(value) ? value.every(isNumbers) : typeof value === "number";
}

function isWhole(value: NestedNumbers): boolean {
  return Array.isArray(value) ? value.every(isWhole) : Number.isInteger(value);
}
