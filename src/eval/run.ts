import { readFile } from "node:fs/promises";
import { OptionError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { AnswersFile } from "./answers-file.ts";
import type { Benchmark, Question } from "./benchmark.ts";
import { BenchmarkError } from "./errors.ts";
import { beginFacts, type RunFacts, writeFacts } from "./facts.ts";
import { modelId } from "./names.ts";
import { needed } from "./needed.ts";
import { Collector } from "./output.ts";
import { openPicture } from "./pictures.ts";
import { IMAGE_MARK, PRESETS, type Preset, type PresetName } from "./presets.ts";
import { strip } from "./python/text.ts";
import { findBenchmark } from "./registry.ts";
import type { EvalRequest, GenerateSettings, Responder } from "./responder.ts";
import { type Chunk, parseChunk, shard } from "./shard.ts";

/** How far a run is. */
export interface RunProgress {
  status: "eval";
  /** Answers on the disk, of `total`. */
  done: number;
  total: number;
  /** Answers a second since this call began. */
  rate: number;
  /** Seconds to go at that rate; null before the first answer. */
  secondsLeft: number | null;
}

export interface RunOptions {
  /** The question file. */
  questions: string;
  /** The folder of the pictures; MMBench has them in its table. */
  images?: string;
  /** The file of the answers: begun, or gone on with. */
  answers: string;
  preset?: PresetName;
  /** "I/K" or its parts: only this part of the questions. */
  chunk?: string | Chunk;
  /** MMBench: every row once per option, the options turned. */
  allRounds?: boolean;
  /** What answers. */
  responder: Responder;
  /** The model's name or path, for the answer lines and the side file. */
  model: string;
  /** What else the side file is to say: revision, dtype, device, versions. */
  facts?: Readonly<Record<string, string | number | boolean | null>>;
  /** How many questions are asked at once; what the responder says. */
  concurrency?: number;
  progress_callback?: (progress: RunProgress) => void;
  signal?: AbortSignal;
}

export interface RunResult {
  benchmark: string;
  /** Questions of this run, and how many this call asked. */
  total: number;
  asked: number;
  warnings: string[];
  facts: RunFacts;
}

const OPTIONS = [
  ["questions", "images", "answers", "preset", "chunk", "allRounds", "responder", "model", "facts"],
  ["concurrency", "progress_callback", "signal"],
].flat();

/**
 * Asks a model a benchmark's questions, in the original's words. A call that was cut off, by whatever, is gone on with
 * by the same call: what has an answer is not asked again.
 *
 * @throws BenchmarkError where a question or picture cannot be read (the answers before it are kept), or the file of
 *   the answers belongs to another run
 * @throws RecordFileError where something else writes to the file of the answers
 */
export async function run(name: string, options: RunOptions): Promise<RunResult> {
  checkOptions("run", options, OPTIONS);
  const benchmark = findBenchmark(name);
  const preset = choosePreset(options.preset ?? "original");
  const files = {
    questions: needed(options, "questions"),
    images: options.images,
    allRounds: options.allRounds,
  };
  const chunk = typeof options.chunk === "string" ? parseChunk(options.chunk) : options.chunk;
  const entries = await benchmark.questions(files);
  const questions = shard(entries, chunk ?? { index: 0, count: 1 }).flat();
  const facts = await beginFacts(needed(options, "answers"), {
    benchmark: name,
    preset: preset.name,
    model: options.model,
    chunk: chunk === undefined ? null : `${chunk.index}/${chunk.count}`,
    all_rounds: options.allRounds ?? false,
    total: questions.length,
    questions: await readFile(files.questions),
    questionsPath: files.questions,
    images: options.images,
    more: options.facts ?? {},
  });
  const answers = await AnswersFile.open(options.answers, questions, modelId(options.model));
  const output = new Collector();
  const before = answers.done;
  try {
    await writeFacts(options.answers, facts);
    await new Run(benchmark, preset, questions, answers, output, options).work();
  } finally {
    await answers.close();
    facts.answered = answers.done;
    facts.finished = answers.done === questions.length ? (facts.finished ?? new Date().toISOString()) : null;
    await writeFacts(options.answers, facts);
  }
  return {
    benchmark: name,
    total: questions.length,
    asked: answers.done - before,
    warnings: output.warnings,
    facts,
  };
}

function choosePreset(name: string): Preset {
  if (Object.hasOwn(PRESETS, name)) return PRESETS[name as PresetName];
  const names = Object.keys(PRESETS);
  throw new OptionError(`preset: expected ${names.join(" or ")}, got '${name}'.`, {
    where: "preset",
    expected: names,
    got: name,
  });
}

/** One call: several questions under way, answers written in order. */
class Run {
  private readonly benchmark: Benchmark;
  private readonly preset: Preset;
  private readonly questions: readonly (() => Question)[];
  private readonly answers: AnswersFile;
  private readonly output: Collector;
  private readonly options: RunOptions;
  private readonly begun = performance.now();
  private readonly before: number;
  private next = 0;
  /** The failure at the earliest place. */
  private failure: { place: number; error: unknown } | undefined;
  /** Answers are written one after the other. */
  private written: Promise<void> = Promise.resolve();

  constructor(
    benchmark: Benchmark,
    preset: Preset,
    questions: readonly (() => Question)[],
    answers: AnswersFile,
    output: Collector,
    options: RunOptions,
  ) {
    this.benchmark = benchmark;
    this.preset = preset;
    this.questions = questions;
    this.answers = answers;
    this.output = output;
    this.options = options;
    this.before = answers.done;
  }

  /** @throws the failure at the earliest place, after everything before it is answered and written */
  async work(): Promise<void> {
    const { concurrency, responder } = this.options;
    const width = concurrency ?? responder.concurrency ?? 1;
    if (!Number.isInteger(width) || width < 1) {
      throw new OptionError(`concurrency must be a whole number above 0, got ${width}.`, {
        where: "concurrency",
      });
    }
    this.report();
    await Promise.all(Array.from({ length: width }, () => this.askOneAfterTheOther()));
    if (this.failure !== undefined) throw this.failure.error;
  }

  private async askOneAfterTheOther(): Promise<void> {
    while (this.failure === undefined && this.next < this.questions.length) {
      const place = this.next++;
      if (this.answers.has(place)) continue;
      try {
        this.options.signal?.throwIfAborted();
        const text = strip(await this.ask(place));
        await this.write(place, text);
      } catch (error) {
        this.fail(place, error);
      }
    }
  }

  private fail(place: number, error: unknown): void {
    if (this.failure === undefined || place < this.failure.place) this.failure = { place, error };
  }

  private async ask(place: number): Promise<string> {
    const { responder, signal } = this.options;
    const question = this.questions[place]();
    const { picture } = question;
    const opened =
      picture === null ? null : await openPicture(picture, this.preset, this.benchmark, this.output);
    const prompt = this.preset.prompt(`${picture === null ? "" : `${IMAGE_MARK}\n`}${question.text}`);
    const request: EvalRequest = {
      index: place,
      question_id: question.id,
      prompt,
      pieces: prompt.split(IMAGE_MARK),
      tokenisesPieces: this.preset.tokenisesPieces,
      preset: this.preset.name,
      image: opened?.image ?? null,
      imageSize: opened?.size ?? null,
      generate: settings(this.benchmark),
      ...(signal === undefined ? {} : { signal }),
    };
    const answer: unknown = await responder.answer(request);
    if (typeof answer === "string") return answer;
    throw new BenchmarkError(`question ${place + 1}: expected a text as answer, got ${typeof answer}.`, {
      item: place + 1,
    });
  }

  private write(place: number, text: string): Promise<void> {
    const own = this.written.then(async () => {
      await this.answers.add(place, text);
      this.report();
    });
    this.written = own.catch(() => {});
    return own;
  }

  private report(): void {
    const { done } = this.answers;
    const total = this.questions.length;
    const fresh = done - this.before;
    const rate = fresh / Math.max(1e-9, (performance.now() - this.begun) / 1000);
    const secondsLeft = fresh === 0 ? null : (total - done) / rate;
    this.options.progress_callback?.({ status: "eval", done, total, rate, secondsLeft });
  }
}

function settings({ maxNewTokens, settings }: Benchmark): GenerateSettings {
  const search = settings === "short" ? {} : { top_p: null, num_beams: 1 as const };
  return { do_sample: false, temperature: 0, ...search, max_new_tokens: maxNewTokens, use_cache: true };
}
