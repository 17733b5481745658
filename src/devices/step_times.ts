/*
 * Where the time of a step goes, in milliseconds. Times of threads are means over all of them, so that the parts add up
 * to what passed by the clock.
 */

/** What one kernel of a step took. */
export interface CommandTimes {
  /** The kernel's name, and what tells its uses apart. */
  readonly kernel: string;
  /** 1; 0 for the first of two programs of one kernel. */
  readonly runs: number;
  /** Computing. */
  readonly worked: number;
  /** Threads that were done waited for the others. */
  readonly waited: number;
  /** Bytes that it had to read and write. */
  readonly bytes: number;
  readonly operations: number;
  /** What the operations are done on. */
  readonly numbers: "float32" | "bfloat16" | "bytes";
}

/** What one step took. Where it was computed in several lists, `wake` and `back` are those of all of them. */
export interface StepTimes {
  /** When `step` was called and when its results were there, as `performance.now()` counts. */
  readonly begin: number;
  readonly end: number;
  /** Noting kernels down. */
  readonly record: number;
  /** Finding places in memory, and writing the list of commands. */
  readonly prepare: number;
  /** From handing the list over until a thread is at work. */
  readonly wake: number;
  /** From a thread's end until the caller goes on. */
  readonly back: number;
  /** Copying results. */
  readonly read: number;
  readonly commands: readonly CommandTimes[];
}

/** What a list of commands took, in milliseconds, as means over the threads. */
export interface ListTimes {
  readonly wake: number;
  readonly back: number;
  /** For each command. */
  readonly worked: Float64Array;
  readonly waited: Float64Array;
}
