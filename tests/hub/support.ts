import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { RandomAccess } from "../../src/hub/repository.ts";
import { temporaryFolder } from "../temporary.ts";

/** A recorded file. */
export function fixture(path: string): string {
  return join(dirname(fileURLToPath(import.meta.url)), "../fixtures/hub", path);
}

/** A fresh folder with these files, gone after the test file. */
export function folder(files: Record<string, string | Uint8Array> = {}): string {
  const path = temporaryFolder("hub");
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

/** A safetensors file with this header, whatever it says. `length` is what the first 8 bytes say. */
export function safetensors(header: unknown, dataBytes = 0, length?: bigint): Uint8Array {
  const text =
    header instanceof Uint8Array ? header : typeof header === "string" ? header : JSON.stringify(header);
  const json = Buffer.from(text as string);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length ?? BigInt(json.length));
  return Buffer.concat([size, json, Buffer.alloc(dataBytes, 7)]);
}

/** A header's entry. */
export function entry(dtype: string, shape: number[], begin: number, end: number): object {
  return { dtype, shape, data_offsets: [begin, end] };
}

/** Bytes in memory, counting what is read of them. */
export class MemoryAccess implements RandomAccess {
  readonly size: number;
  bytesRead = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, size = bytes.length) {
    this.#bytes = bytes;
    this.size = size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset + length > this.#bytes.length) throw new RangeError("read past the end");
    this.bytesRead += length;
    return this.#bytes.slice(offset, offset + length);
  }

  async close(): Promise<void> {}
}

/** What a promise rejects with; fails where it does not. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );
  if (outcome instanceof Error) return outcome;
  throw new Error(`expected a rejection, got ${JSON.stringify(outcome)}`);
}
