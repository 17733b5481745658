import { nextTurn, TURN } from "../next_turn.ts";
import type { Command } from "../recording_device.ts";
import { runReference } from "../run_reference.ts";
import { CommandList, type WrittenList } from "./command_list.ts";
import type { Ready } from "./layout.ts";
import type { Machine } from "./machine.ts";
import type { RunProgram } from "./panel_loader.ts";
import type { Places } from "./places.ts";
import type { Programs } from "./programs.ts";
import type { StepWatch } from "./step_watch.ts";

/** What ends a run early, and what notes down how long its parts take. */
export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly watch?: StepWatch | undefined;
}

/** Runs commands on a machine, one list at a time. */
export class Runner {
  readonly #machine: Machine;
  readonly #programs: Programs;
  /** For what is run once. */
  readonly #list: CommandList;

  constructor(machine: Machine, programs: Programs) {
    this.#machine = machine;
    this.#programs = programs;
    this.#list = new CommandList(machine);
  }

  /**
   * Runs a list on all threads; an abort makes them leave within a tile of work.
   *
   * @throws `signal.reason`, where it is aborted
   */
  async run(list: WrittenList, { signal, watch }: RunOptions = {}): Promise<void> {
    const abort = (): void => this.#machine.abort();
    signal?.addEventListener("abort", abort);
    try {
      await this.#runTimed(list, watch);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
    signal?.throwIfAborted();
  }

  /**
   * Runs commands in order: as long as there are programs for them, many at once; others by their reference, on the
   * calling thread.
   *
   * @throws `signal.reason`, where it is aborted, and what a reference throws
   */
  async runEach(commands: readonly Ready[], places: Places, options: RunOptions): Promise<void> {
    const list = this.#list;
    list.clear();
    let turn = performance.now();
    for (const ready of commands) {
      const { command, form } = ready;
      if (form) {
        this.#programs.append(list, ready, places);
        continue;
      }
      await this.#runCollected(options);
      const begin = performance.now();
      runOnMachine(command, places);
      options.watch?.reference(command, begin);
      if (performance.now() - turn < TURN) continue;
      await nextTurn();
      options.signal?.throwIfAborted();
      turn = performance.now();
    }
    await this.#runCollected(options);
  }

  /** Runs one program. */
  readonly runProgram: RunProgram = async (key, build, args, tiles) => {
    this.#list.clear();
    this.#list.append({ program: this.#programs.compiled(key, build), args, tiles });
    await this.run(this.#list.write());
  };

  /** Gives the memory of lists back. */
  free(): void {
    this.#list.free();
  }

  async #runCollected(options: RunOptions): Promise<void> {
    if (this.#list.length > 0) await this.run(this.#list.write(), options);
  }

  async #runTimed(list: WrittenList, watch: StepWatch | undefined): Promise<void> {
    const machine = this.#machine;
    if (!watch || !machine.runTimed) return machine.run(list.address, list.count);
    const begin = performance.now();
    watch.list(list, await machine.runTimed(list.address, list.count), begin);
  }
}

/** Computes a command on windows of the machine's memory. */
function runOnMachine(command: Command, places: Places): void {
  // References write into zeros; memory of steps is used again and again.
  if (command.kernel.inPlace === undefined) places.window(command.output).data.fill(0 as never);
  runReference(command, (value) => places.window(value));
}
