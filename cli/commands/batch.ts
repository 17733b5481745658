import { resolve } from "node:path";
import type { Command } from "commander";
import { Asker } from "../answer.ts";
import { type BatchInput, openInput } from "../batch/input.ts";
import { runLocally } from "../batch/local.ts";
import { makePlan, type Plan } from "../batch/plan.ts";
import { BatchProgress } from "../batch/progress.ts";
import { Summary } from "../batch/summary.ts";
import { UsageError } from "../errors.ts";
import { interruptible } from "../interrupt.ts";
import { type Loaded, loadModel } from "../model.ts";
import { addGenerationFlags, type GenerationFlags, wholeNumber } from "../options.ts";

const EXAMPLES = `
Examples:
  llava batch questions.jsonl answers.jsonl
  llava batch pictures/ answers.jsonl --prompt "What is shown in this picture?"
  llava batch "pictures/**/*.jpg" answers.jsonl --max-new-tokens 64

A line of questions: {"key": "a1", "image": "a1.jpg", "prompt": "What is this?"}
  key or id        what the result is called; without one, the line's number
  image or images  a path (from the file's folder, or from here), an address, a data URI; or a list of them
  prompt, max_new_tokens, temperature, top_p, seed   where this line has its own

A line of results: the key with text and token counts, or with an error. They come in the order in which they are ready.
The same command goes on where a stopped or killed one was; errors are asked again with --retry-errors.`;

interface BatchFlags extends GenerationFlags {
  prompt: string;
  concurrency: number;
  retryErrors: boolean;
}

/** Questions computed together where nothing is said: more gains little, and each takes memory for what it has read. */
const CONCURRENCY = 16;

export function addBatch(program: Command): void {
  const command = program
    .command("batch")
    .summary("ask about many pictures")
    .description("Asks about many pictures. A batch that was stopped, by whatever, goes on where it was.")
    .usage("[options] <in...> <out.jsonl>")
    .argument("<in...>", "a file of questions, or pictures, folders and patterns; last the file of results")
    .option("-p, --prompt <text>", "what to ask where a line does not say", "Describe this picture.")
    .option("--concurrency <n>", "questions computed together", wholeNumber(1), CONCURRENCY)
    .option("--retry-errors", "ask again what has an error as its result", false);
  addGenerationFlags(command)
    .addHelpText("after", EXAMPLES)
    .action((paths: string[], flags: BatchFlags) => batch(paths, flags));
}

async function batch(paths: string[], flags: BatchFlags): Promise<void> {
  if (paths.length < 2) throw new UsageError("batch: expected what to ask and the file of results");
  if (flags.prompt.trim() === "") throw new UsageError("--prompt: expected a question, got nothing");
  const out = paths[paths.length - 1];
  const sources = paths.slice(0, -1);
  if (sources.some((path) => resolve(path) === resolve(out))) {
    throw new UsageError(`${out}: the results need a file of their own`);
  }
  const input = await openInput(sources);
  const { model, prompt, maxNewTokens, temperature, topP, seed } = flags;
  const defaults = { model, prompt, sampling: { maxNewTokens, temperature, topP, seed } };
  const plan = await makePlan(input, out, defaults, flags.retryErrors);
  const { signal, done } = interruptible(["SIGTERM"]);
  try {
    if (plan.total === 0) throw new UsageError(`${input.name}: there is nothing to ask`);
    await answerAll(input, plan, flags, signal);
  } finally {
    done();
    await plan.results.close();
  }
}

async function answerAll(input: BatchInput, plan: Plan, flags: BatchFlags, stop: AbortSignal): Promise<void> {
  const { total, results } = plan;
  const loaded = results.counts.done < total ? await loadModel(flags, stop) : undefined;
  const summary = new Summary(plan);
  const progress = new BatchProgress(flags.quiet || flags.json, total, results.counts);
  const sayStopped = (): void => {
    if (!flags.quiet && !flags.json) progress.say("finishing what runs; Ctrl-C again ends at once");
  };
  stop.addEventListener("abort", sayStopped, { once: true });
  try {
    if (loaded) await runLocally(plan, options(loaded));
  } finally {
    progress.stop();
  }
  await loaded?.model.dispose();
  summary.tell(flags, loaded?.model);
  if (results.counts.done < total) process.exitCode = 130;

  function options(loaded: Loaded): Parameters<typeof runLocally>[1] {
    return {
      asker: new Asker(loaded, flags),
      facts: { model: flags.model, dtype: loaded.model.dtype },
      folder: input.folder,
      concurrency: flags.concurrency,
      stop,
      onRecord: (outcome) => {
        summary.count(outcome);
        progress.show(results.counts);
      },
    };
  }
}
