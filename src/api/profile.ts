import type { CommandTimes, StepTimes } from "../devices/step_times.ts";

/** What one kernel takes, in milliseconds, as means over the threads. */
export interface KernelProfile {
  kernel: string;
  /** How often it is run. */
  times: number;
  /** Computing. */
  ms: number;
  /** Threads that were done waited for the others, at its end. */
  waiting_ms: number;
  /** Bytes that have to be read and written, and multiplications and additions. */
  bytes: number;
  operations: number;
  /** What the operations are done on. */
  numbers: CommandTimes["numbers"];
}

/** Where the time of something goes, in milliseconds. `ms` is the sum of all others. */
export interface Profile {
  ms: number;
  /** JavaScript between steps: choosing tokens, and what else is done before the next one. */
  between_ms: number;
  /** JavaScript of the steps: noting kernels down, writing lists of commands, copying results. */
  record_ms: number;
  prepare_ms: number;
  read_ms: number;
  /** Until threads are at work, and until the caller goes on after them. */
  wake_ms: number;
  back_ms: number;
  /** In kernels, and at their ends. */
  kernels_ms: number;
  waiting_ms: number;
  /** Those that take longest first. */
  kernels: KernelProfile[];
}

/** A step, and the time from the end of the one before to its beginning. */
export interface SpacedStep {
  times: StepTimes;
  between: number;
}

/** Steps with the time between them. What is before the first is not known: 0. */
export function spaced(steps: readonly StepTimes[]): SpacedStep[] {
  return steps.map((times, i) => ({ times, between: i === 0 ? 0 : times.begin - steps[i - 1].end }));
}

/** How many tokens a step chose of each sequence: more than one where it looked ahead. */
export function tokensOf({ times }: SpacedStep): number {
  return times.commands.filter(({ kernel }) => kernel === "argmax").length;
}

/**
 * The half of some steps of one kind that is neither the fastest nor the slowest quarter, by what a token takes: a busy
 * machine disturbs some.
 */
export function middleHalf(steps: readonly SpacedStep[]): SpacedStep[] {
  const length = (step: SpacedStep): number =>
    (step.between + step.times.end - step.times.begin) / Math.max(1, tokensOf(step));
  const sorted = steps.toSorted((a, b) => length(a) - length(b));
  const cut = Math.floor(sorted.length / 4);
  return sorted.slice(cut, sorted.length - cut);
}

/** @param parts what the sums are divided by */
export function profileOf(steps: readonly SpacedStep[], parts: number): Profile {
  const sum = (part: (step: SpacedStep) => number): number =>
    steps.reduce((total, step) => total + part(step), 0) / parts;
  const kernels = kernelsOf(
    steps.flatMap(({ times }) => times.commands),
    parts,
  );
  const kernels_ms = kernels.reduce((total, { ms }) => total + ms, 0);
  const waiting_ms = kernels.reduce((total, { waiting_ms }) => total + waiting_ms, 0);
  return {
    ms: sum(({ times, between }) => between + times.end - times.begin),
    between_ms: sum(({ between }) => between),
    record_ms: sum(({ times }) => times.record),
    prepare_ms: sum(({ times }) => times.prepare),
    read_ms: sum(({ times }) => times.read),
    wake_ms: sum(({ times }) => times.wake),
    back_ms: sum(({ times }) => times.back),
    kernels_ms,
    waiting_ms,
    kernels,
  };
}

function kernelsOf(commands: readonly CommandTimes[], parts: number): KernelProfile[] {
  const kernels = new Map<string, KernelProfile>();
  for (const { kernel, runs, worked, waited, bytes, operations, numbers } of commands) {
    const empty = { kernel, times: 0, ms: 0, waiting_ms: 0, bytes: 0, operations: 0, numbers };
    const sums = kernels.get(kernel) ?? empty;
    kernels.set(kernel, sums);
    sums.times += runs;
    sums.ms += worked;
    sums.waiting_ms += waited;
    sums.bytes += bytes;
    sums.operations += operations;
  }
  const all = [...kernels.values()].map(({ kernel, numbers, times, ms, waiting_ms, bytes, operations }) => ({
    ...{ kernel, times: times / parts, ms: ms / parts, waiting_ms: waiting_ms / parts },
    ...{ bytes: bytes / parts, operations: operations / parts, numbers },
  }));
  return all.sort((a, b) => b.ms + b.waiting_ms - a.ms - a.waiting_ms);
}
