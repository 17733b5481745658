import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { warnOnce } from "../base/env.ts";
import { freeBytes } from "./disk_node.ts";
import { codeOf, sizeOfFile } from "./folder_node.ts";
import type { CopyKey, CopyWriter } from "./packed_copy.ts";
import {
  draftName,
  packedFolder,
  readNote,
  removeCopy,
  removeStaleCopies,
  sweepDrafts,
} from "./packed_folder_node.ts";
import { DATA_FILE, encodeNote, keyName, NOTE_FILE } from "./packed_note_node.ts";
import { byteSize, encodeHeader, type TensorToWrite } from "./safetensors_write.ts";

/** Room that is left on the disk, in bytes. */
const SPARE = 2 ** 28;

/**
 * Begins a packed copy, in a folder that nobody takes for one; `commit` gives it its name. A process that dies before
 * leaves a draft, which the next one that writes removes.
 *
 * @returns undefined, with a warning, where the disk has no room or cannot be written to
 */
export async function createCopy(key: CopyKey, model: string): Promise<CopyWriter | undefined> {
  const root = packedFolder();
  try {
    await mkdir(root, { recursive: true });
    await sweepDrafts();
    await removeStaleCopies();
    const { header, places, bytes } = planOf(key);
    const free = await freeBytes(root);
    if (free !== undefined && free < bytes + SPARE) {
      warnOnce(`${without(root)}: it needs ${bytes} bytes, and ${free} are free on the disk`);
      return undefined;
    }
    const draft = join(root, draftName(randomUUID().slice(0, 8)));
    await mkdir(draft);
    const file = await open(join(draft, DATA_FILE), "wx");
    const writer = new Writer(key, model, draft, file, places, header, bytes);
    await writer.begin();
    return writer;
  } catch (error) {
    warnOnce(`${without(root)}: ${reason(error)}`);
    return undefined;
  }
}

/** Where each tensor's bytes go. */
function planOf(key: CopyKey): { header: Uint8Array; places: Map<string, number>; bytes: number } {
  const tensors = key.tensors.map(({ name, shape }): TensorToWrite => {
    const read = (): Promise<Uint8Array> => Promise.resolve(new Uint8Array());
    return { name, dtype: "uint8", shape, read };
  });
  const { header, ordered } = encodeHeader(tensors, { format: "llava-packed" });
  let bytes = header.length;
  const places = new Map<string, number>();
  for (const tensor of ordered) {
    places.set(tensor.name, bytes);
    bytes += byteSize(tensor);
  }
  return { header, places, bytes };
}

class Writer implements CopyWriter {
  readonly #key: CopyKey;
  readonly #model: string;
  readonly #draft: string;
  readonly #places: ReadonlyMap<string, number>;
  readonly #header: Uint8Array;
  readonly #bytes: number;
  readonly #sums = new Map<string, number>();
  /** Undefined after the end, or after a failure. */
  #file: FileHandle | undefined;
  #tail: Promise<void> = Promise.resolve();

  constructor(
    key: CopyKey,
    model: string,
    draft: string,
    file: FileHandle,
    places: ReadonlyMap<string, number>,
    header: Uint8Array,
    bytes: number,
  ) {
    this.#key = key;
    this.#model = model;
    this.#draft = draft;
    this.#file = file;
    this.#places = places;
    this.#header = header;
    this.#bytes = bytes;
  }

  begin(): Promise<void> {
    return this.#queue((file) => writeAll(file, this.#header, 0));
  }

  add(name: string, bytes: Uint8Array, checksum: number): Promise<void> {
    return this.#queue(async (file) => {
      this.#sums.set(name, checksum);
      await writeAll(file, bytes, this.#places.get(name) as number);
    });
  }

  async commit(): Promise<void> {
    const root = packedFolder();
    await this.#queue(async (file) => {
      await file.sync();
      await file.close();
      this.#file = undefined;
      await writeSynced(join(this.#draft, NOTE_FILE), this.#note());
      await syncFolder(this.#draft);
      await this.#publish(join(root, keyName(this.#key)));
      await syncFolder(root);
    });
  }

  /** Gives the draft its name, unless another process has made the same copy meanwhile. */
  async #publish(folder: string): Promise<void> {
    try {
      await rename(this.#draft, folder);
    } catch (error) {
      if (!/^(ENOTEMPTY|EEXIST|EPERM)$/.test(codeOf(error) ?? "")) throw error;
      const whole = (await readNote(folder)) && (await sizeOfFile(join(folder, DATA_FILE))) === this.#bytes;
      await removeCopy(whole ? this.#draft : folder);
      if (!whole) await rename(this.#draft, folder);
    }
  }

  async discard(): Promise<void> {
    await this.#tail;
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch(() => {});
    await rm(this.#draft, { recursive: true, force: true }).catch(() => {});
  }

  #note(): string {
    const { dtype, sources } = this.#key;
    const tensors = Object.fromEntries(this.#sums);
    return encodeNote({
      model: this.#model,
      dtype,
      sources,
      bytes: this.#bytes,
      header: crc32(this.#header),
      tensors,
    });
  }

  /** One after the other; after a failure nothing is done any more. */
  #queue(work: (file: FileHandle) => Promise<void>): Promise<void> {
    this.#tail = this.#tail.then(async () => {
      const file = this.#file;
      if (!file) return;
      try {
        await work(file);
      } catch (error) {
        this.#file = undefined;
        await file.close().catch(() => {});
        await rm(this.#draft, { recursive: true, force: true }).catch(() => {});
        warnOnce(`${without(packedFolder())}: ${reason(error)}`);
      }
    });
    return this.#tail;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, place: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(bytes.length - done, 2 ** 30);
    done += (await file.write(bytes, done, length, place + done)).bytesWritten;
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes names in a folder last. Some systems cannot open folders; there they last by themselves. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
}

function without(root: string): string {
  return `the weights are packed at each start, as no copy of them can be kept in ${root} (LLAVA_CACHE)`;
}

function reason(error: unknown): string {
  if (/^(ENOSPC|EDQUOT)$/.test(codeOf(error) ?? "")) return "the disk is full";
  return error instanceof Error ? error.message : String(error);
}
