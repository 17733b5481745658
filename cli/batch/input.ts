import { open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { readFileLines } from "../../src/base/file_lines_node.ts";
import { UsageError } from "../errors.ts";
import { isPattern, isPictureName, kindOf, picturesLike, picturesUnder } from "./pictures.ts";

/** One thing that is asked: a line of a file (or what is wrong with it), or a picture. */
export type Entry =
  | { kind: "line"; number: number; text: string }
  | { kind: "broken"; number: number; trouble: string }
  | { kind: "picture"; key: string; path: string };

/** What a batch asks. It can be gone through more than once; no more than a line is in memory. */
export interface BatchInput {
  /** What to call it in an error. */
  name: string;
  /** The folder that pictures' paths begin from, where they do not from the current one. */
  folder: string | undefined;
  entries(): AsyncGenerator<Entry>;
}

/** Longest line, in bytes: pictures may be in it as base64. */
const MAX_LINE = 64 * 2 ** 20;

/**
 * Finds out what is meant: a file of lines, or pictures, folders of them and patterns, in any number.
 *
 * @throws UsageError where something does not exist, or nothing is a picture
 */
export async function openInput(paths: readonly string[]): Promise<BatchInput> {
  const [first] = paths;
  const isFile = (await kindOf(first)) === "file";
  if (paths.length === 1 && isFile && !isPictureName(first)) return linesOf(first);
  const lines = paths.find((path) => /\.jsonl?$/i.test(path));
  if (lines !== undefined) {
    const why =
      (await kindOf(lines)) === undefined ? "there is no such file" : "a file of lines stands alone";
    throw new UsageError(`${lines}: ${why}`);
  }
  for (const path of paths) {
    if ((await kindOf(path)) === undefined && !isPattern(path)) {
      throw new UsageError(`${path}: there is no such file or folder`);
    }
  }
  return { name: paths.join(", "), folder: undefined, entries: () => picturesOf(paths) };
}

function linesOf(path: string): BatchInput {
  return { name: path, folder: dirname(resolve(path)), entries: () => readEntries(path) };
}

async function* readEntries(path: string): AsyncGenerator<Entry> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const handle = await open(path);
  try {
    let number = 0;
    for await (const { bytes } of readFileLines(handle, MAX_LINE)) {
      number++;
      const text = bytes && decode(decoder, bytes);
      if (text === undefined) {
        const trouble = bytes ? "it is not UTF-8" : `it is longer than ${MAX_LINE / 2 ** 20} MiB`;
        yield { kind: "broken", number, trouble };
      } else if (text.trim() !== "") yield { kind: "line", number, text };
    }
  } finally {
    await handle.close();
  }
}

function decode(decoder: TextDecoder, bytes: Buffer): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Pictures, each once. In a single folder a picture is called by its path from there. */
async function* picturesOf(paths: readonly string[]): AsyncGenerator<Entry> {
  const seen = new Set<string>();
  for (const path of paths) {
    const isFolder = (await kindOf(path)) === "folder";
    for await (const found of isFolder ? picturesUnder(path) : filesOf(path)) {
      const whole = isFolder ? `${path.replace(/\/+$/, "")}/${found}` : found;
      const file = resolve(whole);
      if (seen.has(file)) continue;
      seen.add(file);
      yield { kind: "picture", key: isFolder && paths.length === 1 ? found : whole, path: whole };
    }
  }
}

async function* filesOf(path: string): AsyncGenerator<string> {
  if ((await kindOf(path)) === "file") yield path;
  else yield* picturesLike(path);
}
