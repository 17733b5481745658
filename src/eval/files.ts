// Files as Python's `open(path)` and `json` read them.

import { readdir, readFile, stat } from "node:fs/promises";
import { BenchmarkError } from "./errors.ts";
import { isObject, type Json, type JsonObject, loads } from "./python/json.ts";

/** A line of a file. */
export interface Line {
  text: string;
  /** Where it is, for an error: `answers.jsonl, line 3`. */
  where: string;
}

/** A JSON value with the place it came from. */
export interface Located {
  value: Json;
  where: string;
}

/** A JSON object with the place it came from. */
export interface Row {
  value: JsonObject;
  where: string;
}

/** The bytes of a file. @throws BenchmarkError where it cannot be read */
export async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function cannotRead(path: string, error: unknown): BenchmarkError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reason = REASONS[code] ?? (error instanceof Error ? error.message : String(error));
  return new BenchmarkError(`${path}: ${reason}.`, { where: path, cause: error });
}

const REASONS: Record<string, string> = {
  ENOENT: "there is no such file",
  EISDIR: "this is a folder, a file is needed",
  ENOTDIR: "this is a file, a folder is needed",
  EACCES: "no permission to read it",
  ERR_FS_FILE_TOO_LARGE: "the file is larger than 2 GiB",
};

/** The names in a folder, in order. @throws BenchmarkError where it is no folder */
export async function readFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    throw cannotRead(path, error);
  }
}

export async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** UTF-8, strictly; a byte order mark stays. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new BenchmarkError(`${where}: is not UTF-8.`, { where, cause: error });
  }
}

/** The lines of a text file, without their ends: LF, CRLF or CR. */
export async function readLines(path: string): Promise<Line[]> {
  const bytes = await readBytes(path);
  const lines: Line[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = lineEnd(bytes, start);
    const where = `${path}, line ${lines.length + 1}`;
    lines.push({ text: decodeUtf8(bytes.subarray(start, end), where), where });
    start = end + (bytes[end] === 0x0d && bytes[end + 1] === 0x0a ? 2 : 1);
  }
  return lines;
}

function lineEnd(bytes: Buffer, start: number): number {
  const feed = bytes.indexOf(0x0a, start);
  const end = feed === -1 ? bytes.length : feed;
  const carriage = bytes.subarray(start, end).indexOf(0x0d);
  return carriage === -1 ? end : start + carriage;
}

/** A file that holds one JSON value. */
export async function readJson(path: string): Promise<Json> {
  return parse(decodeUtf8(await readBytes(path), path), path);
}

/** A file that holds one JSON object. */
export async function readJsonObject(path: string): Promise<JsonObject> {
  const value = await readJson(path);
  if (!isObject(value)) throw new BenchmarkError(`${path}: expected a JSON object.`, { where: path });
  return value;
}

/** A file with one JSON value a line; a blank line is an error. */
export async function readJsonLines(path: string): Promise<Located[]> {
  return (await readLines(path)).map(({ text, where }) => ({ value: parse(text, where), where }));
}

/** A file with one JSON object a line. */
export async function readRows(path: string): Promise<Row[]> {
  return (await readJsonLines(path)).map(row);
}

/** @throws BenchmarkError where the value is no object */
export function row({ value, where }: Located): Row {
  if (!isObject(value)) throw new BenchmarkError(`${where}: expected a JSON object.`, { where, item: where });
  return { value, where };
}

export function parse(text: string, where: string): Json {
  try {
    return loads(text);
  } catch (error) {
    if (!(error instanceof BenchmarkError)) throw error;
    throw new BenchmarkError(`${where}: ${error.message}.`, { where, item: where, cause: error });
  }
}
