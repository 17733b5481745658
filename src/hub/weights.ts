import { warnOnce } from "../base/env.ts";
import { CheckpointError } from "../base/errors.ts";
import type { DType } from "../tensor/dtype.ts";
import { isRecord } from "./json.ts";
import { checkPath } from "./paths.ts";
import type { FileIdentity, RandomAccess, Repository } from "./repository.ts";
import { readHeader, type TensorInfo } from "./safetensors.ts";

/** A tensor of a checkpoint, still in its file. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The file it lies in. */
  readonly file: string;
  /** What to keep it in where nobody asks, if not `dtype`: numbers that were quantised gain nothing from more bits. */
  readonly kept?: DType;
  /** Its bytes, little endian, in a buffer of their own that is kept nowhere else. May be called again. */
  read(): Promise<Uint8Array>;
  /** Fills `target` with its bytes from `offset` on, where it lies in a file as it is. */
  readInto?(offset: number, target: Uint8Array): Promise<void>;
  /** Where it lies in a file that nobody writes to any more. */
  readonly place?: { readonly path: string; readonly offset: number };
}

/** Which of a repository's weights to open. */
export interface WeightsOptions {
  /** As in `model.fp16.safetensors`. */
  variant?: string;
}

/** The tensors of a checkpoint: one safetensors file, or the shards of an index. */
export class Weights {
  /** The texts under `__metadata__` of the (first) file: `format` and the like. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly #tensors: ReadonlyMap<string, StoredTensor>;
  readonly #files: readonly RandomAccess[];

  constructor(
    tensors: ReadonlyMap<string, StoredTensor>,
    metadata: ReadonlyMap<string, string>,
    files: readonly RandomAccess[],
  ) {
    this.metadata = metadata;
    this.#tensors = tensors;
    this.#files = files;
  }

  /** The names of all tensors, in the order of their files. */
  names(): string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /** @throws CheckpointError where there is none of that name */
  get(name: string): StoredTensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) {
      throw new CheckpointError(`the checkpoint has no tensor '${name}'`, { tensors: [name] });
    }
    return tensor;
  }

  /** What tells its files from others; undefined where they do not lie on a disk. */
  identities(): FileIdentity[] | undefined {
    const known = this.#files.flatMap(({ identity }) => identity ?? []);
    return known.length === this.#files.length && known.length > 0 ? known : undefined;
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }
}

/**
 * Opens a repository's weights, in Transformers' order: `model.safetensors`, then `model.safetensors.index.json`.
 * All headers are read and checked, no tensor is.
 *
 * @throws CheckpointError where there are none, or the files are damaged or contradict each other
 */
export async function openWeights(repository: Repository, options: WeightsOptions = {}): Promise<Weights> {
  const suffix = options.variant === undefined ? "" : `.${options.variant}`;
  const single = `model${suffix}.safetensors`;
  if (await repository.has(single)) return openShards(repository, new Map([[single, undefined]]));
  const index = `model.safetensors.index${suffix}.json`;
  if (await repository.has(index)) return openShards(repository, await readIndex(repository, index));
  throw await noWeights(repository, [single, index]);
}

/** Shard files with the tensors that should be in them (undefined: whatever is). */
type Shards = ReadonlyMap<string, readonly string[] | undefined>;

/** The files that hold a repository's weights, index first. */
export async function weightFiles(repository: Repository, options: WeightsOptions = {}): Promise<string[]> {
  const suffix = options.variant === undefined ? "" : `.${options.variant}`;
  const single = `model${suffix}.safetensors`;
  if (await repository.has(single)) return [single];
  const index = `model.safetensors.index${suffix}.json`;
  if (await repository.has(index)) return [index, ...(await readIndex(repository, index)).keys()];
  throw await noWeights(repository, [single, index]);
}

async function readIndex(repository: Repository, file: string): Promise<Shards> {
  const index = await repository.json(file);
  const map = isRecord(index) ? index.weight_map : undefined;
  if (!isRecord(map) || Object.keys(map).length === 0) {
    throw new CheckpointError(`${file}: expected an object 'weight_map' from tensor names to shard files`, {
      file,
      where: "weight_map",
      got: map,
    });
  }
  const shards = new Map<string, string[]>();
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || !shard.endsWith(".safetensors")) {
      throw new CheckpointError(
        `${file}: tensor '${name}': expected the name of a .safetensors file, got ${JSON.stringify(shard)}`,
        { file, where: "weight_map", tensors: [name], got: shard },
      );
    }
    const names = shards.get(checkPath(shard, file));
    if (names === undefined) shards.set(shard, [name]);
    else names.push(name);
  }
  await checkPresent(repository, file, [...shards.keys()]);
  return shards;
}

