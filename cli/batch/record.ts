import { z } from "zod";
import type { Answer } from "../answer.ts";
import type { Name } from "./request.ts";

/** What was made of a question. */
export type Outcome =
  | ({ ok: true } & Pick<
      Answer,
      "text" | "finish_reason" | "image_tokens" | "prompt_tokens" | "generated_tokens"
    >)
  | { ok: false; error: { type: string; message: string } };

/** What a line of the results says of itself. */
export interface ReadRecord {
  name: Name;
  digest: string;
  failed: boolean;
}

const name = z.union([z.string(), z.int()]);
const record = z.looseObject({
  key: name.optional(),
  id: name.optional(),
  text: z.string().optional(),
  error: z.looseObject({ type: z.string(), message: z.string() }).optional(),
  request: z.string(),
});

/** A line of the results, with its end. */
export function writeRecord(
  name: Name,
  outcome: Outcome,
  facts: { model: string; dtype?: string; request: string },
): string {
  const { ok: _, ...said } = outcome;
  return `${JSON.stringify({ [name.field]: name.value, ...said, ...facts })}\n`;
}

/** Reads a line of the results; undefined where it is none. */
export function readRecord(line: string): ReadRecord | undefined {
  const result = record.safeParse(parse(line));
  if (!result.success) return undefined;
  const { key, id, text, error, request } = result.data;
  const value = key ?? id;
  if (value === undefined || (text === undefined) === (error === undefined)) return undefined;
  const field = key === undefined ? "id" : "key";
  return { name: { field, value }, digest: request, failed: error !== undefined };
}

/** Whether a text may be the beginning of a line of the results. */
export function beginsRecord(text: string): boolean {
  return ['{"key":', '{"id":'].some((begin) => begin.startsWith(text.slice(0, begin.length)));
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** An error as a record says it: what and why, nothing of the program. */
export function failure(error: unknown): Outcome & { ok: false } {
  const known = error instanceof Error;
  return {
    ok: false,
    error: { type: known ? error.name : "Error", message: known ? error.message : String(error) },
  };
}
