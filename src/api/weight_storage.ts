import type { Device, Value, WeightDType, WeightSource } from "../devices/device.ts";
import { nextTurn, TURN } from "../devices/next_turn.ts";
import {
  type FormatName,
  GROUP,
  packable,
  packedBytes,
  packedShape,
  type WeightFormat,
} from "../kernels/formats/format.ts";
import { FORMATS } from "../kernels/formats/formats.ts";
import { packRows } from "../kernels/formats/pack.ts";
import type { Parameter } from "../nn/module.ts";
import { BYTES, toFloat32, viewBytes } from "../tensor/dtype.ts";
import { sizeOf } from "../tensor/tensor.ts";

/** What weights can be kept in. */
export type KeptDType = WeightDType | FormatName;

/** What one parameter is kept in. */
export type Storage =
  | { dtype: WeightDType; format?: undefined }
  | { format: WeightFormat; dtype?: undefined };

/**
 * The rule of what is kept in what. "q8" and "q4" pack matrices that a layer multiplies with, as its modules say
 * (`Parameter.loss`): in q4 some of them in 8 bits. Matrices that cannot be packed are kept in 16 bits, and norms and
 * biases as they are stored.
 */
export function storageOf(
  { shape, loss }: Parameter,
  stored: WeightDType,
  wanted: KeptDType | "auto",
): Storage {
  if (wanted === "auto") return { dtype: stored };
  if (wanted !== "q8" && wanted !== "q4") return { dtype: wanted };
  if (loss !== "none" && packable(shape[1])) return { format: FORMATS[loss === "little" ? "q8" : wanted] };
  return { dtype: shape.length > 1 && stored === "float32" ? "bfloat16" : stored };
}

/** Bytes that a parameter takes. */
export function storageBytes({ shape }: Parameter, { dtype, format }: Storage): number {
  return format ? packedBytes(format, shape[0], shape[1]) : sizeOf(shape) * BYTES[dtype];
}

/** Reads a tensor onto a device, packed where its storage says so, and gives it to its parameter. */
export async function fill(
  parameter: Parameter,
  source: WeightSource,
  storage: Storage,
  device: Device,
): Promise<void> {
  const { dtype, format } = storage;
  const value: Value = format
    ? await device.load(packedSource(source, format), "uint8")
    : await device.load(source, dtype);
  parameter.value = value;
  parameter.format = format?.name;
}

/** A tensor [N, K] as its packed bytes. Packing leaves the event loop free now and then. */
export function packedSource(source: WeightSource, format: WeightFormat): WeightSource {
  const [N, K] = source.shape;
  return {
    name: source.name,
    dtype: "uint8",
    shape: packedShape(format, N, K),
    async read() {
      const stored = viewBytes(source.dtype, await source.read());
      const packed = new Uint8Array(packedBytes(format, N, K));
      let turn = performance.now();
      for (let n = 0, at = 0; n < N; n += GROUP) {
        const rows = Math.min(GROUP, N - n);
        const numbers = toFloat32(source.dtype, stored.subarray(n * K, (n + rows) * K));
        const group = packRows(format, numbers, 0, rows, K);
        packed.set(group, at);
        at += group.length;
        if (performance.now() - turn < TURN) continue;
        await nextTurn();
        turn = performance.now();
      }
      return packed;
    },
  };
}