async function checkPresent(repository: Repository, index: string, shards: string[]): Promise<void> {
  const present = await Promise.all(shards.map((shard) => repository.has(shard)));
  const missing = shards.filter((_, i) => !present[i]);
  if (missing.length === 0) return;
  throw new CheckpointError(
    `${repository.name}: ${index} names ${shards.length} files, but ${missing.join(", ")} ` +
      `${missing.length === 1 ? "is" : "are"} not there. ${whyMissing(repository)}`,
    { file: missing[0], where: index, expected: shards, got: shards.filter((_, i) => present[i]) },
  );
}

function whyMissing({ offline }: Repository): string {
  if (offline === undefined) return "Download the checkpoint again.";
  return `Only what was downloaded before could be looked at: ${offline}`;
}

async function openShards(repository: Repository, shards: Shards): Promise<Weights> {
  const files: RandomAccess[] = [];
  const tensors = new Map<string, StoredTensor>();
  const extra = new Map<string, StoredTensor>();
  let metadata: ReadonlyMap<string, string> | undefined;
  await repository.prepare?.([...shards.keys()]);
  try {
    for (const [file, names] of shards) {
      const access = await repository.open(file);
      files.push(access);
      const header = await readHeader(access, file);
      metadata ??= header.metadata;
      const wanted = names ?? [...header.tensors.keys()];
      checkComplete(wanted, header.tensors, file);
      const listed = new Set(wanted);
      for (const [name, info] of header.tensors) {
        (listed.has(name) ? tensors : extra).set(name, stored(info, access, file));
      }
    }
  } catch (error) {
    await Promise.allSettled(files.map((file) => file.close()));
    throw error;
  }
  addUnlisted(tensors, extra, repository.name);
  return new Weights(tensors, metadata ?? new Map(), files);
}

function checkComplete(
  wanted: readonly string[],
  there: ReadonlyMap<string, TensorInfo>,
  file: string,
): void {
  const missing = wanted.filter((name) => !there.has(name));
  if (missing.length === 0) return;
  throw new CheckpointError(
    `${file}: the index says that ${missing.length} tensors are in this file which are not: ` +
      `${missing.slice(0, 10).join(", ")}${missing.length > 10 ? ", ..." : ""}`,
    { file, tensors: missing },
  );
}

/** Tensors of a shard that the index does not know are used, as Transformers uses them. The index decides otherwise. */
function addUnlisted(
  tensors: Map<string, StoredTensor>,
  extra: ReadonlyMap<string, StoredTensor>,
  repository: string,
): void {
  const added = [...extra.values()].filter(({ name }) => !tensors.has(name));
  for (const tensor of added) tensors.set(tensor.name, tensor);
  if (added.length === 0) return;
  const names = added.slice(0, 10).map(({ name, file }) => `${name} (${file})`);
  warnOnce(`${repository}: the index lacks ${added.length} tensors of its files: ${names.join(", ")}`);
}

function stored(info: TensorInfo, access: RandomAccess, file: string): StoredTensor {
  const { name, dtype, shape, begin, end } = info;
  return {
    name,
    dtype,
    shape,
    file,
    read: () => access.read(begin, end - begin),
    readInto: access.readInto && ((offset, target) => readPart(info, access, offset, target)),
  };
}

async function readPart(
  { name, begin, end }: TensorInfo,
  access: RandomAccess,
  offset: number,
  target: Uint8Array,
): Promise<void> {
  if (offset < 0 || begin + offset + target.length > end) {
    throw new CheckpointError(
      `${name}: bytes ${offset} to ${offset + target.length} were asked for, it has ${end - begin}`,
      { tensors: [name], expected: end - begin, got: offset + target.length },
    );
  }
  await access.readInto?.(begin + offset, target);
}

async function noWeights(repository: Repository, tried: string[]): Promise<CheckpointError> {
  const files = await repository.list();
  const others = files.filter((path) => /\.(bin|h5|msgpack|gguf|pth?|ckpt(\.index)?|onnx)$/.test(path));
  const variants = files.filter((path) => /^model.*\.safetensors(\.index.*\.json)?$/.test(path));
  let message = `${repository.name}: no weights: looked for ${tried.join(" and ")}.`;
  if (variants.length > 0)
    message += ` There is ${variants.slice(0, 5).join(", ")}: choose it with 'variant'.`;
  else if (others.length > 0) {
    message +=
      ` There is ${others.slice(0, 5).join(", ")}, which this library does not read: choose a revision with` +
      " safetensors files ('revision'), or save the model again with save_pretrained of Transformers, which writes them.";
  }
  if (repository.offline !== undefined) message += ` ${whyMissing(repository)}`;
  return new CheckpointError(message, { file: tried[0], expected: tried, got: [...variants, ...others] });
}
