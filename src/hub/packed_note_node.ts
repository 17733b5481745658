import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { isRecord } from "./json.ts";
import type { CopyKey } from "./packed_copy.ts";
import type { FileIdentity } from "./repository.ts";

/** The files of a copy. */
export const DATA_FILE = "packed.safetensors";
export const NOTE_FILE = "copy.json";

/** What stands beside the packed bytes. */
export interface Note {
  /** As the user named the model. */
  readonly model: string;
  readonly dtype: string;
  readonly sources: readonly FileIdentity[];
  /** Of the data file. */
  readonly bytes: number;
  /** Checksum of the data file's header. */
  readonly header: number;
  /** Checksums of the tensors. */
  readonly tensors: Readonly<Record<string, number>>;
}

/** The name of a copy's folder. A blob of the Hub's cache is known by its content, wherever it lies. */
export function keyName({ sources, dtype, layout, tensors }: CopyKey): string {
  const files = sources.map(({ path, bytes, stamp }) => [
    typeof stamp === "string" ? "" : path,
    bytes,
    stamp,
  ]);
  const text = JSON.stringify([files, dtype, layout, tensors.map(({ name, shape }) => [name, shape])]);
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/** The note's text: JSON, and in a line behind it its checksum. */
export function encodeNote(note: Note): string {
  const json = JSON.stringify(note);
  return `${json}\n${crc32(json)}\n`;
}

/** The note of a text, undefined where that is not as it was written. */
export function decodeNote(text: string): Note | undefined {
  const [json, sum] = text.split("\n");
  if (sum === undefined || Number(sum) !== crc32(json)) return undefined;
  const note: unknown = JSON.parse(json);
  return isRecord(note) ? (note as unknown as Note) : undefined;
}
