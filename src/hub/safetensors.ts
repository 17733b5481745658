import { CheckpointError } from "../base/errors.ts";
import { BYTES, type DType } from "../tensor/dtype.ts";
import { decodeText, isRecord, parseJson, repeatedKey } from "./json.ts";
import type { RandomAccess } from "./repository.ts";

/**
 * The safetensors format: 8 bytes (little endian) with the length of a JSON header, the header, the numbers.
 * The rules are those of the Rust implementation (safetensors 0.8): tensors follow one another without gap or
 * overlap and fill the file. Stricter than it: a name may not stand in the header twice, as the format's
 * description says.
 */

/** Longest header that is read, in bytes. The Rust implementation's limit. */
export const HEADER_LIMIT = 100_000_000;

/** Element types by the format's names. */
const DTYPES: ReadonlyMap<string, DType> = new Map([
  ["F64", "float64"],
  ["F32", "float32"],
  ["F16", "float16"],
  ["BF16", "bfloat16"],
  ["I64", "int64"],
  ["I32", "int32"],
  ["I16", "int16"],
  ["I8", "int8"],
  ["U8", "uint8"],
  ["BOOL", "bool"],
]);

/** Where a tensor lies in its file. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** First byte, from the beginning of the file. */
  readonly begin: number;
  /** One past the last byte. */
  readonly end: number;
}

/** What a header says. */
export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The texts under `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** The format's name of an element type. */
export function dtypeCode(dtype: DType): string {
  for (const [code, name] of DTYPES) if (name === dtype) return code;
  throw new TypeError(`no such element type: ${dtype}`);
}

/**
 * Reads and checks a file's header; takes no more memory than the header itself.
 *
 * @param file the file's name, for messages
 * @throws CheckpointError naming the file, and the tensor where one is at fault
 */
export async function readHeader(access: RandomAccess, file: string): Promise<SafetensorsHeader> {
  const length = await readHeaderLength(access, file);
  const text = decodeText(await access.read(8, length), file);
  const parsed = parseJson(text, file);
  if (!isRecord(parsed)) throw fault(file, "the header is not a JSON object");
  const twice = repeatedKey(text);
  if (twice !== undefined) throw fault(file, `the header has the name '${twice}' twice`);

  const tensors = new Map<string, TensorInfo>();
  let metadata: ReadonlyMap<string, string> = new Map();
  for (const [name, entry] of Object.entries(parsed)) {
    if (name === "__metadata__") metadata = checkMetadata(entry, file);
    else tensors.set(name, checkEntry(name, entry, 8 + length, file));
  }
  checkLayout(tensors, 8 + length, access.size, file);
  return { tensors, metadata };
}

async function readHeaderLength(access: RandomAccess, file: string): Promise<number> {
  const { size } = access;
  if (size < 8)
    throw fault(file, `not a safetensors file: it has ${size} bytes, fewer than its header needs`);
  const bytes = await access.read(0, 8);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(Math.min(HEADER_LIMIT, size - 8))) {
    throw new CheckpointError(
      `${file}: not a safetensors file, or cut off: its header is said to have ${length} bytes, the file has ` +
        `${size} (and ${HEADER_LIMIT} is the most a header may have)`,
      { file, expected: `at most ${Math.min(HEADER_LIMIT, size - 8)}`, got: length },
    );
  }
  return Number(length);
}

function checkMetadata(entry: unknown, file: string): ReadonlyMap<string, string> {
  const metadata = new Map<string, string>();
  if (entry === null) return metadata;
  if (!isRecord(entry)) throw fault(file, "'__metadata__' is not an object");
  for (const [key, value] of Object.entries(entry)) {
    if (typeof value !== "string") throw fault(file, `'__metadata__': the value of '${key}' is not a text`);
    metadata.set(key, value);
  }
  return metadata;
}

function checkEntry(name: string, entry: unknown, start: number, file: string): TensorInfo {
  if (/\p{Surrogate}/u.test(name))
    throw fault(file, `the name ${JSON.stringify(name)} is not well-formed Unicode`);
  if (!isRecord(entry)) throw tensorFault(file, name, "an object with dtype, shape and data_offsets", entry);
  const dtype = typeof entry.dtype === "string" ? DTYPES.get(entry.dtype) : undefined;
  if (dtype === undefined) throw tensorFault(file, name, `a dtype of ${[...DTYPES.keys()]}`, entry.dtype);
  const { shape, data_offsets: offsets } = entry;
  if (!isSizes(shape)) throw tensorFault(file, name, "a shape of whole numbers from 0", shape);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw tensorFault(file, name, "data_offsets of two whole numbers from 0", offsets);
  }
  const [begin, end] = offsets;
  if (begin > end) throw tensorFault(file, name, "data_offsets in rising order", offsets);
  const bytes = byteLength(dtype, shape);
  if (bytes === undefined) throw tensorFault(file, name, "a shape of countable size", shape);
  if (bytes !== end - begin) {
    const of = `${entry.dtype} [${shape}] to have ${bytes} bytes`;
    throw tensorFault(file, name, of, end - begin, "the data_offsets");
  }
  return { name, dtype, shape, begin: start + begin, end: start + end };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** Bytes of a tensor, or undefined where they are too many to count, in whatever order they are multiplied. */
function byteLength(dtype: DType, shape: readonly number[]): number | undefined {
  let bytes = BYTES[dtype];
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

/** Tensors must follow one another from the first byte after the header to the last of the file. */
function checkLayout(
  tensors: ReadonlyMap<string, TensorInfo>,
  start: number,
  size: number,
  file: string,
): void {
  const inOrder = [...tensors.values()].sort((a, b) => a.begin - b.begin || a.end - b.end);
  let next = start;
  for (const { name, begin, end } of inOrder) {
    if (end > size) {
      throw new CheckpointError(
        `${file}: cut off: tensor '${name}' ends at byte ${end}, the file has ${size}. Download it again.`,
        { file, tensors: [name], expected: end, got: size },
      );
    }
    if (begin !== next) {
      const what = begin < next ? "overlaps the one before it" : "leaves a gap after the one before it";
      throw new CheckpointError(
        `${file}: tensor '${name}' ${what}: it should begin at byte ${next}, it begins at ${begin}`,
        { file, tensors: [name], expected: next, got: begin },
      );
    }
    next = end;
  }
  if (next !== size) {
    throw new CheckpointError(
      `${file}: ${size - next} bytes follow the last tensor: the header covers ${next} bytes, the file has ${size}`,
      { file, expected: next, got: size },
    );
  }
}

function fault(file: string, what: string): CheckpointError {
  return new CheckpointError(`${file}: ${what}`, { file });
}

function tensorFault(
  file: string,
  name: string,
  expected: string,
  got: unknown,
  subject = "the header",
): CheckpointError {
  return new CheckpointError(
    `${file}: tensor '${name}': expected ${expected}, ${subject} has ${shown(got)}`,
    { file, tensors: [name], expected, got },
  );
}

/** A value from the file, short enough for a message. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
