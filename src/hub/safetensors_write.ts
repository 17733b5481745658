import { CheckpointError, OptionError } from "../base/errors.ts";
import { BYTES, type DType } from "../tensor/dtype.ts";
import { dtypeCode } from "./safetensors.ts";

/** A tensor to be written. What `Weights` gives is one. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Its bytes, little endian. */
  read(): Promise<Uint8Array>;
}

/** Tensors that go into one file. */
export interface Shard {
  readonly file: string;
  readonly tensors: readonly TensorToWrite[];
}

/** The order in a file: the Rust implementation writes the types in this one, and within a type by name. */
const WRITE_ORDER: readonly DType[] = [
  "int64",
  "float64",
  "float32",
  "int32",
  "bfloat16",
  "float16",
  "int16",
  "int8",
  "uint8",
  "bool",
];

/** Bytes of a tensor. */
export function byteSize({ dtype, shape }: TensorToWrite): number {
  return shape.reduce((product, size) => product * size, BYTES[dtype]);
}

/**
 * The beginning of a safetensors file, and the tensors in the order in which their bytes follow it. Equal, byte for
 * byte, to what `safetensors.torch.save_file` writes.
 */
export function encodeHeader(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): { header: Uint8Array; ordered: readonly TensorToWrite[] } {
  const ordered = [...tensors].sort(
    (a, b) => WRITE_ORDER.indexOf(a.dtype) - WRITE_ORDER.indexOf(b.dtype) || (a.name < b.name ? -1 : 1),
  );
  const entries: [string, object][] = [["__metadata__", metadata]];
  let begin = 0;
  for (const tensor of ordered) {
    const end = begin + byteSize(tensor);
    entries.push([
      tensor.name,
      { dtype: dtypeCode(tensor.dtype), shape: tensor.shape, data_offsets: [begin, end] },
    ]);
    begin = end;
  }
  const names = new Set(entries.map(([name]) => name));
  if (names.size !== entries.length) throw new CheckpointError("two tensors to be saved have the same name");
  // Written entry by entry: an object would put names that look like numbers first.
  const text = `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const json = new TextEncoder().encode(text);
  // Filled up with spaces, so that the tensors begin at a multiple of 8.
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return { header, ordered };
}

/**
 * Shares tensors out to files of at most `maxBytes` (but for tensors that are larger), in their order, as
 * Transformers does. One file is `model.safetensors`, several `model-00001-of-0000N.safetensors`.
 */
export function planShards(tensors: readonly TensorToWrite[], maxBytes: number, variant?: string): Shard[] {
  const shards: TensorToWrite[][] = [];
  let current: TensorToWrite[] = [];
  let size = 0;
  for (const tensor of tensors) {
    const bytes = byteSize(tensor);
    if (bytes > maxBytes) {
      shards.push([tensor]);
      continue;
    }
    if (size + bytes > maxBytes) {
      shards.push(current);
      [current, size] = [[], 0];
    }
    current.push(tensor);
    size += bytes;
  }
  if (current.length > 0 || shards.length === 0) shards.push(current);
  const stem = `model${variant === undefined ? "" : `.${variant}`}`;
  const number = (i: number): string => String(i).padStart(5, "0");
  return shards.map((shard, i) => ({
    file:
      shards.length === 1
        ? `${stem}.safetensors`
        : `${stem}-${number(i + 1)}-of-${number(shards.length)}.safetensors`,
    tensors: shard,
  }));
}

/** The index of several files, as Transformers writes it. */
export function encodeIndex(shards: readonly Shard[], totalParameters: number): string {
  const all = shards.flatMap(({ file, tensors }) => tensors.map((tensor) => ({ file, tensor })));
  const lines = all.map(({ file, tensor }) => `    ${asciiJson(tensor.name)}: ${asciiJson(file)}`).sort();
  const totalSize = all.reduce((sum, { tensor }) => sum + byteSize(tensor), 0);
  return [
    "{",
    '  "metadata": {',
    `    "total_parameters": ${totalParameters},`,
    `    "total_size": ${totalSize}`,
    "  },",
    '  "weight_map": {',
    lines.join(",\n"),
    "  }",
    "}",
    "",
  ].join("\n");
}

/** Bytes of a size as `max_shard_size` takes it: a number, or a text such as `"5GB"`, with decimal units. */
export function parseSize(size: number | string): number {
  const match = typeof size === "string" ? /^\s*(\d+(?:\.\d+)?)\s*(KB|MB|GB|TB)\s*$/i.exec(size) : null;
  const units = ["KB", "MB", "GB", "TB"];
  const bytes =
    match === null
      ? size
      : Math.floor(Number(match[1]) * 1000 ** (units.indexOf(match[2].toUpperCase()) + 1));
  if (typeof bytes === "number" && bytes > 0) return bytes;
  throw new OptionError(
    `max_shard_size: expected a number of bytes or a text such as "5GB", got ${JSON.stringify(size)}`,
    {
      where: "max_shard_size",
      got: size,
    },
  );
}

/** JSON with everything beyond ASCII escaped, as Python's `json.dumps` writes it. */
function asciiJson(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
