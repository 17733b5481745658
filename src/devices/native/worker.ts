import type { KoffiModule } from "./koffi.ts";

/** Words of the memory by which the main thread and its workers talk. */
export const CONTROL = {
  /** Counts steps, and wakes the workers. */
  sequence: 0,
  /** Workers that are done with the step. */
  done: 1,
  /** Not zero: end. */
  stop: 2,
  words: 4,
} as const;

/** What a worker is told at its start. Addresses are numbers. */
export interface WorkerStart {
  /** Int32, of `CONTROL.words`. */
  readonly control: SharedArrayBuffer;
  /** Two float64: the addresses of the commands of the step, and of the program that runs them. */
  readonly commands: SharedArrayBuffer;
  readonly words: typeof CONTROL;
  /** How many workers there are. */
  readonly threads: number;
  /** Where koffi's module is, and a library that it can load. */
  readonly koffi: string;
  readonly library: string | null;
  /** Addresses: of the entry function, and of the step program's first and third argument. */
  readonly entry: number;
  readonly shared: number;
  readonly thread: number;
}

/** What a worker says: that it is ready, and, the last one of each step, that the step is done. */
export type WorkerMessage = "ready" | "done";

/**
 * A worker's whole life: waits for a step, runs it in machine code, and waits again. It is handed to the worker as
 * text, so that no file has to be found at run time, and must not use anything from around it.
 */
function live(require: (name: string) => unknown): void {
  const { parentPort, workerData } = require("node:worker_threads") as typeof import("node:worker_threads");
  const start = workerData as WorkerStart;
  const koffi = require(start.koffi) as KoffiModule;
  // Without this first, koffi has no stack for calls from this thread, and ends the process.
  koffi.load(start.library);
  const word = "uintptr_t";
  const enter = koffi.decode(BigInt(start.entry), koffi.proto("void", [word, word, word, word]));
  const control = new Int32Array(start.control);
  const commands = new Float64Array(start.commands);
  const { sequence, done, stop } = start.words;
  let seen = Atomics.load(control, sequence);
  parentPort?.postMessage("ready");
  for (;;) {
    Atomics.wait(control, sequence, seen);
    const now = Atomics.load(control, sequence);
    if (now === seen) continue;
    seen = now;
    if (Atomics.load(control, stop) !== 0) return;
    enter(commands[1], start.shared, commands[0], start.thread);
    if (Atomics.add(control, done, 1) === start.threads - 1) parentPort?.postMessage("done");
  }
}

/** The worker's program, as text. */
export const WORKER_SOURCE = `(${live})(require)`;
