import type { Command } from "commander";
import { Asker } from "../answer.ts";
import { UsageError } from "../errors.ts";
import { keepHeapSmall } from "../heap.ts";
import { interruptible } from "../interrupt.ts";
import { loadModel } from "../model.ts";
import { addModelFlags, CONCURRENCY, type ModelFlags, wholeNumber } from "../options.ts";
import { IncomingPictures } from "../queue/incoming.ts";
import { connect } from "../queue/redis.ts";
import { startWorking } from "../queue/work.ts";

const EXAMPLES = `
Examples:
  llava worker --queue redis://10.0.0.5
  llava worker --queue rediss://user:password@redis.example.org --model llava-hf/llava-1.5-7b-hf --dtype q4
  llava worker --queue redis://10.0.0.5 --allow-folder /data/pictures

Takes the questions of llava batch --queue that are for its model. Any number of workers may run, anywhere. Pictures come with
their questions; those that are named by a path or an address are read where that is allowed.
Ctrl-C or SIGTERM finishes what runs; a second one ends at once, and another worker takes it over.`;

interface WorkerFlags extends ModelFlags {
  queue: string;
  concurrency: number;
  allowFolder: string[];
  allowImageHost: string[];
  stalledAfter: number;
}

/** Milliseconds between two lines about a queue that does not work. */
const TROUBLE_PAUSE = 10_000;

export function addWorker(program: Command): void {
  const several = (text: string, before: string[]): string[] => [...before, text];
  const command = program
    .command("worker")
    .summary("answer the questions of a queue")
    .description("Answers the questions that llava batch --queue puts into a queue.")
    .requiredOption("--queue <address>", "where the queue is: redis://host:port")
    .option("--concurrency <n>", "questions computed together", wholeNumber(1), CONCURRENCY)
    .option("--allow-folder <path>", "pictures may be read from here; may be repeated", several, [])
    .option(
      "--allow-image-host <host>",
      "pictures may be fetched from this host; may be repeated",
      several,
      [],
    )
    .option(
      "--stalled-after <seconds>",
      "silence after which a worker is taken for dead",
      wholeNumber(1),
      30,
    );
  addModelFlags(command).addHelpText("after", EXAMPLES).action(work);
}

async function work(flags: WorkerFlags): Promise<void> {
  if ([...flags.allowFolder, ...flags.allowImageHost].some((text) => text.trim() === "")) {
    throw new UsageError("--allow-folder, --allow-image-host: expected a name, got nothing");
  }
  const { signal, done } = interruptible(["SIGTERM"]);
  const queueing = await connect(flags.queue);
  const begun = performance.now();
  const counts = { results: 0, errors: 0, failed_tries: 0 };
  let toldTrouble = Number.NEGATIVE_INFINITY;
  const say = (text: string): void => {
    if (!flags.quiet && !flags.json) process.stderr.write(`llava worker: ${text}\n`);
  };
  keepHeapSmall();
  try {
    const loaded = await loadModel(flags, signal);
    const { model } = loaded;
    const worker = startWorking(queueing, {
      // Every question says how it is to be answered.
      asker: new Asker(loaded, { maxNewTokens: 1, temperature: 0, topP: 1 }),
      pictures: new IncomingPictures({ folders: flags.allowFolder, hosts: flags.allowImageHost }),
      facts: { model: flags.model, dtype: model.dtype },
      concurrency: flags.concurrency,
      stalledAfter: flags.stalledAfter * 1000,
      onResult: ({ ok }) => {
        counts.results++;
        if (!ok) counts.errors++;
      },
      onFailure: (message) => {
        counts.failed_tries++;
        say(message);
      },
      onTrouble: (message) => {
        if (performance.now() - toldTrouble < TROUBLE_PAUSE) return;
        toldTrouble = performance.now();
        say(message);
      },
    });
    say(`${flags.model} works for ${queueing.address}, ${flags.concurrency} questions at once`);
    await stopped(signal);
    say("finishing what runs; Ctrl-C again ends at once");
    await worker.close();
    await model.dispose();
    const seconds = (performance.now() - begun) / 1000;
    if (flags.json) process.stdout.write(`${JSON.stringify({ ...counts, seconds }, null, 2)}\n`);
    say(`${counts.results} results, ${counts.errors} of them errors; ${counts.failed_tries} tries failed`);
  } finally {
    done();
    await queueing.close();
  }
}

function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
