import { resolve } from "node:path";
import type { Command } from "commander";
import { Asker } from "../answer.ts";
import { type BatchInput, openInput } from "../batch/input.ts";
import { runLocally } from "../batch/local.ts";
import { makePlan, type Plan } from "../batch/plan.ts";
import { BatchProgress } from "../batch/progress.ts";
import { type Counted, Summary } from "../batch/summary.ts";
import { UsageError } from "../errors.ts";
import { keepHeapSmall } from "../heap.ts";
import { interruptible } from "../interrupt.ts";
import { type Loaded, loadModel } from "../model.ts";
import { addGenerationFlags, CONCURRENCY, type GenerationFlags, wholeNumber } from "../options.ts";
import { Producer } from "../queue/produce.ts";
import { connect } from "../queue/redis.ts";
import { deadText, readDead, readStatus, statusText } from "../queue/status.ts";

const EXAMPLES = `
Examples:
  llava batch questions.jsonl answers.jsonl
  llava batch pictures/ answers.jsonl --prompt "What is shown in this picture?"
  llava batch "pictures/**/*.jpg" answers.jsonl --max-new-tokens 64
  llava batch questions.jsonl answers.jsonl --queue redis://10.0.0.5     (answered by: llava worker)
  llava batch --queue redis://10.0.0.5 --status

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
  queue?: string;
  attempts: number;
  status: boolean;
  dead: boolean;
}

export function addBatch(program: Command): void {
  const command = program
    .command("batch")
    .summary("ask about many pictures")
    .description("Asks about many pictures. A batch that was stopped, by whatever, goes on where it was.")
    .usage("[options] <in...> <out.jsonl>")
    .argument("[in...]", "a file of questions, or pictures, folders and patterns; last the file of results")
    .option("-p, --prompt <text>", "what to ask where a line does not say", "Describe this picture.")
    .option("--concurrency <n>", "questions computed together", wholeNumber(1), CONCURRENCY)
    .option("--retry-errors", "ask again what has an error as its result", false)
    .option("--queue <address>", "let workers answer, over Redis: redis://host:port")
    .option("--attempts <n>", "with --queue: tries of a question before it is dead", wholeNumber(1), 3)
    .option("--status", "with --queue: only say how far its batches are", false)
    .option("--dead", "with --queue: only list what nobody tries any more", false);
  addGenerationFlags(command)
    .addHelpText("after", EXAMPLES)
    .action((paths: string[], flags: BatchFlags) => {
      checkQueueFlags(command, flags);
      return flags.queue !== undefined && (flags.status || flags.dead)
        ? tellAbout(flags.queue, paths, flags)
        : batch(paths, flags);
    });
}

/** Flags that mean nothing with a queue, or without. */
function checkQueueFlags(command: Command, { queue }: BatchFlags): void {
  const given = (name: string): boolean => command.getOptionValueSource(name) === "cli";
  const wrong = (
    queue === undefined
      ? ["attempts", "status", "dead"]
      : ["dtype", "cacheDtype", "device", "threads", "concurrency"]
  ).find(given);
  if (wrong === undefined) return;
  const why = queue === undefined ? "needs --queue" : "is the workers' with --queue: llava worker has it";
  const flag = wrong.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new UsageError(`--${flag} ${why}`);
}

async function tellAbout(url: string, paths: readonly string[], flags: BatchFlags): Promise<void> {
  if (paths.length > 0) throw new UsageError("--status and --dead take no files");
  if (flags.status && flags.dead) throw new UsageError("expected --status or --dead, got both");
  const queueing = await connect(url);
  try {
    if (flags.dead) print(await readDead(queueing, flags.model), deadText);
    else print(await readStatus(queueing, flags.model), statusText);
  } finally {
    await queueing.close();
  }

  function print<T>(value: T, text: (value: T) => string): void {
    process.stdout.write(flags.json ? `${JSON.stringify(value, null, 2)}\n` : text(value));
  }
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
  const { signal, done } = interruptible(["SIGTERM"]);
  keepHeapSmall();
  try {
    const plan = await makePlan(input, out, defaults, flags.retryErrors);
    try {
      if (plan.total === 0) throw new UsageError(`${input.name}: there is nothing to ask`);
      await answerAll(input, plan, flags, signal);
    } finally {
      await plan.results.close();
    }
  } finally {
    done();
  }
}

/** Answers what is left, here or through a queue, and says what came of it. */
async function answerAll(input: BatchInput, plan: Plan, flags: BatchFlags, stop: AbortSignal): Promise<void> {
  const { total, results } = plan;
  const isSilent = flags.quiet || flags.json;
  const work = results.counts.done < total ? await prepare(input, plan, flags, stop) : undefined;
  const summary = new Summary(plan);
  const progress = new BatchProgress(isSilent, total, results.counts);
  const say = (text: string): void => {
    if (!isSilent) progress.say(text);
  };
  const sayStopped = (): void => say("finishing what runs; Ctrl-C again ends at once");
  if (flags.queue === undefined) stop.addEventListener("abort", sayStopped, { once: true });
  const onRecord = (record: Counted): void => {
    summary.count(record);
    progress.show(results.counts);
  };
  try {
    await work?.run(onRecord, say);
  } finally {
    progress.stop();
    await work?.close();
  }
  summary.tell(flags, work?.model);
  if (results.counts.done < total) process.exitCode = 130;
}

/** What answers, ready to begin. */
interface Work {
  model?: Loaded["model"];
  run(onRecord: (record: Counted) => void, say: (text: string) => void): Promise<void>;
  close(): Promise<void>;
}

async function prepare(input: BatchInput, plan: Plan, flags: BatchFlags, stop: AbortSignal): Promise<Work> {
  const { folder } = input;
  if (flags.queue !== undefined) {
    const queueing = await connect(flags.queue);
    const { model, attempts } = flags;
    return {
      run: (onRecord, say) => {
        const onIdle = (): void =>
          say(`no worker is at work: llava worker --queue ${queueing.address} --model ${model}`);
        return new Producer(queueing, plan, { model, folder, attempts, stop, onRecord, onIdle }).run();
      },
      close: () => queueing.close(),
    };
  }
  const loaded = await loadModel(flags, stop);
  const { model } = loaded;
  const facts = { model: flags.model, dtype: model.dtype };
  const asker = new Asker(loaded, flags);
  return {
    model,
    run: (onRecord) =>
      runLocally(plan, { asker, facts, folder, concurrency: flags.concurrency, stop, onRecord }),
    close: () => model.dispose(),
  };
}
