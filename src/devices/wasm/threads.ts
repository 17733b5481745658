import { UnsupportedError } from "../../base/errors.ts";
import { SCRATCH_BYTES, SHARED, THREAD } from "../../codegen/step.ts";
import type { Region } from "../vector/machine.ts";
import type { WasmMemory } from "./memory.ts";
import { openThread } from "./open_thread_node.ts";
import type { Runner } from "./runner.ts";
import type { Thread, ThreadAnswer } from "./thread.ts";

/** A step that is being computed. */
interface Running {
  /** Threads that have not answered. */
  left: number;
  failure?: Error;
  resolve(): void;
  reject(error: Error): void;
}

/** Threads that run steps on shared memory. The calling thread never computes and never blocks. One step at a time. */
export class ThreadRunner implements Runner {
  readonly threads: number;
  readonly #memory: WasmMemory;
  /** What the step program works with: what threads share, then each one's own. */
  readonly #control: Region;
  readonly #threads: readonly Thread[];
  #running: Running | undefined;
  #failure: Error | undefined;

  constructor(memory: WasmMemory, threads: number) {
    this.threads = threads;
    this.#memory = memory;
    this.#control = memory.allocate(SHARED.bytes + threads * THREAD.bytes);
    const scratch = memory.allocate(threads * SCRATCH_BYTES);
    const words = this.#words();
    for (let i = 0; i < threads; i++) {
      const own = (SHARED.bytes + i * THREAD.bytes) / 4;
      words[own + THREAD.scratch / 4] = scratch.address + i * SCRATCH_BYTES;
      words[own + THREAD.threads / 4] = threads;
    }
    const events = {
      answer: (answer: ThreadAnswer) => this.#answer(answer),
      ended: (error: Error) => void this.#fail(error),
    };
    this.#threads = Array.from({ length: threads }, (_, i) => openThread(`llava compute ${i}`, events));
  }

  /** Tells the threads what memory they share; ready when they all are. Where one cannot start, all are ended. */
  async start(): Promise<void> {
    const { address } = this.#control;
    await this.#ask((thread, i) =>
      thread.post({
        memory: this.#memory.memory,
        shared: address,
        thread: address + SHARED.bytes + i * THREAD.bytes,
      }),
    );
  }

  async run(
    module: WebAssembly.Module | undefined,
    programs: number,
    list: number,
    count: number,
  ): Promise<void> {
    const words = this.#words();
    words[SHARED.arrived / 4] = 0;
    words[SHARED.abort / 4] = 0;
    for (let i = 0; i < this.threads; i++)
      words[(SHARED.bytes + i * THREAD.bytes + THREAD.commands) / 4] = count;
    await this.#ask((thread) => thread.post({ module, programs, list }));
  }

  abort(): void {
    if (this.#running) Atomics.store(this.#words(), SHARED.abort / 4, 1);
  }

  async stop(): Promise<void> {
    await this.#fail(new UnsupportedError("the compute threads were disposed of"));
  }

  /** Has every thread do something, and waits for all answers. */
  #ask(post: (thread: Thread, i: number) => void): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#running) throw new UnsupportedError("a step was begun before the one before it had ended");
    return new Promise((resolve, reject) => {
      this.#running = { left: this.threads, resolve, reject };
      // The process must not end while it computes.
      this.#threads[0].hold(true);
      for (const [i, thread] of this.#threads.entries()) post(thread, i);
    });
  }

  #answer({ failure }: ThreadAnswer): void {
    const running = this.#running;
    if (!running) return;
    if (failure !== undefined) {
      running.failure ??= new UnsupportedError(`a compute thread has failed: ${failure}`);
      // The others would wait for it.
      this.abort();
    }
    running.left--;
    if (running.left > 0) return;
    this.#end();
    if (running.failure) running.reject(running.failure);
    else running.resolve();
  }

  /** Where one thread is gone, the others cannot go on. */
  async #fail(error: Error): Promise<void> {
    if (this.#failure) return;
    this.#failure = error;
    this.abort();
    await Promise.all(this.#threads.map((thread) => thread.end()));
    const running = this.#running;
    this.#end();
    running?.reject(error);
  }

  #end(): void {
    this.#running = undefined;
    this.#threads[0].hold(false);
  }

  #words(): Int32Array {
    return this.#control.array(Int32Array, 0, this.#control.bytes / 4);
  }
}
