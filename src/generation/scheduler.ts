import { OptionError } from "../base/errors.ts";
import { nextTurn } from "../devices/next_turn.ts";
import { KVCache } from "../nn/kv_cache.ts";
import { areForeseeable, LookAhead } from "./look_ahead.ts";
import type { RaggedModel } from "./ragged_model.ts";
import { computeAhead, computeStep, type SequenceOutput, type Share, type Traced } from "./scheduler_step.ts";
import type { Sequence } from "./sequence.ts";

/** Rows that one step computes at most. A longer prompt is cut into chunks, so that others go on meanwhile. */
const STEP_ROWS = 512;

/** What a group says after it has chosen: whether it goes on, or that it goes on when something else is done. */
export type Choice = boolean | { until: Promise<void> };

/**
 * Sequences that choose their next tokens together: the rows of one `generate`, the beams of a search.
 * All of them are computed before `choose` is called.
 */
export interface Group {
  readonly sequences: readonly Sequence[];
  readonly signal?: AbortSignal;
  /**
   * Tokens of its longest row, which rotary frequencies may depend on; where rows that have ended are to count, too.
   * Without: those of the longest sequence.
   */
  readonly reach?: number;
  /** Tokens that it chooses of each sequence at most; without: nobody knows. */
  readonly left?: number;
  /** What it wants to see of the layers; without: nothing. */
  readonly traced?: Traced;
  /** It looks at the likeliest tokens only, not at logits, which then need not leave the device. */
  readonly greedy?: boolean;
  /**
   * Called with what each sequence gave, in the sequences' order. Feeds those that go on, or ends the group.
   * With `until`, the group waits and others go on meanwhile; its sequences must have been fed when that resolves.
   */
  choose(outputs: readonly SequenceOutput[]): Promise<Choice> | Choice;
  /**
   * Passes on what was chosen and nobody has been told of. Called while the device computes the next step, so that what
   * is made of tokens takes no time of its own.
   */
  readonly tell?: () => void;
}

/** A group in work. */
interface Job {
  group: Group;
  /** What sequences gave that have been computed before others of their group, or in part. */
  outputs: Map<Sequence, SequenceOutput>;
  /** It does something else before it goes on. */
  waits: boolean;
  /** What went wrong while a step was computed, which must end first: it writes to the group's caches. */
  failure?: { reason: unknown };
  done: () => void;
  failed: (reason: unknown) => void;
}

interface JobShare extends Share {
  job: Job;
}

/**
 * The only decoding loop. Groups come and go between steps; a step computes the next rows of all of them at once.
 */
export class Scheduler {
  readonly #model: RaggedModel;
  readonly #jobs = new Set<Job>();
  readonly #lookAhead = new LookAhead();
  #running = false;

  constructor(model: RaggedModel) {
    this.#model = model;
  }

  /** Groups in work. */
  get size(): number {
    return this.#jobs.size;
  }

