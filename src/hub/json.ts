import { CheckpointError } from "../base/errors.ts";

/** Longest text file that is read whole (the largest tokenizer.json seen is 35 MB). */
export const TEXT_LIMIT = 128 * 2 ** 20;

/** Strings of a JSON text, and with `tail` what may follow them. */
const STRING = '"(?:[^"\\\\]|\\\\.)*"';

/**
 * Decodes UTF-8.
 *
 * @throws CheckpointError naming `file` where the bytes are not UTF-8
 */
export function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CheckpointError(`${file}: not a text file (its bytes are not UTF-8)`, { file, cause });
  }
}

/**
 * Parses JSON. As Python's parser does, takes `Infinity` and `-Infinity` too.
 *
 * @throws CheckpointError naming `file`, line and column where it is not JSON
 */
export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const finite = withoutInfinity(text);
    if (finite !== text) return parseJson(finite, file);
    throw new CheckpointError(`${file}: not valid JSON: ${describe(cause, text)}`, { file, cause });
  }
}

/** `Infinity` outside strings as a number that JSON can write and that overflows to it. */
function withoutInfinity(text: string): string {
  const token = new RegExp(`${STRING}|\\bInfinity\\b`, "gs");
  return text.replace(token, (found) => (found === "Infinity" ? "1e999" : found));
}

/** What is wrong with a text that does not parse, and where. */
function describe(cause: unknown, text: string): string {
  if (text.trim() === "") return "the file is empty";
  const message = String(cause instanceof Error ? cause.message : cause);
  const place = /^(.*?)( in JSON)? at position (\d+)/.exec(message);
  if (place !== null) return `${place[1]} at ${lineAndColumn(text, Number(place[3]))}`;
  const token = /^Unexpected token '.+?'/su.exec(message)?.[0];
  return token === undefined ? message : `${token} at ${lineAndColumn(text, findFault(text, token))}`;
}

/** Where the parser's complaint begins: of all beginnings of the text, the shortest that it holds for ends there. */
function findFault(text: string, complaint: string): number {
  let [sound, faulty] = [0, text.length];
  while (faulty - sound > 1) {
    const middle = (sound + faulty) >> 1;
    if (complains(text.slice(0, middle), complaint)) faulty = middle;
    else sound = middle;
  }
  return sound;
}

function complains(text: string, complaint: string): boolean {
  try {
    JSON.parse(text);
    return false;
  } catch (error) {
    return error instanceof Error && error.message.startsWith(complaint);
  }
}

function lineAndColumn(text: string, position: number): string {
  const before = text.slice(0, position);
  return `line ${before.split("\n").length}, column ${before.length - before.lastIndexOf("\n")}`;
}

/** The first key that an object in a valid JSON text has twice, which `JSON.parse` hides. */
export function repeatedKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (const [token, string, colon] of text.matchAll(new RegExp(`(${STRING})(\\s*:)?|[{}]`, "gs"))) {
    if (token === "{") open.push(new Set());
    else if (token === "}") open.pop();
    else if (colon !== undefined) {
      const key = String(JSON.parse(string));
      const keys = open[open.length - 1];
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

/** Whether a parsed JSON value is an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
