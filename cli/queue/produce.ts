import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Queue } from "bullmq";
import { brokenOutcome } from "../batch/local.ts";
import type { Plan } from "../batch/plan.ts";
import { failure, type Outcome, writeRecord } from "../batch/record.ts";
import { type BatchRequest, type BrokenRequest, identityOf } from "../batch/request.ts";
import type { Counted } from "../batch/summary.ts";
import {
  BATCHES_KEY,
  batchKey,
  jobId,
  KEPT_SECONDS,
  type QueuedQuestion,
  type QueuedResult,
  queuedResult,
  queueName,
  resultsKey,
} from "./job.ts";
import { packImages } from "./outgoing.ts";
import { PREFIX, type Queueing } from "./redis.ts";

export interface ProduceOptions {
  model: string;
  /** The folder that pictures' paths begin from. */
  folder: string | undefined;
  /** Tries of a question before it is dead. */
  attempts: number;
  onRecord: (record: Counted) => void;
  /** Told once where no worker is at work. */
  onIdle: () => void;
  /** When it aborts, nothing more is waited for: what is in the queue goes on without. */
  stop: AbortSignal;
}

/** Most questions of one batch in the queue, and most bytes of pictures. */
const MAX_JOBS = 1024;
const MAX_BYTES = 256 * 2 ** 20;
/** Milliseconds between looks at what has come back, and between looks at what has not. */
const LOOK = 50;
const LOOK_AROUND = 2000;
/** Results that are taken at once. */
const AT_ONCE = 100;
/** Milliseconds before the second try; doubled for each further one. */
const BACKOFF = 1000;

interface Outstanding {
  request: BatchRequest;
  bytes: number;
}

/** Whose results are whose: the same file on the same machine is the same batch, also after its death. */
export function batchId(out: string): string {
  return createHash("sha256")
    .update(`${hostname()}\n${resolve(out)}`)
    .digest("hex")
    .slice(0, 16);
}

/**
 * Puts what a plan has left into the queue, and writes what comes back. Every step may be done twice, and is done again
 * after a death; a result is written only where its key has none.
 */
export class Producer {
  readonly #queueing: Queueing;
  readonly #plan: Plan;
  readonly #options: ProduceOptions;
  readonly #queue: Queue;
  readonly #batch: string;
  readonly #outstanding = new Map<string, Outstanding>();
  /** Results of an earlier call that come before their question is read again. */
  readonly #early = new Map<string, QueuedResult>();
  #bytes = 0;
  #lookedAround = performance.now();
  #saidIdle = false;

