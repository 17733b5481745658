import {
  type Device,
  isWeightDType,
  type Value,
  type WeightDType,
  type WeightSource,
} from "../devices/device.ts";
import { GROUP, packedShape, type WeightFormat } from "../kernels/formats/format.ts";
import { packWeights } from "../kernels/formats/pack_weights.ts";
import { BYTES, toFloat32, viewBytes } from "../tensor/dtype.ts";

/** Bytes of a weight that are packed at a time, about. The next are read meanwhile. */
const PART = 2 ** 24;

/**
 * Reads a tensor [N, K] onto a device and packs it there, some rows at a time: beside the packed bytes only two parts
 * are held, and the whole tensor where it cannot be read in parts. Where it fails, the device is of no more use.
 */
export async function loadPacked(
  source: WeightSource,
  format: WeightFormat,
  device: Device,
  signal?: AbortSignal,
): Promise<Value> {
  const [N, K] = source.shape;
  const packed = device.allocate({ dtype: "uint8", shape: packedShape(format, N, K) });
  const { dtype, rowsOf } = await partsOf(source);
  const rows = Math.max(1, Math.floor(PART / (GROUP * K * BYTES[dtype]))) * GROUP;
  const load = (n: number): Promise<Value> => device.load(rowsOf(n, Math.min(n + rows, N)), dtype);
  let next = load(0);
  try {
    for (let n = 0; n < N; n += rows) {
      const x = await next;
      if (n + rows < N) {
        next = load(n + rows);
        next.catch(() => {}); // it is waited for below
      }
      const params = { format: format.name, group: n / GROUP };
      const record = (): Value[] => {
        device.run(packWeights, { x, packed }, params);
        device.free(x);
        return [];
      };
      await device.step(record, { signal });
    }
    return packed;
  } catch (error) {
    // Nothing may be read into the device's memory any more when its owner gives that back.
    await next.catch(() => {});
    throw error;
  }
}

/** Some rows of a weight, as a tensor of their own. */
interface Parts {
  readonly dtype: WeightDType;
  rowsOf(from: number, to: number): WeightSource;
}

async function partsOf(source: WeightSource): Promise<Parts> {
  const { name, shape } = source;
  const { dtype, bytes } = await opened(source);
  const K = shape[1];
  const rowBytes = K * BYTES[dtype];
  return {
    dtype,
    rowsOf(from, to) {
      const [begin, length] = [from * rowBytes, (to - from) * rowBytes];
      const part = { name, dtype, shape: [to - from, K] };
      if (bytes) return { ...part, read: async () => bytes.subarray(begin, begin + length) };
      const readInto = async (offset: number, target: Uint8Array): Promise<void> =>
        source.readInto?.(begin + offset, target);
      const read = async (): Promise<Uint8Array> => {
        const target = new Uint8Array(length);
        await readInto(0, target);
        return target;
      };
      return { ...part, read, readInto };
    },
  };
}

/** A float type in which a weight's rows can be had; its bytes too, where it cannot be read in parts. */
async function opened(source: WeightSource): Promise<{ dtype: WeightDType; bytes?: Uint8Array }> {
  const { dtype } = source;
  if (isWeightDType(dtype)) return { dtype, bytes: source.readInto ? undefined : await source.read() };
  const numbers = toFloat32(dtype, viewBytes(dtype, await source.read()));
  return { dtype: "float32", bytes: new Uint8Array(numbers.buffer) };
}
