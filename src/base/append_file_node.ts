import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { LlavaError } from "./errors.ts";
import { readFileLines } from "./file_lines_node.ts";
import { lockFile } from "./file_lock_node.ts";

/** A file of records does not hold what it should, or something else writes to it. */
export class RecordFileError extends LlavaError {}

/** Longest line that such a file may have, in bytes. */
const MAX_LINE = 64 * 2 ** 20;

/** A file of lines that survives the death of its writer at any moment: what is appended is on the disk before the next. */
export class AppendFile {
  private readonly path: string;
  private readonly handle: FileHandle;
  private readonly unlock: () => Promise<void>;
  private size = 0;

  private constructor(path: string, handle: FileHandle, unlock: () => Promise<void>) {
    this.path = path;
    this.handle = handle;
    this.unlock = unlock;
  }

  /**
   * Opens or creates a file and hands its lines to `accept`, without their ends. A last line without an end is kept
   * where `accept` returns true for it, and cut off otherwise.
   *
   * @param accept whether the line is whole; it throws where the file is not to be added to
   * @throws RecordFileError where another process adds to it
   */
  static async open(path: string, accept: (line: string, whole: boolean) => boolean): Promise<AppendFile> {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(path, "a+");
    let unlock: (() => Promise<void>) | undefined;
    try {
      unlock = await lockFile(handle);
      if (unlock === undefined) throw twoWriters(path);
      const file = new AppendFile(path, handle, unlock);
      for await (const { bytes, ended, start } of readFileLines(handle, MAX_LINE)) {
        if (bytes === undefined) throw lineTooLong(path, start);
        const kept = accept(bytes.toString("utf8"), ended);
        file.size = start + bytes.length + (ended ? 1 : 0);
        if (!ended) await file.repair(start, kept);
      }
      return file;
    } catch (error) {
      await handle.close();
      await unlock?.();
      throw error;
    }
  }

  private async repair(end: number, keep: boolean): Promise<void> {
    if (keep) return this.append("\n");
    await this.handle.truncate(end);
    await this.handle.sync();
    this.size = end;
  }

  /**
   * Writes text that ends in a line's end, and waits until it is on the disk.
   *
   * @throws RecordFileError where something else has written to the file, or the disk does not take it
   */
  async append(text: string): Promise<void> {
    const { size } = await this.handle.stat();
    if (size !== this.size) throw twoWriters(this.path, { expected: this.size, got: size });
    const bytes = Buffer.from(text);
    try {
      await this.handle.appendFile(bytes);
      await this.handle.sync();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new RecordFileError(
        `${this.path}: it cannot be written to (${why}). What it holds is kept: go on when there is room.`,
        { where: this.path, cause },
      );
    }
    this.size += bytes.length;
  }

  async close(): Promise<void> {
    await this.handle.close();
    await this.unlock();
  }
}

function twoWriters(path: string, facts: { expected?: number; got?: number } = {}): RecordFileError {
  return new RecordFileError(`${path}: something else writes to this file. Stop one of the two.`, {
    where: path,
    ...facts,
  });
}

function lineTooLong(path: string, start: number): RecordFileError {
  return new RecordFileError(`${path}: the line at byte ${start} has more than ${MAX_LINE} bytes.`, {
    where: path,
    expected: MAX_LINE,
  });
}
