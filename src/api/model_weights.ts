import type { Device, WeightDType } from "../devices/device.ts";
import { FORMATS } from "../kernels/formats/formats.ts";
import { unpackNumbers } from "../kernels/formats/pack.ts";
import type { Parameter } from "../nn/module.ts";
import { BYTES, type DType, fromFloat32, type TypedArray, toFloat32 } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";

/** A parameter's numbers on the host, in the type that they are kept in; packed ones as bytes. */
export async function storedNumbers(device: Device, { value }: Parameter): Promise<Tensor> {
  const [tensor] = await device.step(() => [value]);
  return tensor;
}

/** A parameter's numbers on the host as float32, in the parameter's shape. */
export async function readNumbers(device: Device, parameter: Parameter): Promise<Tensor> {
  const { shape, format } = parameter;
  const { dtype, data } = await storedNumbers(device, parameter);
  if (!format) return new Tensor("float32", shape, toFloat32(dtype, data));
  const [N, K] = shape;
  const numbers = new Float32Array(N * K);
  for (let row = 0; row < N; row++)
    numbers.set(unpackNumbers(FORMATS[format], data as Uint8Array, row, K), row * K);
  return new Tensor("float32", shape, numbers);
}

/** Puts numbers onto the device and gives them to the parameter; what it had before is freed. */
export async function writeNumbers(
  device: Device,
  parameter: Parameter,
  dtype: WeightDType,
  data: TypedArray,
): Promise<void> {
  const source = {
    name: "a weight",
    dtype: dtype as DType,
    shape: parameter.shape,
    async read(): Promise<Uint8Array> {
      return new Uint8Array(data.buffer, data.byteOffset, data.length * BYTES[dtype]);
    },
  };
  const value = await device.load(source, dtype, parameter.multiplied ? "panels" : undefined);
  parameter.free();
  parameter.value = value;
}

/** Float32 numbers in another type. */
export function numbersAs(dtype: WeightDType, numbers: Float32Array): TypedArray {
  return dtype === "float32" ? numbers : fromFloat32(dtype, numbers);
}
