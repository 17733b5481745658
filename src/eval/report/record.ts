// The figures of one run as a file, for the report.

import { mkdir, writeFile } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import { z } from "zod";
import type { Benchmark, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { decodeUtf8, readBytes } from "../files.ts";

/** What the names of such files end with. */
export const SCORE_FILE = ".score.json";

const item = z.object({
  id: z.string(),
  group: z.string(),
  question: z.string(),
  answer: z.string().nullable(),
  expected: z.string(),
  score: z.number(),
});

const record = z.object({
  benchmark: z.string(),
  figure: z.number(),
  scores: z.record(z.string(), z.unknown()),
  parts: z.array(z.object({ name: z.string(), value: z.number(), count: z.number() })),
  warnings: z.array(z.string()),
  /** All paths are from this file's folder. */
  answers: z.string(),
  questions: z.string().nullable(),
  images: z.string().nullable(),
  items: z.array(item),
});

export type ScoreRecord = z.infer<typeof record>;

export interface SavePlace {
  answers: string;
  questions?: string | undefined;
  images?: string | undefined;
  save?: boolean | string;
}

/** Keeps a score beside the answers, or where `save` says. */
export async function saveScore(
  { name }: Benchmark,
  { figure, scores, parts, items, warnings }: Scored & { warnings: readonly string[] },
  { answers, questions, images, save }: SavePlace,
): Promise<void> {
  const path = typeof save === "string" ? save : answers + SCORE_FILE;
  const from = (file: string | undefined) =>
    file === undefined ? null : relative(dirname(resolve(path)), resolve(file)) || ".";
  const value: ScoreRecord = {
    benchmark: name,
    figure,
    scores,
    parts,
    warnings: [...warnings],
    answers: from(answers) ?? "",
    questions: from(questions),
    images: from(images),
    items,
  };
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(value)}\n`);
}

/** @throws BenchmarkError where the file is something else */
export async function readScore(path: string): Promise<ScoreRecord> {
  return readValidated(path, record);
}

/** A JSON file that must have a certain form. */
export async function readValidated<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const text = decodeUtf8(await readBytes(path), path);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BenchmarkError(`${path}: is no JSON.`, { where: path, cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new BenchmarkError(`${path}: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`, {
    where: path,
  });
}
