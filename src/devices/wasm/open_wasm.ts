import { VectorDevice } from "../vector/vector_device.ts";
import { wasmTarget } from "./features.ts";
import { InlineRunner } from "./inline.ts";
import { WasmMemory } from "./memory.ts";
import { defaultThreads, noThreads } from "./open_thread_node.ts";
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
  const threads = options.threads ?? defaultThreads();
  const runner = alone === undefined ? new ThreadRunner(memory, threads) : new InlineRunner(memory);
  const machine = new WasmMachine(target, memory, runner);
  try {
    if (runner instanceof ThreadRunner) await runner.start();
    // Compiles what every step needs: fails now where the page forbids it.
    await machine.run(0, 0);
  } catch (error) {
    await machine.stop();
    return { reason: error instanceof Error ? error.message : String(error) };
  }
  const simd = target.fma ? "relaxed SIMD" : "fixed SIMD (this engine has no relaxed SIMD)";
  const where =
    alone === undefined
      ? `on ${threads} ${threads === 1 ? "thread" : "threads"}`
      : `on the calling thread, in turns with its events (${alone})`;
  const why = options.why === undefined ? "" : `; ${options.why}`;
  return new VectorDevice("wasm", machine, `WebAssembly with ${simd} ${where}${why}`);
}
