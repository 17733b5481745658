import type { Job, Worker } from "bullmq";
import type { Asker } from "../answer.ts";
import { Questioner } from "../batch/question.ts";
import { type Outcome, writeRecord } from "../batch/record.ts";
import { type IncomingPictures, mayComeLater } from "./incoming.ts";
import {
  KEPT_SECONDS,
  type QueuedQuestion,
  type QueuedResult,
  queuedQuestion,
  queueName,
  resultsKey,
} from "./job.ts";
import { PREFIX, type Queueing } from "./redis.ts";

export interface WorkOptions {
  asker: Asker;
  pictures: IncomingPictures;
  facts: { model: string; dtype: string };
  /** Questions under way at once. */
  concurrency: number;
  /** Milliseconds after which a worker that does not stir is taken for dead, and its questions given to others. */
  stalledAfter: number;
  /** Told of every result that was sent. */
  onResult: (outcome: Outcome) => void;
  /** Told of every try that failed. */
  onFailure: (message: string) => void;
  /** Told what is wrong with the queue, again and again as long as it is. */
  onTrouble: (message: string) => void;
}

/** Times that a question may be with a worker that dies before it is taken for the cause. */
const DEATHS = 3;

/** Takes questions from the queue and sends results back, until it is closed; `close` waits for what runs. */
export function startWorking({ bull, redis }: Queueing, options: WorkOptions): Worker {
  const { asker, pictures, facts, concurrency, stalledAfter, onResult, onFailure, onTrouble } = options;
  const questioner = new Questioner(asker);
  const answer = async (job: Job): Promise<void> => {
    const parsed = queuedQuestion.safeParse(job.data);
    if (!parsed.success) throw new bull.UnrecoverableError("this is no question of llava batch");
    const question = parsed.data;
    const { signal } = new AbortController();
    const load = () => Promise.all(question.images.map((image) => pictures.load(image, signal)));
    const outcome = await questioner.answer(question, load, signal);
    if (!outcome.ok && outcome.error.type !== "OptionError" && question.images.some(mayComeLater)) {
      throw new Error(outcome.error.message);
    }
    await send(question, outcome);
    onResult(outcome);
  };
  const send = async ({ batch, name, digest }: QueuedQuestion, outcome: Outcome): Promise<void> => {
    const result: QueuedResult = {
      name,
      digest,
      failed: !outcome.ok,
      tokens: outcome.ok
        ? { prompt: outcome.prompt_tokens, generated: outcome.generated_tokens }
        : { prompt: 0, generated: 0 },
      line: writeRecord(name, outcome, { ...facts, request: digest }),
    };
    const key = resultsKey(batch);
    await redis.multi().rpush(key, JSON.stringify(result)).expire(key, KEPT_SECONDS).exec();
  };
  const worker = new bull.Worker(queueName(facts.model), answer, {
    connection: redis,
    prefix: PREFIX,
    concurrency,
    lockDuration: stalledAfter,
    stalledInterval: stalledAfter,
    maxStalledCount: DEATHS,
    removeOnComplete: { count: 0 },
    removeOnFail: { age: KEPT_SECONDS },
  });
  worker.on("error", (error) => onTrouble(error.message));
  worker.on("failed", (job, error) => onFailure(`${job?.name ?? "a question"}: ${error.message}`));
  return worker;
}
