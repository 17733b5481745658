import { VectorDevice } from "../vector/vector_device.ts";
import { wasmTarget } from "./features.ts";
import { InlineRunner } from "./inline.ts";
import { WasmMemory } from "./memory.ts";
import { defaultThreads, noThreads } from "./open_thread_node.ts";
import type { Runner } from "./runner.ts";
import { ThreadRunner } from "./threads.ts";
import { WasmMachine } from "./wasm_machine.ts";

/** How a WebAssembly device is opened. */
export interface WasmOptions {
  /** Compute threads, where there can be any. Default: one for each physical core. */
  threads?: number;
  /** Computes on the calling thread, in turns with its event loop, though there could be others. */
  inline?: boolean;
  /** Why this device and no faster one, for people. */
  why?: string;
}

/** A device that computes in WebAssembly, or the reason why there can be none. */
export async function openWasmDevice(options: WasmOptions = {}): Promise<VectorDevice | { reason: string }> {
  const target = wasmTarget();
  if ("reason" in target) return target;
  const alone = options.inline ? "as it was asked to" : noThreads();
  const memory = new WasmMemory(alone === undefined);
  const { runner, where } = await openRunner(memory, options.threads ?? defaultThreads(), alone);
  const machine = new WasmMachine(target, memory, runner);
  try {
    // Compiles what every step needs: fails now where the page forbids it.
    await machine.run(0, 0);
  } catch (error) {
    await machine.stop();
    return { reason: messageOf(error) };
  }
  const simd = target.fma ? "relaxed SIMD" : "fixed SIMD (this engine has no relaxed SIMD)";
  const why = options.why === undefined ? "" : `; ${options.why}`;
  return new VectorDevice("wasm", machine, `WebAssembly with ${simd} ${where}${why}`);
}

/**
 * Threads, or where there can be none the calling one.
 *
 * @param alone why there can be none, where that is known
 */
async function openRunner(
  memory: WasmMemory,
  threads: number,
  alone: string | undefined,
): Promise<{ runner: Runner; where: string }> {
  const opened = alone === undefined ? await startThreads(memory, threads) : { reason: alone };
  if (opened instanceof ThreadRunner) {
    return { runner: opened, where: `on ${threads} ${threads === 1 ? "thread" : "threads"}` };
  }
  const where = `on the calling thread, in turns with its events (${opened.reason})`;
  return { runner: new InlineRunner(memory), where };
}

/** A page may forbid workers, and tells so only when one is tried. */
async function startThreads(memory: WasmMemory, threads: number): Promise<ThreadRunner | { reason: string }> {
  try {
    const runner = new ThreadRunner(memory, threads);
    await runner.start();
    return runner;
  } catch (error) {
    return { reason: messageOf(error) };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