  /**
   * Adds a group, whose sequences have been fed, and resolves when it ends.
   * Rejects with the signal's reason, or with what `choose` threw; other groups go on.
   */
  add(group: Group): Promise<void> {
    const result = new Promise<void>((done, failed) => {
      this.#jobs.add({ group, outputs: new Map(), waits: false, done, failed });
    });
    // On a later turn, so that groups that are added together are computed together.
    queueMicrotask(() => this.#run());
    return result;
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    while ([...this.#jobs].some(({ waits }) => !waits)) await this.#step();
    this.#running = false;
  }

  /** Computes the next rows, and lets every group choose whose sequences are all ready. */
  async #step(): Promise<void> {
    const ready = [...this.#jobs].filter(({ waits }) => !waits);
    for (const job of ready) if (job.group.signal?.aborted) this.#fail(job, job.group.signal.reason);
    const shares = this.#shares();
    if (shares.length === 0) {
      for (const job of ready)
        this.#fail(job, new OptionError("a group of sequences has nothing to compute"));
      return;
    }
    const jobs = new Set(shares.map(({ job }) => job));
    const single = areForeseeable(shares, this.#model.promptsApart);
    let steps: SequenceOutput[][];
    try {
      const ahead = await makeRoom(shares, single ? this.#lookAhead.rows(shares) : 0);
      const signal = jobs.size === 1 ? shares[0].job.group.signal : undefined;
      const begin = performance.now();
      [steps] = await Promise.all([this.#compute(shares, ahead, signal), this.#tell(ready)]);
      if (single) this.#lookAhead.took(shares.length, (performance.now() - begin) / steps.length);
    } catch (error) {
      for (const job of jobs) this.#fail(job, error);
      return;
    }
    let given = shares.map((share, s) => ({ share, s }));
    for (const [i, outputs] of steps.entries()) {
      if (i > 0) given = given.filter(({ share, s }) => this.#confirms(share, steps[i - 1][s]));
      for (const { share, s } of given) this.#collect(share, outputs[s], i === 0);
      await Promise.all([...new Set(given.map(({ share }) => share.job))].map((job) => this.#choose(job)));
    }
  }

  /** What the next row of each sequence gives, or rows, and what those do that are computed ahead. */
  async #compute(
    shares: readonly JobShare[],
    ahead: number,
    signal: AbortSignal | undefined,
  ): Promise<SequenceOutput[][]> {
    if (ahead > 0) return computeAhead(this.#model, shares, ahead, signal);
    return [await computeStep(this.#model, shares, signal)];
  }

  /** Whether a group goes on with the token that was foreseen. */
  #confirms({ job, sequence }: JobShare, { best: [token] }: SequenceOutput): boolean {
    return this.#jobs.has(job) && !job.waits && sequence.confirm(token);
  }

  /** @param own whether it is what the share's own rows give, and not those that were computed ahead */
  #collect(share: JobShare, output: SequenceOutput, own: boolean): void {
    const { job, sequence, prompt } = share;
    collect(job.outputs, sequence, output);
    if (this.#sharesPages(share)) this.#model.prompts.store(sequence, own && prompt && sequence.given === 0);
  }

  /** Lets groups pass on what they have chosen, as soon as the device is at work. */
  async #tell(jobs: readonly Job[]): Promise<void> {
    const telling = jobs.filter(({ group }) => group.tell);
    if (telling.length === 0) return;
    await nextTurn();
    for (const job of telling) if (this.#jobs.has(job)) tell(job);
  }

  /** Ends a group with an error. */
  #fail(job: Job, reason: unknown): void {
    this.#jobs.delete(job);
    tell(job);
    job.failed(reason);
  }

  /**
   * Which rows come next: decoding sequences first, which have one each, then prompts as far as there is room. What
   * another prompt is about to compute is waited for.
   */
  #shares(): JobShare[] {
    const waiting = [...this.#jobs]
      .filter(({ waits }) => !waits)
      .flatMap((job) => job.group.sequences.map((sequence) => ({ job, sequence })))
      .filter(({ sequence }) => sequence.waiting > 0);
    waiting.sort((a, b) => Number(a.sequence.waiting > 1) - Number(b.sequence.waiting > 1));
    let room = STEP_ROWS;
    const shares: JobShare[] = [];
    const underWay = new Set<string>();
    for (const { job, sequence } of waiting) {
      if (room === 0) break;
      const prompt = sequence.given > 0;
      if (this.#sharesPages({ prompt }) && !this.#model.prompts.advance(sequence, underWay)) continue;
      const alike = prompt && this.#model.promptsApart ? sequence.given : sequence.waiting;
      const rows = Math.min(alike, sequence.chunk, room);
      const { traced, greedy, left } = job.group;
      shares.push({ job, sequence, rows, longest: longestOf(job.group), traced, greedy, left, prompt });
      room -= rows;
    }
    return shares;
  }

  /** Whether a sequence's next pages may be those of another's prompt. */
  #sharesPages({ prompt }: Pick<Share, "prompt">): boolean {
    return prompt || !this.#model.promptsApart;
  }

  async #choose(job: Job): Promise<void> {
    const { group, outputs, failure } = job;
    if (failure) return this.#fail(job, failure.reason);
    if (group.signal?.aborted) return this.#fail(job, group.signal.reason);
    const due = group.sequences.filter((sequence) => outputs.has(sequence) || sequence.waiting > 0);
    if (due.some(({ waiting }) => waiting > 0)) return;
    const given = due.map((sequence) => outputs.get(sequence) as SequenceOutput);
    outputs.clear();
    try {
      const choice = await group.choose(given);
      if (choice === true) return;
      if (choice !== false) return this.#wait(job, choice.until);
      // What comes next begins with what was said, if it is one conversation.
      if (!this.#model.promptsApart) for (const sequence of due) this.#model.prompts.store(sequence, true);
      this.#jobs.delete(job);
      job.done();
    } catch (error) {
      this.#fail(job, error);
    }
  }

  /** Leaves the group out until its other work is done. */
  #wait(job: Job, until: Promise<void>): void {
    job.waits = true;
    until.then(
      () => {
        job.waits = false;
        this.#run();
      },
      (error) => this.#fail(job, error),
    );
  }
}

/** Makes room for the next rows, and for some ahead of them where there is room. -> how many rows ahead */
async function makeRoom(shares: readonly Share[], ahead: number): Promise<number> {
  const caches = shares.map(({ sequence }) => sequence.cache);
  const prepare = (more: number): Promise<void> =>
    KVCache.prepare(
      caches,
      shares.map(({ rows }) => rows + more),
    );
  await prepare(0);
  if (ahead === 0) return 0;
  return prepare(ahead).then(
    () => ahead,
    () => 0,
  );
}

/** An error of who is told is the group's own: others go on. */
function tell(job: Job): void {
  try {
    job.group.tell?.();
  } catch (reason) {
    job.failure ??= { reason };
  }
}

/** Adds what a step gave of a sequence to what earlier ones gave of the same input. */
function collect(outputs: Map<Sequence, SequenceOutput>, sequence: Sequence, output: SequenceOutput): void {
  const before = outputs.get(sequence);
  before?.logits.push(...output.logits);
  before?.best.push(...output.best);
  before?.trace.push(...output.trace);
  if (!before) outputs.set(sequence, output);
}

function longestOf({ reach, sequences }: Group): number {
  return reach ?? Math.max(...sequences.map((sequence) => sequence.reach));
}
