import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { BenchmarkError } from "./errors.ts";

/** A file of lines that survives the death of its writer at any moment: each line is on the disk before the next. */
export class AppendFile {
  private readonly path: string;
  private readonly handle: FileHandle;
  private size: number;

  private constructor(path: string, handle: FileHandle, size: number) {
    this.path = path;
    this.handle = handle;
    this.size = size;
  }

  /**
   * Opens or creates a file and hands its lines to `accept`, without their ends. A last line without an end is kept
   * where `accept` returns true for it, and cut off otherwise.
   *
   * @param accept whether the line is whole; it throws where the file is not to be added to
   */
  static async open(path: string, accept: (line: string, whole: boolean) => boolean): Promise<AppendFile> {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(path, "a+");
    try {
      const text = await handle.readFile();
      const end = text.lastIndexOf(0x0a) + 1;
      const lines = text.subarray(0, end).toString("utf8").split("\n").slice(0, -1);
      for (const line of lines) accept(line, true);
      const file = new AppendFile(path, handle, text.length);
      if (end < text.length) await file.repair(end, accept(text.subarray(end).toString("utf8"), false));
      return file;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  private async repair(end: number, keep: boolean): Promise<void> {
    if (keep) return this.append("\n");
    await this.handle.truncate(end);
    await this.handle.sync();
    this.size = end;
  }

  /** Writes text that ends in a line's end, and waits until it is on the disk. */
  async append(text: string): Promise<void> {
    const { size } = await this.handle.stat();
    if (size !== this.size) {
      throw new BenchmarkError(`${this.path}: something else writes to this file. Stop one of the two.`, {
        where: this.path,
        expected: this.size,
        got: size,
      });
    }
    const bytes = Buffer.from(text);
    await this.handle.appendFile(bytes);
    await this.handle.sync();
    this.size += bytes.length;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}
