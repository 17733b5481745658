import { OptionError } from "../base/errors.ts";
import type { Value } from "../devices/device.ts";
import { mergeRows, takeRows } from "../nn/functional.ts";
import { Rows } from "../nn/rows.ts";
import type { RaggedModel } from "./ragged_model.ts";
import type { Input, Sequence } from "./sequence.ts";

/** Rows that one step computes at most. A longer prompt is cut into chunks, so that others go on meanwhile. */
const STEP_ROWS = 512;

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
  /**
   * Called with the logits of each sequence's last row, [V] each. Feeds the sequences that go on, or ends the group.
   *
   * @returns whether the group goes on
   */
  choose(logits: readonly Float32Array[]): Promise<boolean> | boolean;
}

/** A group in work. */
interface Job {
  group: Group;
  /** Logits of sequences that are ready before others of their group. */
  ready: Map<Sequence, Float32Array>;
  done: () => void;
  failed: (reason: unknown) => void;
}

/** The rows that one sequence contributes to a step. */
interface Share {
  job: Job;
  sequence: Sequence;
  rows: number;
}

/**
 * The only decoding loop. Groups come and go between steps; a step computes the next rows of all of them at once.
 */
export class Scheduler {
  readonly #model: RaggedModel;
  readonly #jobs = new Set<Job>();
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
      this.#jobs.add({ group, ready: new Map(), done, failed });
    });
    // On a later turn, so that groups that are added together are computed together.
    queueMicrotask(() => this.#run());
    return result;
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    while (this.#jobs.size > 0) await this.step();
    this.#running = false;
  }

  /** Computes the next rows, and lets every group choose whose sequences are all ready. */
  async step(): Promise<void> {
    for (const job of this.#jobs) if (job.group.signal?.aborted) this.abort(job, job.group.signal.reason);
    const shares = this.#shares();
    if (shares.length === 0) {
      for (const job of this.#jobs)
        this.abort(job, new OptionError("a group of sequences has nothing to compute"));
      return;
    }
    const jobs = new Set(shares.map(({ job }) => job));
    try {
      for (const { sequence, rows } of shares) await sequence.cache.prepare(rows);
      await this.#compute(shares, jobs.size === 1 ? shares[0].job.group.signal : undefined);
    } catch (error) {
      for (const job of jobs) this.abort(job, error);
      return;
    }
    await Promise.all([...jobs].map((job) => this.#choose(job)));
  }

  /** Ends a group with an error. */
  private abort(job: Job, reason: unknown): void {
    this.#jobs.delete(job);
    job.failed(reason);
  }

  /** Which rows come next: decoding sequences first, which have one each, then prompts as far as there is room. */
  #shares(): Share[] {
    const waiting = [...this.#jobs].flatMap((job) =>
      job.group.sequences
        .filter(({ waiting }) => waiting > 0)
        .map((sequence) => ({ job, sequence, rows: sequence.waiting })),
    );
    waiting.sort((a, b) => Number(a.rows > 1) - Number(b.rows > 1));
    let room = STEP_ROWS;
    const shares: Share[] = [];
    for (const share of waiting) {
      const rows = Math.min(share.rows, room);
      if (rows > 0) shares.push({ ...share, rows });
      room -= rows;
    }
    return shares;
  }

  async #compute(shares: readonly Share[], signal?: AbortSignal): Promise<void> {
    const model = this.#model;
    const ready: Share[] = [];
    const tensors = await model.device.step(
      () => {
        const inputs = shares.map(({ sequence, rows }) => sequence.take(rows));
        const segments = shares.map(({ job, sequence }, s) => ({
          cache: sequence.cache,
          positions: inputs[s].positions,
          longest: longestOf(job.group),
        }));
        const rows = new Rows(model.device, model.pool, segments);
        const hidden = model.hidden(embedded(model, inputs), rows); // [T, D]
        const last: number[] = [];
        for (const [s, share] of shares.entries()) {
          if (share.sequence.waiting > 0) continue;
          ready.push(share);
          last.push(rows.ranges[s].first + rows.ranges[s].rows - 1);
        }
        return last.length > 0 ? [model.logits(takeRows(hidden, last))] : [];
      },
      { signal },
    );
    for (const [i, { job, sequence }] of ready.entries()) {
      const V = tensors[0].shape[1];
      job.ready.set(sequence, (tensors[0].data as Float32Array).slice(i * V, i * V + V));
    }
  }

  async #choose(job: Job): Promise<void> {
    const { group, ready } = job;
    const due = group.sequences.filter((sequence) => ready.has(sequence) || sequence.waiting > 0);
    if (due.some((sequence) => !ready.has(sequence))) return;
    const logits = due.map((sequence) => ready.get(sequence) as Float32Array);
    ready.clear();
    try {
      if (await group.choose(logits)) return;
      this.#jobs.delete(job);
      job.done();
    } catch (error) {
      this.abort(job, error);
    }
  }
}

function longestOf({ reach, sequences }: Group): number {
  return reach ?? Math.max(...sequences.map((sequence) => sequence.reach));
}

/** The rows before the first layer: embeddings of tokens, with the rows of other sources in their places. [T, D] */
function embedded(model: RaggedModel, inputs: readonly Input[]): Value {
  const ids = inputs.flatMap(({ ids }) => ids);
  const sources = new Map<Value, number[]>();
  let first = 0;
  for (const { source, index, ids: own } of inputs) {
    if (source && index) {
      const rows = sources.get(source) ?? Array<number>(ids.length).fill(-1);
      for (const [i, row] of index.entries()) rows[first + i] = row;
      sources.set(source, rows);
    }
    first += own.length;
  }
  let x = model.embed(ids);
  for (const [source, index] of sources) if (index.some((row) => row >= 0)) x = mergeRows(x, source, index);
  return x;
}