  constructor(queueing: Queueing, plan: Plan, options: ProduceOptions) {
    this.#queueing = queueing;
    this.#plan = plan;
    this.#options = options;
    this.#batch = batchId(plan.results.path);
    this.#queue = new queueing.bull.Queue(queueName(options.model), {
      connection: queueing.redis,
      prefix: PREFIX,
    });
  }

  async run(): Promise<void> {
    const { stop } = this.#options;
    try {
      await this.#tell();
      // What came while nobody waited: such questions are not to be put into the queue again.
      while (await this.#collect());
      for await (const request of this.#plan.questions()) {
        if (stop.aborted) return;
        await this.#take(request);
        while (this.#isFull() && !stop.aborted) await this.#wait();
      }
      while (this.#outstanding.size > 0 && !stop.aborted) await this.#wait();
    } finally {
      await this.#tell();
      await this.#queue.close();
    }
  }

  #isFull(): boolean {
    return this.#outstanding.size >= MAX_JOBS || this.#bytes >= MAX_BYTES;
  }

  async #take(request: BatchRequest | BrokenRequest): Promise<void> {
    const identity = identityOf(request.name);
    const early = this.#early.get(identity);
    this.#early.delete(identity);
    if ("trouble" in request) return this.#fail(request, brokenOutcome(request));
    if (early?.digest === request.digest) return this.#write(early);
    await this.#enqueue(request);
  }

  async #enqueue(request: BatchRequest): Promise<void> {
    const { name, digest, prompt, sampling } = request;
    const packed = await packImages(request.images, this.#options.folder).catch(failure);
    if ("ok" in packed) return this.#fail(request, packed);
    const { images, bytes } = packed;
    const question: QueuedQuestion = { batch: this.#batch, name, digest, images, prompt, sampling };
    const id = jobId(this.#batch, name, digest);
    // A job that is dead since an earlier call is begun anew; one that waits or runs is left as it is.
    if ((await this.#queue.getJobState(id)) === "failed") await this.#queue.remove(id);
    await this.#queue.add(identityOf(name).slice(0, 100), question, {
      jobId: id,
      attempts: this.#options.attempts,
      backoff: { type: "exponential", delay: BACKOFF },
    });
    this.#outstanding.set(identityOf(name), { request, bytes });
    this.#bytes += bytes;
  }

  async #wait(): Promise<void> {
    const came = await this.#collect();
    // Also while results come without a pause: somebody may want to know how far it is.
    if (performance.now() - this.#lookedAround > LOOK_AROUND) {
      this.#lookedAround = performance.now();
      await this.#lookForDead();
      await this.#lookForLost();
      await this.#tell();
    }
    if (!came) await sleep(LOOK);
  }

  /** Takes what has come back. It leaves Redis when it is on the disk. */
  async #collect(): Promise<boolean> {
    const key = resultsKey(this.#batch);
    const texts = await this.#queueing.redis.lrange(key, 0, AT_ONCE - 1);
    if (texts.length === 0) return false;
    await Promise.all(texts.map((text) => this.#receive(text)));
    await this.#queueing.redis.ltrim(key, texts.length, -1);
    return true;
  }

  async #receive(text: string): Promise<void> {
    const parsed = queuedResult.safeParse(JSON.parse(text));
    if (!parsed.success) return;
    const result = parsed.data;
    const identity = identityOf(result.name);
    const asked = this.#outstanding.get(identity);
    if (asked?.request.digest === result.digest) return this.#write(result);
    if (asked === undefined && !this.#plan.results.has(identity) && this.#early.size < MAX_JOBS) {
      this.#early.set(identity, result);
    }
  }

  async #write({ name, digest, failed, line, tokens }: QueuedResult): Promise<void> {
    const identity = identityOf(name);
    this.#bytes -= this.#outstanding.get(identity)?.bytes ?? 0;
    this.#outstanding.delete(identity);
    await this.#plan.results.add(identity, line, { digest, failed });
    this.#options.onRecord({ ok: !failed, prompt_tokens: tokens.prompt, generated_tokens: tokens.generated });
  }

  async #fail({ name, digest }: BatchRequest | BrokenRequest, outcome: Outcome): Promise<void> {
    const line = writeRecord(name, outcome, { model: this.#options.model, request: digest });
    await this.#write({ name, digest, failed: true, line, tokens: { prompt: 0, generated: 0 } });
  }

  /** Jobs that nobody tries any more. They stay in the queue, to be looked at with --dead. */
  async #lookForDead(): Promise<void> {
    for (let from = 0; ; from += AT_ONCE) {
      const jobs = await this.#queue.getFailed(from, from + AT_ONCE - 1);
      for (const job of jobs) {
        const { batch, name, digest } = job.data as Partial<QueuedQuestion>;
        if (batch !== this.#batch || name === undefined) continue;
        const asked = this.#outstanding.get(identityOf(name));
        if (asked === undefined || asked.request.digest !== digest) continue;
        const tries = `${job.attemptsMade} ${job.attemptsMade === 1 ? "try" : "tries"}`;
        const message = `${job.failedReason} (${tries})`;
        await this.#fail(asked.request, { ok: false, error: { type: "DeadJobError", message } });
      }
      if (jobs.length < AT_ONCE) return;
    }
  }

  /** Jobs that Redis has lost are put there again: those whose result would be here if they were done. */
  async #lookForLost(): Promise<void> {
    const all = [...this.#outstanding.values()];
    const states = await Promise.all(
      all.map(({ request: { name, digest } }) => this.#queue.getJobState(jobId(this.#batch, name, digest))),
    );
    while (await this.#collect());
    for (const [i, asked] of all.entries()) {
      if (states[i] !== "unknown") continue;
      if (this.#outstanding.get(identityOf(asked.request.name)) !== asked) continue;
      this.#bytes -= asked.bytes;
      await this.#enqueue(asked.request);
    }
  }

  /** Says how far the batch is, for --status; and to whoever waits, where nobody works. */
  async #tell(): Promise<void> {
    const { total, results } = this.#plan;
    const { redis } = this.#queueing;
    const key = batchKey(this.#batch);
    const facts = {
      ...results.counts,
      total,
      out: resolve(results.path),
      host: hostname(),
      seen: Date.now(),
    };
    await redis
      .multi()
      .hset(key, { ...facts, model: this.#options.model })
      .expire(key, KEPT_SECONDS)
      .sadd(BATCHES_KEY, this.#batch)
      .exec();
    if (this.#saidIdle || this.#outstanding.size === 0) return;
    if ((await this.#queue.getWorkersCount()) > 0) return;
    this.#saidIdle = true;
    this.#options.onIdle();
  }
}
