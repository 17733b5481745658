import type { Program } from "../../codegen/instruction.ts";
import { stepProgram } from "../../codegen/step.ts";
import type { Target } from "../../codegen/target.ts";
import { lowerWasm } from "../../codegen/wasm/lower.ts";
import { moduleOf } from "../../codegen/wasm/module.ts";
import { nextTurn, TURN } from "../next_turn.ts";
import type { Machine, Region } from "../vector/machine.ts";
import type { WasmMemory } from "./memory.ts";
import type { Runner } from "./runner.ts";

/** WebAssembly: one memory, and one table of programs on each thread, which grow as they are needed. */
export class WasmMachine implements Machine {
  readonly target: Target;
  readonly steady = false;
  readonly #memory: WasmMemory;
  readonly #runner: Runner;
  /** Programs that no thread has yet. */
  #pending: Program[] = [];
  /** Programs that there are, the pending ones with them. */
  #programs = 0;

  constructor(target: Target, memory: WasmMemory, runner: Runner) {
    this.target = target;
    this.#memory = memory;
    this.#runner = runner;
    // The first program is the one that runs lists.
    this.compile(stepProgram(target));
  }

  get threads(): number {
    return this.#runner.threads;
  }

  get capacity(): number {
    return this.#memory.capacity;
  }

  allocate(bytes: number): Region {
    return this.#memory.allocate(bytes);
  }

  compile(program: Program): number {
    this.#pending.push(program);
    return this.#programs++;
  }

  async run(address: number, count: number): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    await this.#runner.run(await this.#module(pending), this.#programs, address, count);
  }

  abort(): void {
    this.#runner.abort();
  }

  stop(): Promise<void> {
    return this.#runner.stop();
  }

  /** The memory itself goes when nobody holds it any more: there is no way to give it back before. */
  dispose(): void {
    this.#pending = [];
  }

  async #module(programs: readonly Program[]): Promise<WebAssembly.Module | undefined> {
    if (programs.length === 0) return undefined;
    const tableBase = this.#programs - programs.length;
    const bodies = await lowerInTurns(programs);
    const bytes = moduleOf(bodies, { memory: this.#memory.links, tableBase });
    return WebAssembly.compile(bytes as BufferSource);
  }
}

/** Lowers programs; the first step of a model has dozens, which would keep the event loop waiting. */
async function lowerInTurns(programs: readonly Program[]): Promise<Uint8Array[]> {
  const bodies: Uint8Array[] = [];
  let turn = performance.now();
  for (const program of programs) {
    bodies.push(lowerWasm(program));
    if (performance.now() - turn < TURN) continue;
    await nextTurn();
    turn = performance.now();
  }
  return bodies;
}
