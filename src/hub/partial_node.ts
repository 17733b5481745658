import { type FileHandle, open, readFile, rm, stat } from "node:fs/promises";
import { writeWhole } from "./cache_node.ts";
import { isRecord } from "./json.ts";
import { type Range, RangeSet } from "./ranges.ts";

/** How often what has arrived is noted down, in ms. */
const NOTE_INTERVAL = 1000;

/**
 * A file that is being downloaded in several places at once. What has arrived is noted down in a second file beside
 * it, so that another process can go on.
 */
export class PartialFile {
  readonly size: number;
  readonly done: RangeSet;
  /** The ETag that the bytes were served under, where the server named a strong one. */
  validator: string | undefined;
  readonly #path: string;
  readonly #file: FileHandle;
  #noted = Date.now();

  private constructor(path: string, file: FileHandle, size: number, done: RangeSet, validator?: string) {
    this.#path = path;
    this.#file = file;
    this.size = size;
    this.done = done;
    this.validator = validator;
  }

  /** Opens what is there of a file of `size` bytes, or begins it. */
  static async open(path: string, size: number): Promise<PartialFile> {
    const notes = await readNotes(path, size);
    const file = await open(path, notes === undefined ? "w+" : "r+");
    try {
      await file.truncate(size);
      return new PartialFile(path, file, size, notes?.done ?? new RangeSet(), notes?.validator);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** How many bytes are there, without opening it. */
  static async bytesDone(path: string, size: number): Promise<number> {
    return (await readNotes(path, size))?.done.bytes ?? 0;
  }

  static async remove(path: string): Promise<void> {
    await rm(notesPath(path), { force: true });
    await rm(path, { force: true });
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      done += (await this.#file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
    }
    this.done.add(offset, offset + bytes.length);
    if (Date.now() - this.#noted > NOTE_INTERVAL) await this.note();
  }

  async note(): Promise<void> {
    this.#noted = Date.now();
    const notes = { size: this.size, validator: this.validator, done: this.done.ranges };
    await writeWhole(notesPath(this.#path), JSON.stringify(notes));
  }

  /** Closes the file; what has arrived stays, for another process to go on with. */
  async close(): Promise<void> {
    try {
      if (this.done.bytes > 0) await this.note();
    } finally {
      await this.#file.close();
    }
  }

  /** Makes sure that the bytes are on the disk. */
  async flush(): Promise<void> {
    await this.#file.datasync();
  }
}

function notesPath(path: string): string {
  return `${path}.json`;
}

interface Notes {
  done: RangeSet;
  validator: string | undefined;
}

/** What a former process noted down; undefined where it makes no sense (any more). */
async function readNotes(path: string, size: number): Promise<Notes | undefined> {
  try {
    const notes: unknown = JSON.parse(await readFile(notesPath(path), "utf8"));
    if (!isRecord(notes) || notes.size !== size || (await stat(path)).size !== size) return undefined;
    const { done, validator } = notes;
    if (!Array.isArray(done) || !done.every((range) => isRange(range, size))) return undefined;
    return { done: new RangeSet(done), validator: typeof validator === "string" ? validator : undefined };
  } catch {
    return undefined;
  }
}

function isRange(value: unknown, size: number): value is Range {
  if (!Array.isArray(value) || value.length !== 2 || !value.every(Number.isSafeInteger)) return false;
  return value[0] >= 0 && value[0] <= value[1] && value[1] <= size;
}
