import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { sizeOf } from "../tensor/tensor.ts";
import { writeWhole } from "./cache_node.ts";
import { codeOf } from "./folder_node.ts";
import {
  byteSize,
  encodeHeader,
  encodeIndex,
  parseSize,
  planShards,
  type Shard,
  type TensorToWrite,
} from "./safetensors_write.ts";

export interface SaveWeightsOptions {
  /** Bytes, or as in `"5GB"`; as Transformers, 50 GB. */
  max_shard_size?: number | string;
  /** As in `model.fp16.safetensors`. */
  variant?: string;
  /** For the index; the number of elements of all tensors where it is not given. */
  totalParameters?: number;
  signal?: AbortSignal;
}

/**
 * Writes tensors into a folder as `save_pretrained` of Transformers does: `model.safetensors`, or shards and their
 * index. Holds one tensor at a time. Files get their names when all are whole; then what a former save left that
 * would be mistaken for a part of this one is removed.
 *
 * @returns the names of the files
 * @throws CheckpointError where the folder cannot be written to, or a tensor has not the bytes of its shape
 */
export async function saveWeights(
  folder: string,
  tensors: readonly TensorToWrite[],
  options: SaveWeightsOptions = {},
): Promise<string[]> {
  checkOptions("save_pretrained", options, ["max_shard_size", "variant", "totalParameters", "signal"]);
  const { max_shard_size = "50GB", variant, signal } = options;
  const shards = planShards(tensors, parseSize(max_shard_size), variant);
  const drafts = shards.map(({ file }) => ({ file, draft: `.${file}.${randomUUID().slice(0, 8)}.tmp` }));
  const index = `model.safetensors.index${variant === undefined ? "" : `.${variant}`}.json`;
  const written = shards.map(({ file }) => file);
  try {
    await mkdir(folder, { recursive: true });
    for (const [i, shard] of shards.entries()) await writeShard(join(folder, drafts[i].draft), shard, signal);
    for (const { file, draft } of drafts) await rename(join(folder, draft), join(folder, file));
    if (shards.length > 1) {
      const parameters =
        options.totalParameters ?? tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
      await writeWhole(join(folder, index), encodeIndex(shards, parameters));
      written.push(index);
    }
    await removeStale(folder, written, index, variant);
  } catch (error) {
    await Promise.all(drafts.map(({ draft }) => rm(join(folder, draft), { force: true }).catch(() => {})));
    throw codeOf(error) === undefined ? error : cannotWrite(folder, error);
  }
  return written;
}

async function writeShard(path: string, shard: Shard, signal: AbortSignal | undefined): Promise<void> {
  const { header, ordered } = encodeHeader(shard.tensors, { format: "pt" });
  const file = await open(path, "wx");
  try {
    await writeAll(file, header);
    for (const tensor of ordered) {
      signal?.throwIfAborted();
      const bytes = await tensor.read();
      if (bytes.length !== byteSize(tensor)) {
        throw new CheckpointError(
          `${shard.file}: tensor '${tensor.name}': ${tensor.dtype} [${tensor.shape}] has ${byteSize(tensor)} bytes, got ${bytes.length}`,
          { file: shard.file, tensors: [tensor.name], expected: byteSize(tensor), got: bytes.length },
        );
      }
      await writeAll(file, bytes);
    }
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    // The operating system takes no more than 2 GiB at a time.
    done += (await file.write(bytes, done, Math.min(bytes.length - done, 2 ** 30))).bytesWritten;
  }
}

/** Other shards, and of the single file and the index the one that this save has not written. */
async function removeStale(
  folder: string,
  written: string[],
  index: string,
  variant?: string,
): Promise<void> {
  const stem = `model${variant === undefined ? "" : `.${variant}`}`;
  const isOurs = (file: string): boolean =>
    file === `${stem}.safetensors` ||
    file === index ||
    (file.startsWith(`${stem}-`) && /^-\d{5}-of-\d{5}\.safetensors$/.test(file.slice(stem.length)));
  for (const file of await readdir(folder)) {
    if (isOurs(file) && !written.includes(file)) await rm(join(folder, file), { force: true });
  }
}

function cannotWrite(folder: string, cause: unknown): CheckpointError {
  const full = codeOf(cause) === "ENOSPC" || codeOf(cause) === "EDQUOT";
  const why = full ? "its disk is full" : cause instanceof Error ? cause.message : String(cause);
  return new CheckpointError(`${folder}: the weights cannot be written: ${why}`, { file: folder, cause });
}
