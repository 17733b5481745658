// The command `llava eval`.

import { type Command, InvalidArgumentError } from "commander";
import { OptionError } from "../base/errors.ts";
import { type ConvertOptions, convert } from "./convert.ts";
import { type JudgeOptions, judge } from "./judge.ts";
import { ProgressLine } from "./progress-line.ts";
import { BENCHMARKS, findBenchmark } from "./registry.ts";
import { report } from "./report/report.ts";
import type { Responder } from "./responder.ts";
import { type RunOptions, run } from "./run.ts";
import { type ScoreOptions, score } from "./score.ts";

/** A model that is ready to answer. */
export interface LoadedResponder {
  responder: Responder;
  /** The name or path that it was loaded by. */
  model: string;
  /** Revision, dtype, device, versions: what the side file is to say. */
  facts: Readonly<Record<string, string | number | boolean | null>>;
  close(): Promise<void>;
  /** Stops the run. */
  signal?: AbortSignal;
}

/** What the command needs from the program around it. */
export interface EvalPorts {
  stdout(text: string): void;
  stderr(text: string): void;
  /** Whether `stderr` is a terminal, where a progress line can be redrawn. */
  isTerminal: boolean;
  /** Adds the flags by which every command names its model: --model, --dtype, --device and so on. */
  addModelFlags(command: Command): void;
  /** Loads the model that these flags name. */
  load(flags: Readonly<Record<string, unknown>>): Promise<LoadedResponder>;
  /** Makes the error for wrong usage, whose exit code is 2. */
  usageError(message: string): Error;
}

const NAME_HELP = `\nNAME is one of:\n${BENCHMARKS.map(({ name, title }) => `  ${name.padEnd(13)}${title}`).join("\n")}\n`;

/** Adds `eval` with its subcommands to the program. Errors come out of the actions as they are. */
export function addEvalCommand(program: Command, ports: EvalPorts): Command {
  const command = program
    .command("eval")
    .description("the published LLaVA benchmarks: ask, score, convert, judge, report")
    .addHelpText("after", NAME_HELP);
  addRun(command, ports);
  addScore(command, ports);
  addConvert(command, ports);
  addJudge(command, ports);
  addReport(command, ports);
  for (const one of [command, ...command.commands]) one.exitOverride();
  return command;
}

function addRun(parent: Command, ports: EvalPorts): void {
  const command = parent
    .command("run <name>")
    .description("ask the model a benchmark's questions; a run that was cut off goes on where it stopped")
    .requiredOption("--questions <file>", "the question file, as published (MMBench: the table)")
    .option("--images <folder>", "the folder of the pictures (MMBench has them in its table)")
    .requiredOption("--answers <file>", "where the answers go, one a line")
    .option("--preset <name>", "original (as the published figures were made) or hf", "original")
    .option("--chunk <i/k>", "only part I (from 0) of K, as the original shards")
    .option("--all-rounds", "MMBench: ask every row once per option, the options turned")
    .option("--concurrency <n>", "how many questions are under way at once", wholeNumber);
  ports.addModelFlags(command);
  command
    .addHelpText("after", [NAME_HELP, RUN_EXAMPLES].join("\n"))
    .action(async (name: string, flags: RunFlags) => {
      // A wrong name is told before a model is loaded.
      await usage(ports, async () => findBenchmark(name));
      const loaded = await ports.load(flags);
      const line = new ProgressLine(ports, flags.quiet === true);
      try {
        const { questions, images, answers, preset, chunk, allRounds, concurrency } = flags;
        const options = given({ questions, images, answers, preset, chunk, allRounds, concurrency });
        const { responder, model, facts, signal } = loaded;
        const call: RunOptions = {
          ...(options as Pick<RunOptions, "questions" | "answers">),
          ...given({ signal }),
          responder,
          model,
          facts,
          progress_callback: (progress) => line.show(progress),
        };
        const result = await usage(ports, () => run(name, call));
        line.end();
        warn(ports, result.warnings);
        const { total, asked } = result;
        if (flags.json) ports.stdout(`${JSON.stringify({ benchmark: name, total, asked, answers })}\n`);
        else if (!flags.quiet) ports.stderr(`${total} answers in ${answers}, ${asked} of them new\n`);
      } finally {
        line.end();
        await loaded.close();
      }
    });
}

