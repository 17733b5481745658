import { utimes } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { warnOnce } from "../base/env.ts";
import { CheckpointError } from "../base/errors.ts";
import { FileAccess } from "./file_access_node.ts";
import { isMissing } from "./folder_node.ts";
import type { CopyKey, CopyReader } from "./packed_copy.ts";
import { giveUpCopy, packedFolder, readNote } from "./packed_folder_node.ts";
import { DATA_FILE, keyName, NOTE_FILE } from "./packed_note_node.ts";
import { readHeader, type TensorInfo } from "./safetensors.ts";
import type { StoredTensor } from "./weights.ts";

/**
 * Opens the packed copy of a checkpoint. Its length, its header and its note are checked now; the bytes of the tensors
 * are for the caller to check, who has a faster way to it.
 *
 * @returns undefined where there is none; one that is damaged is removed, with a warning
 */
export async function openCopy(key: CopyKey): Promise<CopyReader | undefined> {
  const folder = join(packedFolder(), keyName(key));
  let file: FileAccess | undefined;
  try {
    file = await FileAccess.open(join(folder, DATA_FILE), DATA_FILE);
    const reader = await check(key, folder, file);
    const now = new Date();
    await utimes(join(folder, NOTE_FILE), now, now).catch(() => {});
    return reader;
  } catch (error) {
    await file?.close();
    if (file === undefined && isMissing(error)) return undefined;
    const why = error instanceof Error ? error.message : String(error);
    warnOnce(`the packed copy of the weights in ${folder} cannot be used and is made anew: ${why}`);
    await giveUpCopy(folder).catch(() => {});
    return undefined;
  }
}

async function check(key: CopyKey, folder: string, file: FileAccess): Promise<CopyReader> {
  const note = await readNote(folder);
  if (!note) throw damaged(`${NOTE_FILE} is missing or was changed`);
  if (file.size !== note.bytes) throw damaged(`it has ${file.size} bytes of ${note.bytes}`);
  const { tensors } = await readHeader(file, DATA_FILE);
  const begin = Math.min(...[...tensors.values()].map((tensor) => tensor.begin), file.size);
  if (crc32(await file.read(0, begin)) !== note.header) throw damaged("its header was changed");
  for (const { name, shape } of key.tensors) {
    const info = tensors.get(name);
    if (info?.dtype !== "uint8" || `${info.shape}` !== `${shape}` || note.tensors[name] === undefined)
      throw damaged(`${name} is not as it should be`);
  }
  const path = join(folder, DATA_FILE);
  return {
    get: (name) => tensorOf(tensors.get(name) as TensorInfo, file, path),
    checksum: (name) => note.tensors[name],
    close: () => file.close(),
    discard: () => giveUpCopy(folder),
  };
}

function tensorOf(
  { name, dtype, shape, begin, end }: TensorInfo,
  file: FileAccess,
  path: string,
): StoredTensor {
  return {
    name,
    dtype,
    shape,
    file: DATA_FILE,
    read: () => file.read(begin, end - begin),
    readInto: (offset, target) => file.readInto(begin + offset, target),
    place: { path, offset: begin },
  };
}

function damaged(what: string): CheckpointError {
  return new CheckpointError(`${DATA_FILE}: damaged: ${what}`, { file: DATA_FILE });
}
