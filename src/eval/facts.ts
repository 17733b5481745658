// The side file of a run: what a number was made with.

import { createHash } from "node:crypto";
import { rename, writeFile } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import { z } from "zod";
import { BenchmarkError } from "./errors.ts";
import { isFile } from "./files.ts";
import { readValidated } from "./report/record.ts";

/** What the names of such files end with. */
export const FACTS_FILE = ".run.json";

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const facts = z.object({
  benchmark: z.string(),
  preset: z.string(),
  model: z.string(),
  chunk: z.string().nullable(),
  all_rounds: z.boolean(),
  /** Paths are from this file's folder. */
  questions: z.string(),
  questions_sha256: z.string(),
  images: z.string().nullable(),
  total: z.number(),
  answered: z.number(),
  begun: z.string(),
  finished: z.string().nullable(),
  /** One for each time the run was begun or gone on with: what it ran on. */
  calls: z.array(z.record(z.string(), scalar)),
});

export type RunFacts = z.infer<typeof facts>;

export interface FactsOfCall {
  benchmark: string;
  preset: string;
  model: string;
  chunk: string | null;
  all_rounds: boolean;
  total: number;
  questions: Uint8Array;
  questionsPath: string;
  images: string | undefined;
  more: Readonly<Record<string, z.infer<typeof scalar>>>;
}

/** What must not change within a run, for its answers would not belong together. */
const FIXED = ["benchmark", "preset", "model", "chunk", "all_rounds", "questions_sha256"] as const;
const FIXED_MORE = ["revision", "dtype"];

/**
 * The side file's contents for a call that begins now; of an earlier call's it keeps what is true still.
 *
 * @throws BenchmarkError where the answers were begun with other facts
 */
export async function beginFacts(answers: string, call: FactsOfCall): Promise<RunFacts> {
  const from = (path: string) => relative(dirname(resolve(answers)), resolve(path)) || ".";
  const { more, questions, questionsPath, images, ...same } = call;
  const now: RunFacts = {
    ...same,
    questions: from(questionsPath),
    questions_sha256: createHash("sha256").update(questions).digest("hex"),
    images: images === undefined ? null : from(images),
    answered: 0,
    begun: new Date().toISOString(),
    finished: null,
    calls: [],
  };
  const path = answers + FACTS_FILE;
  const before = (await isFile(path)) && (await isFile(answers)) ? await readFacts(path) : undefined;
  if (before !== undefined) checkSame(path, before, now, more);
  const calls = [...(before?.calls ?? []), { ...more, node: process.version, time: now.begun }];
  if (before === undefined) return { ...now, calls };
  return { ...now, begun: before.begun, finished: before.finished, calls };
}

function checkSame(path: string, before: RunFacts, now: RunFacts, more: FactsOfCall["more"]): void {
  const last = before.calls.at(-1) ?? {};
  const pairs = [
    ...FIXED.map((name) => [name, before[name], now[name]] as const),
    ...FIXED_MORE.filter((name) => name in last && name in more).map(
      (name) => [name, last[name], more[name]] as const,
    ),
  ];
  for (const [name, was, is] of pairs) {
    if (was === is) continue;
    throw new BenchmarkError(
      `${path}: these answers were begun with ${name} ${was}, and this call has ${is}. Name another file for the answers.`,
      { where: path, item: name, expected: was, got: is },
    );
  }
}

export async function readFacts(path: string): Promise<RunFacts> {
  return readValidated(path, facts);
}

/** Puts the side file in its place at once, whole. */
export async function writeFacts(answers: string, value: RunFacts): Promise<void> {
  const path = answers + FACTS_FILE;
  const draft = `${path}.${process.pid}.tmp`;
  await writeFile(draft, `${JSON.stringify(value, null, 2)}\n`);
  await rename(draft, path);
}
