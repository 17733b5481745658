import type { Asker } from "../answer.ts";
import type { Plan } from "./plan.ts";
import { loadPictures, Questioner } from "./question.ts";
import { type Outcome, writeRecord } from "./record.ts";
import { type BatchRequest, type BrokenRequest, identityOf } from "./request.ts";
import type { ResultsFile } from "./results.ts";

export interface LocalRunOptions {
  asker: Asker;
  /** What records say of the model. */
  facts: { model: string; dtype: string };
  /** The folder that pictures' paths begin from. */
  folder: string | undefined;
  /** Questions under way at once: their tokens are computed together. */
  concurrency: number;
  /** Told of every record that is on the disk. */
  onRecord: (outcome: Outcome) => void;
  /** When it aborts, no new question is begun; what runs is finished. */
  stop: AbortSignal;
}

/**
 * Answers what a plan has left, on this machine.
 *
 * @throws the first failure that is not a question's own; what ran besides is ended
 */
export async function runLocally(plan: Plan, options: LocalRunOptions): Promise<void> {
  const questioner = new Questioner(options.asker);
  const questions = plan.questions();
  const running = new Set<AbortController>();
  let failed: { error: unknown } | undefined;
  const answerOneAfterTheOther = async (): Promise<void> => {
    while (!options.stop.aborted && failed === undefined) {
      const { value, done } = await questions.next();
      if (done) return;
      const controller = new AbortController();
      running.add(controller);
      try {
        await answerOne(questioner, value, plan.results, options, controller.signal);
      } finally {
        running.delete(controller);
      }
    }
  };
  const fail = (error: unknown): void => {
    failed ??= { error };
    for (const controller of running) controller.abort(error);
  };
  await Promise.all(Array.from({ length: options.concurrency }, () => answerOneAfterTheOther().catch(fail)));
  await questions.return(undefined);
  if (failed !== undefined) throw failed.error;
}

async function answerOne(
  questioner: Questioner,
  request: BatchRequest | BrokenRequest,
  results: ResultsFile,
  { facts, folder, onRecord }: LocalRunOptions,
  signal: AbortSignal,
): Promise<void> {
  const outcome =
    "trouble" in request
      ? brokenOutcome(request)
      : await questioner.answer(request, () => loadPictures(request.images, folder, signal), signal);
  const { name, digest } = request;
  const line = writeRecord(name, outcome, { ...facts, request: digest });
  await results.add(identityOf(name), line, { digest, failed: !outcome.ok });
  onRecord(outcome);
}

/** What is recorded for a line that asks nothing. */
export function brokenOutcome({ trouble }: BrokenRequest): Outcome {
  return { ok: false, error: { type: "LineError", message: trouble } };
}
