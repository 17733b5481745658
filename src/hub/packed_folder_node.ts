import { readdir, readFile, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { isUnchanged } from "./file_identity_node.ts";
import { isMissing } from "./folder_node.ts";
import { isAlive } from "./lock_node.ts";
import { DATA_FILE, decodeNote, NOTE_FILE, type Note } from "./packed_note_node.ts";
import { findOwnCache } from "./settings_node.ts";

/** What another machine has left unfinished for so long, in ms, is given up. */
const ABANDONED = 24 * 3600 * 1000;

/** A packed copy on disk, for people. */
export interface PackedCopyInfo {
  /** As the user named the model when it was made. */
  readonly model: string;
  readonly dtype: string;
  readonly folder: string;
  readonly bytes: number;
  readonly lastUsed: Date;
  /** Its checkpoint is gone or was changed, so that it can never be used again. */
  readonly stale: boolean;
}

/** The folder of all packed copies. */
export function packedFolder(): string {
  return join(findOwnCache(), "packed");
}

/** The name of a folder that a copy is written in: who writes it stands in it. */
export function draftName(id: string): string {
  return `.writing.${hostname()}.${process.pid}.${id}`;
}

/** The note of a copy; undefined where there is none, or it is damaged. */
export async function readNote(folder: string): Promise<Note | undefined> {
  try {
    return decodeNote(await readFile(join(folder, NOTE_FILE), "utf8"));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** All packed copies, those that are damaged with them, but not those that are being written. */
export async function listCopies(): Promise<PackedCopyInfo[]> {
  const root = packedFolder();
  const copies: PackedCopyInfo[] = [];
  for (const name of (await names(root)).sort()) {
    if (!/^[0-9a-f]{32}$/.test(name)) continue;
    const folder = join(root, name);
    const note = await readNote(folder);
    const [bytes, lastUsed] = await measure(folder);
    const unchanged = note ? await Promise.all(note.sources.map(isUnchanged)) : [false];
    const { model = "damaged", dtype = "" } = note ?? {};
    copies.push({ model, dtype, folder, bytes, lastUsed, stale: unchanged.includes(false) });
  }
  return copies;
}

/** Removes a copy. A process that reads it goes on undisturbed, where the system allows it. */
export async function removeCopy(folder: string): Promise<void> {
  // First what it is known by, so that no half of it is ever believed.
  await rm(join(folder, NOTE_FILE), { force: true });
  await rm(folder, { recursive: true, force: true });
}

/**
 * Sees to it that a copy is never used again. Windows keeps files that a process has mapped: without its note such a copy
 * is taken for none, and goes when the next one is written.
 */
export async function giveUpCopy(folder: string): Promise<void> {
  try {
    await removeCopy(folder);
  } catch (error) {
    if ((await readNote(folder)) !== undefined) throw error;
  }
}

/** Removes what processes that died have left unfinished, and gives how many bytes that was. */
export async function sweepDrafts(): Promise<number> {
  const root = packedFolder();
  let bytes = 0;
  for (const name of await names(root)) {
    const draft = /^\.writing\.(.*)\.(\d+)\.[0-9a-f]{8}$/.exec(name);
    if (!draft) continue;
    const folder = join(root, name);
    const here = draft[1] === hostname();
    const [size, changed] = await measure(folder);
    if (here ? isAlive(Number(draft[2])) : Date.now() - changed.getTime() < ABANDONED) continue;
    await rm(folder, { recursive: true, force: true });
    bytes += size;
  }
  return bytes;
}

/** Removes copies of checkpoints that are gone or were changed. */
export async function removeStaleCopies(): Promise<void> {
  for (const { folder, stale } of await listCopies()) if (stale) await giveUpCopy(folder);
}

/** What a copy takes on disk, and when it was last used: its note's time. */
async function measure(folder: string): Promise<[bytes: number, used: Date]> {
  let bytes = 0;
  let used = new Date(0);
  for (const file of [DATA_FILE, NOTE_FILE]) {
    const found = await stat(join(folder, file)).catch(() => undefined);
    if (!found) continue;
    bytes += Math.min(found.size, found.blocks * 512 || found.size);
    if (found.mtime > used) used = found.mtime;
  }
  return [bytes, used];
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
