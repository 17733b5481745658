import { UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import type { Benchmark, Files, Scored } from "./benchmark.ts";
import { needed } from "./needed.ts";
import { Collector, type Output } from "./output.ts";
import { findBenchmark } from "./registry.ts";
import { saveScore } from "./report/record.ts";

export interface ScoreOptions {
  /** The file of the answers. */
  answers: string;
  questions?: string;
  /** The benchmark's own file or folder with the right answers. */
  annotations?: string;
  split?: string;
  /** The folder of the pictures, for the report. */
  images?: string;
  /** Where to keep the figures and items for `report`; true: beside the answers. */
  save?: boolean | string;
  /** Takes what the original prints, as it comes. */
  print?: (text: string) => void;
}

export interface ScoreResult extends Scored, Output {
  benchmark: string;
}

const OPTIONS = ["answers", "questions", "annotations", "split", "images", "save", "print"];

/**
 * Scores answers as the original programs do.
 *
 * @throws BenchmarkError where they stop; its `printed` is what they had printed
 */
export async function score(name: string, options: ScoreOptions): Promise<ScoreResult> {
  checkOptions("score", options, OPTIONS);
  const benchmark = findBenchmark(name);
  const { scorer } = benchmark;
  if (scorer === undefined) throw noScorer(benchmark);
  const files: Files = { ...options, answers: needed(options, "answers") };
  for (const file of scorer.needs) needed(files, file);
  const output = new Collector(options.print);
  const scored = await output.during(() => scorer.score(files, output));
  const result = { benchmark: name, ...scored, stdout: output.stdout, warnings: output.warnings };
  if (options.save) await saveScore(benchmark, result, options);
  return result;
}

function noScorer({ title, name, judge }: Benchmark): UnsupportedError {
  const instead =
    judge === undefined
      ? `its answers are not published. Make the server's file: llava eval convert ${name}`
      : `a language model judges it: llava eval judge ${name}`;
  return new UnsupportedError(`${title} cannot be scored here: ${instead}.`, { where: name });
}
