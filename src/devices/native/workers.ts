import { Worker } from "node:worker_threads";
import { UnsupportedError } from "../../base/errors.ts";
import { SCRATCH_BYTES, SHARED, THREAD } from "../../codegen/step.ts";
import type { ListTimes } from "../step_times.ts";
import { listTimes, logBytes, openClock } from "./clock.ts";
import type { NativeEngine } from "./engine.ts";
import { koffiPath } from "./koffi.ts";
import type { Region } from "./memory.ts";
import { CONTROL, WORKER_SOURCE, type WorkerMessage, type WorkerStart } from "./worker.ts";

/** Pools that are alive: a process that ends must first let their threads out of machine code. */
const living = new Set<NativeWorkers>();
let watching = false;

function watchExit(): void {
  if (watching) return;
  watching = true;
  process.on("exit", () => {
    for (const pool of living) pool.abort();
  });
}

/** A step that is being computed. */
interface Running {
  resolve(): void;
  reject(error: Error): void;
}

/**
 * Threads that compute the steps of one device. The calling thread never computes and never blocks. One step at a
 * time.
 */
export class NativeWorkers {
  readonly threads: number;
  /** The threads themselves. */
  readonly workers: readonly Worker[];
  readonly #engine: NativeEngine;
  readonly #memory: Region;
  readonly #control: Int32Array;
  readonly #commands: Float64Array;
  #running: Running | undefined;
  #failure: Error | undefined;
  #disposed: Promise<void> | undefined;
  #clock: (() => number) | undefined;

