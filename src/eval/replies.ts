// What a judge said, in whatever form its service gave it.

import { BenchmarkError } from "./errors.ts";
import { decodeUtf8, type Located, parse, readBytes, readJsonLines } from "./files.ts";
import { isObject, type Json, type JsonObject } from "./python/json.ts";

/** A judge's reply. */
export interface Reply {
  text: string;
  /** The model that gave it, where that is known. */
  model: string | undefined;
}

/** The JSON values of a file: a list's, or one a line. One object over several lines is one value. */
export async function readValues(path: string): Promise<Located[]> {
  const whole = wholeFile(decodeUtf8(await readBytes(path), path));
  if (Array.isArray(whole))
    return whole.map((value, index) => ({ value, where: `${path}, entry ${index + 1}` }));
  return whole === undefined ? readJsonLines(path) : [{ value: whole, where: path }];
}

function wholeFile(text: string): Json | undefined {
  try {
    return parse(text, "");
  } catch (error) {
    if (error instanceof BenchmarkError) return undefined;
    throw error;
  }
}

/** A reply as a text, as `{"content" | "text" | "reply"}`, or as the answer of an OpenAI-compatible service or batch. */
export function replyOf({ value, where }: Located): Reply {
  const found = find(value);
  if (found !== undefined) return found;
  throw new BenchmarkError(
    `${where}: expected a reply: a text, {"content": ...}, or the answer of an OpenAI-compatible service.`,
    { where, item: where },
  );
}

function find(value: Json | undefined): Reply | undefined {
  if (typeof value === "string") return { text: value, model: undefined };
  if (!isObject(value)) return undefined;
  const model = value.get("model");
  const text = ["content", "text", "reply"]
    .map((name) => value.get(name))
    .find((found) => typeof found === "string");
  const reply = typeof text === "string" ? { text, model: undefined } : inside(value);
  return reply === undefined
    ? undefined
    : { text: reply.text, model: typeof model === "string" ? model : reply.model };
}

/** `choices[0].message` of a service, `response.body` of a batch. */
function inside(value: JsonObject): Reply | undefined {
  const choices = value.get("choices");
  if (Array.isArray(choices)) return find(choices[0]);
  for (const name of ["message", "response", "body"]) {
    if (value.has(name)) return find(value.get(name));
  }
  return undefined;
}
