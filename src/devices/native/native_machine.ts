import type { Program } from "../../codegen/instruction.ts";
import type { Target } from "../../codegen/target.ts";
import type { ListTimes } from "../step_times.ts";
import type { Region as AnyRegion, Machine } from "../vector/machine.ts";
import type { NativeEngine } from "./engine.ts";
import { MappedFile } from "./mapped_file.ts";
import type { Region } from "./memory.ts";
import type { NativeWorkers } from "./workers.ts";

/** Machine code made for this processor, in this process, run by all threads. */
export class NativeMachine implements Machine {
  readonly target: Target;
  readonly steady = true;
  readonly #engine: NativeEngine;
  readonly #workers: NativeWorkers;
  readonly #files = new Map<string, MappedFile>();

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

  map(path: string, offset: number, bytes: number): AnyRegion {
    const file =
      this.#files.get(path) ?? new MappedFile(this.#engine.system, path, () => this.#files.delete(path));
    this.#files.set(path, file);
    return file.region(offset, bytes);
  }

  compile(program: Program): number {
    return this.#engine.compile(program);
  }

  run(address: number, count: number): Promise<void> {
    return this.#workers.run(address, count);
  }

  runTimed(address: number, count: number): Promise<ListTimes> {
    return this.#workers.runTimed(address, count);
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