  private constructor(
    engine: NativeEngine,
    workers: Worker[],
    memory: Region,
    start: Pick<WorkerStart, "control" | "commands">,
  ) {
    this.#engine = engine;
    this.threads = workers.length;
    this.workers = workers;
    this.#memory = memory;
    this.#control = new Int32Array(start.control);
    this.#commands = new Float64Array(start.commands);
    for (const worker of workers) {
      worker.on("message", (message: WorkerMessage) => message === "done" && this.#finish());
      worker.on("error", (error) => this.#fail(error));
      worker.on("exit", () => this.#fail(new UnsupportedError("a compute thread has ended unexpectedly")));
      // After the listeners, as they too keep the process alive.
      worker.unref();
    }
    living.add(this);
    watchExit();
  }

  /** Starts `threads` threads; ready when they all are. */
  static async start(
    engine: NativeEngine,
    threads: number,
    scratchBytes = SCRATCH_BYTES,
  ): Promise<NativeWorkers> {
    const scratchAt = SHARED.bytes + threads * THREAD.bytes;
    const stride = Math.ceil(scratchBytes / 4096) * 4096;
    const first = Math.ceil(scratchAt / 4096) * 4096;
    const memory = engine.allocate(first + threads * stride);
    const view = new DataView(memory.array(Uint8Array, 0, scratchAt).buffer);
    const shared = {
      control: new SharedArrayBuffer(4 * CONTROL.words),
      commands: new SharedArrayBuffer(16),
    };
    const workers = Array.from({ length: threads }, (_, i) => {
      const thread = SHARED.bytes + i * THREAD.bytes;
      view.setBigUint64(thread + THREAD.scratch, BigInt(memory.address + first + i * stride), true);
      view.setBigUint64(thread + THREAD.yield, BigInt(engine.system.yieldFunction), true);
      const workerData: WorkerStart = {
        ...shared,
        words: CONTROL,
        threads,
        koffi: koffiPath(),
        library: process.platform === "win32" ? "kernel32.dll" : null,
        entry: engine.entry,
        shared: memory.address,
        thread: memory.address + thread,
      };
      return new Worker(WORKER_SOURCE, { eval: true, workerData, execArgv: [], name: `llava compute ${i}` });
    });
    try {
      await Promise.all(workers.map(ready));
    } catch (error) {
      await Promise.all(workers.map((worker) => worker.terminate()));
      memory.free();
      throw error;
    }
    return new NativeWorkers(engine, workers, memory, shared);
  }

  /**
   * Runs a list of commands; resolves when all are done, or when `abort` has made the threads leave.
   *
   * @param address of a list as `writeCommands` makes it
   * @throws UnsupportedError where a thread has ended, now or before
   */
  run(address: number, count: number): Promise<void> {
    return this.#run(address, count, this.#engine.step);
  }

  /** As `run`, and tells what each command took. */
  async runTimed(address: number, count: number): Promise<ListTimes> {
    this.#clock ??= openClock(this.#engine);
    const clock = this.#clock;
    const stride = logBytes(count);
    const memory = this.#engine.allocate(stride * this.threads);
    try {
      const view = new DataView(this.#words().buffer);
      for (let i = 0; i < this.threads; i++) {
        const thread = SHARED.bytes + i * THREAD.bytes;
        view.setBigUint64(thread + THREAD.log, BigInt(memory.address + i * stride), true);
      }
      const step = this.#engine.timedStep;
      const [begin, from] = [performance.now(), clock()];
      await this.#run(address, count, step);
      const span = { from, to: clock(), ms: performance.now() - begin };
      const logs = Array.from({ length: this.threads }, (_, i) =>
        memory.array(Uint32Array, i * stride, stride / 4),
      );
      return listTimes(logs, count, span);
    } finally {
      memory.free();
    }
  }

  #run(address: number, count: number, step: number): Promise<void> {
    if (this.#disposed) throw new UnsupportedError("the compute threads have been disposed of");
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#running) throw new UnsupportedError("a step was begun before the one before it had ended");
    const words = this.#words();
    words[SHARED.arrived / 4] = 0;
    words[SHARED.abort / 4] = 0;
    for (let i = 0; i < this.threads; i++) {
      const thread = (SHARED.bytes + i * THREAD.bytes) / 4;
      words[thread + THREAD.commands / 4] = count;
      words[thread + THREAD.threads / 4] = this.threads;
    }
    this.#commands[0] = address;
    this.#commands[1] = step;
    Atomics.store(this.#control, CONTROL.done, 0);
    return new Promise((resolve, reject) => {
      this.#running = { resolve, reject };
      // The process must not end while it computes.
      this.workers[0].ref();
      this.#wake();
    });
  }

  /** Makes the threads leave the step that they are at, within one tile of work. Its results are undefined then. */
  abort(): void {
    if (this.#running) Atomics.store(this.#words(), SHARED.abort / 4, 1);
  }

  #words(): Int32Array {
    return this.#memory.array(Int32Array, 0, (SHARED.bytes + this.threads * THREAD.bytes) / 4);
  }

  #wake(): void {
    Atomics.add(this.#control, CONTROL.sequence, 1);
    Atomics.notify(this.#control, CONTROL.sequence);
  }

  #finish(): void {
    this.#end()?.resolve();
  }

  /** Where one thread is gone, the others cannot go on: they are made to leave, and only then is the step at its end. */
  async #fail(error: Error): Promise<void> {
    if (this.#disposed || this.#failure) return;
    this.#failure = error;
    this.abort();
    await Promise.all(this.workers.map((worker) => worker.terminate()));
    this.#end()?.reject(error);
  }

  #end(): Running | undefined {
    const running = this.#running;
    this.#running = undefined;
    this.workers[0].unref();
    return running;
  }

  /** Aborts what runs, ends the threads and gives their memory back. */
  dispose(): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    this.abort();
    const running = this.#end();
    for (const worker of this.workers) worker.ref();
    const ended = this.workers.map(exited);
    Atomics.store(this.#control, CONTROL.stop, 1);
    this.#wake();
    await Promise.all(ended);
    this.#memory.free();
    living.delete(this);
    running?.reject(new UnsupportedError("the compute threads were disposed of while they computed"));
  }
}

/** Resolves when a worker has ended. */
function exited(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    if (worker.threadId === -1) resolve();
    else worker.once("exit", () => resolve());
  });
}

/** Resolves when a worker says that it is ready. */
function ready(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once("message", () => {
      worker.off("error", reject);
      resolve();
    });
    worker.once("error", reject);
  });
}
