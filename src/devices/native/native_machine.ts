import type { Program } from "../../codegen/instruction.ts";
import type { Target } from "../../codegen/target.ts";
import type { Machine } from "../vector/machine.ts";
import type { NativeEngine } from "./engine.ts";
import type { Region } from "./memory.ts";
import type { NativeWorkers } from "./workers.ts";

/** Machine code made for this processor, in this process, run by all threads. */
export class NativeMachine implements Machine {
  readonly target: Target;
  readonly steady = true;
  readonly #engine: NativeEngine;
  readonly #workers: NativeWorkers;

  constructor(engine: NativeEngine, workers: NativeWorkers) {
    this.target = engine.target;
    this.#engine = engine;
    this.#workers = workers;
  }

  get threads(): number {
    return this.#workers.threads;
  }

  allocate(bytes: number): Region {
    return this.#engine.allocate(bytes);
  }

  compile(program: Program): number {
    return this.#engine.compile(program);
  }

  run(address: number, count: number): Promise<void> {
    return this.#workers.run(address, count);
  }

  abort(): void {
    this.#workers.abort();
  }

  stop(): Promise<void> {
    return this.#workers.dispose();
  }

  dispose(): void {
    this.#engine.dispose();
  }
}