interface RunFlags {
  questions: string;
  images?: string;
  answers: string;
  preset: RunOptions["preset"];
  chunk?: string;
  allRounds?: boolean;
  concurrency?: number;
  json?: boolean;
  quiet?: boolean;
  [name: string]: unknown;
}

const RUN_EXAMPLES = `Examples:
  llava eval run pope --questions llava_pope_test.jsonl --images val2014 --answers out/pope.jsonl --model llava-hf/llava-1.5-7b-hf
  llava eval run mmbench --questions mmbench_dev_20230712.tsv --answers out/mmbench.jsonl --chunk 0/4
  llava eval run gqa --questions llava_gqa_testdev_balanced.jsonl --images images --answers out/gqa.jsonl --preset hf

Beside the answers, OUT.jsonl.run.json keeps what they were made with.
`;

function addScore(parent: Command, ports: EvalPorts): void {
  parent
    .command("score <name>")
    .description("score answers as the original program does, and print what it prints")
    .requiredOption("--answers <file>", "the answers, one a line (MME: or the folder of its task files)")
    .option("--questions <file>", "the question file (needed by pope)")
    .option("--annotations <path>", "the benchmark's own answers: see below")
    .option("--split <name>", "scienceqa: the split, test; mmbench: dev")
    .option("--images <folder>", "the folder of the pictures, for the report")
    .option("--save [file]", "keep figures and items for the report, beside the answers or in this file")
    .option("--json", "print one object with the figures instead")
    .addHelpText("after", [NAME_HELP, SCORE_HELP].join("\n"))
    .action(async (name: string, flags: ScoreOptions & { json?: boolean }) => {
      const { json, ...options } = flags;
      const print = json ? () => {} : (text: string) => ports.stdout(text);
      const result = await usage(ports, () => score(name, { ...options, print }));
      warn(ports, result.warnings);
      if (json) ports.stdout(`${JSON.stringify(result.scores)}\n`);
    });
}

const SCORE_HELP = `What --annotations is:
  vqav2         the VQA annotations (a split whose answers are published)
  gqa           testdev_balanced_questions.json
  scienceqa     the folder of problems.json and pid_splits.json
  textvqa       TextVQA_0.5.1_val.json
  pope          the folder of coco_pope_*.json
  mme           the release's folder
  mmbench(-cn)  the table (.tsv)
  seed          SEED-Bench.json
  demo          labels.jsonl, as scripts/demo/benchmark.py makes it

Examples:
  llava eval score pope --answers out/pope.jsonl --questions llava_pope_test.jsonl --annotations coco --save
  llava eval score scienceqa --answers out/sqa.jsonl --annotations ScienceQA --split test --json
`;

function addConvert(parent: Command, ports: EvalPorts): void {
  parent
    .command("convert <name>")
    .description("make the file that a benchmark's evaluation server takes")
    .requiredOption("--answers <file>", "the answers, one a line")
    .option("--questions <file>", "the question file (needed by vqav2 and vizwiz)")
    .option("--annotations <path>", "the benchmark's own file or folder (mme, mmbench, seed, scienceqa)")
    .option("--split <name>", "scienceqa: the split, test")
    .requiredOption("--out <path>", "the file to write, or the folder for it")
    .option("--quiet", "do not tell what was written")
    .addHelpText("after", [NAME_HELP, CONVERT_EXAMPLES].join("\n"))
    .action(async (name: string, flags: ConvertOptions & { quiet?: boolean }) => {
      const { quiet, ...options } = flags;
      const result = await usage(ports, () =>
        convert(name, { ...options, print: (text) => ports.stdout(text) }),
      );
      warn(ports, result.warnings);
      if (!quiet) for (const file of result.files) ports.stderr(`wrote ${file}\n`);
    });
}

const CONVERT_EXAMPLES = `Examples:
  llava eval convert vqav2 --answers merge.jsonl --questions llava_vqav2_mscoco_test2015.jsonl --out upload.json
  llava eval convert mmbench --answers mmbench.jsonl --annotations mmbench_dev_20230712.tsv --out uploads/
`;

interface JudgeFlags extends Omit<JudgeOptions, "ignore"> {
  ignore?: number[];
  json?: boolean;
  quiet?: boolean;
}

