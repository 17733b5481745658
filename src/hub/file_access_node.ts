import { type FileHandle, open, realpath } from "node:fs/promises";
import { CheckpointError } from "../base/errors.ts";
import { identify } from "./file_identity_node.ts";
import type { FileIdentity, RandomAccess } from "./repository.ts";

/** Most bytes that one read call of the operating system is asked for. */
const READ_LIMIT = 2 ** 30;

/** A file on disk, read by ranges straight into the buffer that is returned. */
export class FileAccess implements RandomAccess {
  readonly size: number;
  readonly identity: FileIdentity;
  readonly #handle: FileHandle;
  readonly #name: string;

  private constructor(handle: FileHandle, identity: FileIdentity, name: string) {
    this.#handle = handle;
    this.identity = identity;
    this.size = identity.bytes;
    this.#name = name;
  }

  /**
   * Opens a file.
   *
   * @param name how messages call it
   */
  static async open(path: string, name: string): Promise<FileAccess> {
    const handle = await open(path, "r");
    try {
      return new FileAccess(handle, identify(await realpath(path), await handle.stat()), name);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.#check(offset, length);
    const bytes = new Uint8Array(length);
    await this.readInto(offset, bytes);
    return bytes;
  }

  async readInto(offset: number, target: Uint8Array): Promise<void> {
    const { length } = target;
    this.#check(offset, length);
    for (let done = 0; done < length; ) {
      const part = Math.min(length - done, READ_LIMIT);
      const { bytesRead } = await this.#handle.read(target, done, part, offset + done);
      if (bytesRead === 0) throw this.#short(offset + length, offset + done);
      done += bytesRead;
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  /** Before memory is taken. */
  #check(offset: number, length: number): void {
    if (offset >= 0 && length >= 0 && offset + length <= this.size) return;
    throw this.#short(offset + length, this.size);
  }

  #short(expected: number, got: number): CheckpointError {
    return new CheckpointError(
      `${this.#name}: cut off: bytes up to ${expected} were asked for, the file ends at ${got}`,
      { file: this.#name, expected, got },
    );
  }
}
