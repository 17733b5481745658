import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { OptionError, UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import type { Judged, JudgeFiles, Scored } from "./benchmark.ts";
import { BenchmarkError } from "./errors.ts";
import { Collector, type Output } from "./output.ts";
import { dumps } from "./python/json.ts";
import { findBenchmark } from "./registry.ts";
import { saveScore } from "./report/record.ts";

export interface JudgeOptions {
  answers?: string;
  questions?: string;
  annotations?: string;
  context?: string;
  rule?: string;
  /** The reference answers. */
  reference?: string;
  /** The file of the judge's instruction (MM-Vet). */
  judgePrompt?: string;
  /** How often each answer is judged (MM-Vet); 1. */
  runs?: number;
  /** The file for the requests. */
  requests?: string;
  /** The judge's replies in the requests' order, or reviews or grades made of them. */
  replies?: string;
  /** The file for the reviews (added to) or grades that replies make. */
  record?: string;
  /** Ids of questions to leave out of the means (LLaVA-Bench). */
  ignore?: readonly number[];
  images?: string;
  save?: boolean | string;
  /** Takes what the original prints, as it comes. */
  print?: (text: string) => void;
}

export interface JudgeResult extends Output {
  benchmark: string;
  /** How many requests were written. */
  requests: number;
  /** The figures; null where there are no replies yet. */
  scored: Scored | null;
  /** The same figures by name, or null. */
  scores: Scored["scores"] | null;
}

const OPTIONS = [
  ["answers", "questions", "annotations", "context", "rule", "reference", "judgePrompt", "runs"],
  ["requests", "replies", "record", "ignore", "images", "save", "print"],
].flat();

/**
 * Writes what to ask a judging model, and reads what it replied. Makes no calls itself.
 *
 * @throws BenchmarkError where the original programs stop; the requests before that are written
 */
export async function judge(name: string, options: JudgeOptions): Promise<JudgeResult> {
  checkOptions("judge", options, OPTIONS);
  const benchmark = findBenchmark(name);
  if (benchmark.judge === undefined) {
    throw new UnsupportedError(`${benchmark.title} needs no judge: llava eval score ${name}.`, {
      where: name,
    });
  }
  if (options.requests === undefined && options.replies === undefined) {
    throw new OptionError(
      "judge: name a file for the requests (--requests) or one with replies (--replies).",
      {
        where: "requests",
      },
    );
  }
  const runs = options.runs ?? 1;
  if (!Number.isInteger(runs) || runs < 1 || runs > 1000) {
    throw new OptionError(`judge: runs must be a whole number from 1 to 1000, got ${runs}.`, {
      where: "runs",
      got: runs,
    });
  }
  const files: JudgeFiles = { ...options, runs, ignore: options.ignore ?? [] };
  const output = new Collector(options.print);
  const judgement = benchmark.judge;
  const judged = await output.during(() => judgement(files, output));
  const requests = options.requests === undefined ? 0 : await writeRequests(options.requests, judged);
  if (judged.missing !== undefined) throw missingReplies(judged.missing, options.requests);
  if (judged.record !== undefined && options.record !== undefined) await keep(options.record, judged.record);
  const scored = judged.scored ?? null;
  const result = { benchmark: name, requests, scored, scores: scored?.scores ?? null };
  if (scored !== null && options.save) {
    const answers = options.answers ?? options.replies ?? "";
    const warnings = output.warnings;
    await saveScore(benchmark, { ...scored, warnings }, { ...options, answers, save: options.save });
  }
  return { ...result, stdout: output.stdout, warnings: output.warnings };
}

async function writeRequests(path: string, { requests }: Judged): Promise<number> {
  const lines: string[] = [];
  await mkdir(dirname(path), { recursive: true });
  try {
    for (const request of requests) lines.push(`${dumps(request)}\n`);
  } finally {
    await writeFile(path, lines.join(""));
  }
  return lines.length;
}

function missingReplies(missing: number, requests: string | undefined): BenchmarkError {
  const next =
    requests === undefined
      ? "Call it again with --requests FILE to have the requests for them"
      : `The requests for them stand in ${requests}: ask them, and add what comes to each question's list`;
  return new BenchmarkError(
    `${missing} ${missing === 1 ? "reply is" : "replies are"} missing, or not a number and to be asked again. ${next}.`,
    { got: missing },
  );
}

async function keep(path: string, { text, append }: { text: string; append: boolean }): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await (append ? appendFile(path, text) : writeFile(path, text));
}
