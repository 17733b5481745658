import type { Queue } from "bullmq";
import { z } from "zod";
import { oneLine } from "../errors.ts";
import { BATCHES_KEY, batchKey, queuedQuestion, queueName } from "./job.ts";
import { PREFIX, type Queueing } from "./redis.ts";

const told = z.object({
  out: z.string(),
  host: z.string(),
  model: z.string(),
  total: z.coerce.number(),
  done: z.coerce.number(),
  failed: z.coerce.number(),
  seen: z.coerce.number(),
});

/** How far the batches of a queue are. */
export interface Status {
  queue: string;
  workers: number;
  waiting: number;
  running: number;
  /** To be tried again after a while. */
  delayed: number;
  dead: number;
  batches: { out: string; host: string; total: number; done: number; errors: number; seen: string }[];
}

/** A question that nobody tries any more. */
export interface DeadJob {
  key: string | number | null;
  prompt: string | null;
  error: string;
  tries: number;
  died: string | null;
}

/** Most dead jobs that are listed. */
const MOST_DEAD = 10_000;

export async function readStatus(queueing: Queueing, model: string): Promise<Status> {
  return withQueue(queueing, model, async (queue) => {
    const counts = await queue.getJobCounts("waiting", "active", "delayed", "failed");
    const ids = await queueing.redis.smembers(BATCHES_KEY);
    const all = await Promise.all(ids.sort().map((id) => queueing.redis.hgetall(batchKey(id))));
    const batches = all.flatMap((fields) => {
      const { success, data } = told.safeParse(fields);
      return success && data.model === model ? [data] : [];
    });
    return {
      queue: model,
      workers: await queue.getWorkersCount(),
      waiting: counts.waiting,
      running: counts.active,
      delayed: counts.delayed,
      dead: counts.failed,
      batches: batches.map(({ model: _, failed, seen, ...batch }) => ({
        ...batch,
        errors: failed,
        seen: new Date(seen).toISOString(),
      })),
    };
  });
}

export async function readDead(queueing: Queueing, model: string): Promise<DeadJob[]> {
  return withQueue(queueing, model, async (queue) => {
    const jobs = await queue.getFailed(0, MOST_DEAD - 1);
    return jobs.map(({ data, failedReason, attemptsMade, finishedOn }) => {
      const question = queuedQuestion.safeParse(data);
      return {
        key: question.data?.name.value ?? null,
        prompt: question.data?.prompt ?? null,
        error: failedReason,
        tries: attemptsMade,
        died: finishedOn === undefined ? null : new Date(finishedOn).toISOString(),
      };
    });
  });
}

export function statusText({ queue, workers, waiting, running, delayed, dead, batches }: Status): string {
  const lines = batches.map(
    ({ out, host, total, done, errors, seen }) =>
      `  ${host}:${out}: ${done} of ${total} results, ${errors} of them errors (${seen})`,
  );
  const counts = `workers: ${workers}; questions: ${running} running, ${waiting} waiting, ${delayed} to be tried again, ${dead} dead`;
  return `${[`${queue}: ${counts}`, ...lines].join("\n")}\n`;
}

export function deadText(jobs: readonly DeadJob[]): string {
  if (jobs.length === 0) return "no dead questions\n";
  return jobs
    .map(
      ({ key, error, tries, died }) => `${key ?? "?"}: ${oneLine(error)} (tries: ${tries}, ${died ?? "?"})\n`,
    )
    .join("");
}

async function withQueue<T>(
  { bull, redis }: Queueing,
  model: string,
  work: (queue: Queue) => Promise<T>,
): Promise<T> {
  const queue = new bull.Queue(queueName(model), { connection: redis, prefix: PREFIX });
  try {
    return await work(queue);
  } finally {
    await queue.close();
  }
}