function addJudge(parent: Command, ports: EvalPorts): void {
  parent
    .command("judge <name>")
    .description("llava-bench, mm-vet: write what to ask a judging model, then read what it replied")
    .option("--answers <file>", "the answers, one a line (mm-vet: or its results file)")
    .option("--questions <file>", "llava-bench: questions.jsonl")
    .option("--context <file>", "llava-bench: context.jsonl")
    .option("--rule <file>", "llava-bench: rule.json")
    .option("--reference <file>", "llava-bench: answers_gpt4.jsonl")
    .option("--annotations <file>", "mm-vet: mm-vet.json")
    .option("--judge-prompt <file>", "mm-vet: the judge's instruction, as in its notebook")
    .option("--runs <n>", "mm-vet: how often each answer is judged", wholeNumber, 1)
    .option("--requests <file>", "write the requests here, one a line, in order; no call is made")
    .option(
      "--replies <file>",
      "read the replies, in the order of the requests; or reviews or grades made of them",
    )
    .option("--record <file>", "keep reviews (added to what is there) or grades here")
    .option("--ignore <ids...>", "llava-bench: questions to leave out of the means", gather)
    .option("--images <folder>", "the folder of the pictures, for the report")
    .option("--save [file]", "keep figures and items for the report")
    .option("--json", "print one object with the figures instead")
    .option("--quiet", "do not tell what was written")
    .addHelpText("after", JUDGE_HELP)
    .action(async (name: string, flags: JudgeFlags) => {
      const { json, quiet, ignore, ...options } = flags;
      const print = json ? () => {} : (text: string) => ports.stdout(text);
      const ids = ignore === undefined ? {} : { ignore: ignore.map((id) => wholeNumber(String(id))) };
      const result = await usage(ports, () => judge(name, { ...options, ...ids, print }));
      warn(ports, result.warnings);
      if (flags.requests !== undefined && !quiet)
        ports.stderr(`wrote ${result.requests} requests to ${flags.requests}\n`);
      if (json) ports.stdout(`${JSON.stringify(result.scores)}\n`);
    });
}

const JUDGE_HELP = `
A reply is a text in JSON, an object with "content", or the answer of an OpenAI-compatible service or batch.
mm-vet also takes {"v1_0": ["first reply", "reply when asked again", ...], ...}; where one is missing, --requests gets
what is to be asked.

Examples:
  llava eval judge llava-bench --answers a.jsonl --questions questions.jsonl --context context.jsonl --rule rule.json \\
      --reference answers_gpt4.jsonl --requests requests.jsonl
  llava eval judge llava-bench ... --replies replies.jsonl --record reviews.jsonl
  llava eval judge mm-vet --annotations mm-vet.json --replies grades.json --runs 5
`;

function addReport(parent: Command, ports: EvalPorts): void {
  parent
    .command("report <folder>")
    .description("one page of the runs in a folder, and a table, beside the published figures")
    .option("--out <file>", "the page; report.html in the folder")
    .option("--items <n>", "how many items of a run the page shows", wholeNumber, 200)
    .option("--json", "print one object with the table instead")
    .addHelpText("after", REPORT_EXAMPLES)
    .action(async (folder: string, flags: { out?: string; items: number; json?: boolean }) => {
      const { json, ...options } = flags;
      const { page, table, rows } = await usage(ports, () => report(folder, options));
      ports.stdout(json ? `${JSON.stringify({ page, rows })}\n` : table);
      if (!json) ports.stderr(`wrote ${page}\n`);
    });
}

const REPORT_EXAMPLES = `
Runs are found by what "run" leaves beside its answers, figures by what "score --save" and "judge --save" do.

Example:
  llava eval score textvqa --answers out/textvqa.jsonl --annotations TextVQA_0.5.1_val.json --save
  llava eval report out
`;

/** An option that our functions refuse is wrong usage here. */
async function usage<T>(ports: EvalPorts, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof OptionError ? ports.usageError(error.message) : error;
  }
}

function warn(ports: EvalPorts, warnings: readonly string[]): void {
  for (const text of warnings) ports.stderr(`warning: ${text}\n`);
}

/** The entries that are there. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number.");
}

/** The numbers of a flag that takes several. */
function gather(text: string, before: number[] = []): number[] {
  return [...before, wholeNumber(text)];
}
