import { physicalCores } from "../cores_node.ts";
import { VectorDevice } from "../vector/vector_device.ts";
import { openEngine } from "./engine.ts";
import { NativeMachine } from "./native_machine.ts";
import { NativeWorkers } from "./workers.ts";

/** How a native device is opened. */
export interface NativeOptions {
  /** Compute threads. Default: one for each physical core. */
  threads?: number;
  /** The highest instruction set to be used: `avx2`, `avx512` or `amx`. Default: LLAVA_CPU. */
  cpu?: string;
}

/**
 * A device that computes in machine code made for this processor, or the reason why there can be none.
 *
 * @throws OptionError where `cpu` is no known level
 */
export async function openNativeDevice(
  options: NativeOptions = {},
): Promise<VectorDevice | { reason: string }> {
  const engine = openEngine(options.cpu ?? process.env.LLAVA_CPU);
  if ("reason" in engine) return engine;
  const threads = options.threads ?? physicalCores();
  const workers = await NativeWorkers.start(engine, threads);
  const { name } = engine.processor;
  const { target } = engine;
  const instructions = target.amx ? `${target.name} and amx` : target.name;
  const without = engine.tilesUnused ? `; matrix tiles are left unused: ${engine.tilesUnused}` : "";
  const plural = threads === 1 ? "thread" : "threads";
  return new VectorDevice(
    "native",
    new NativeMachine(engine, workers),
    `${instructions} machine code on ${threads} ${plural} (${name})${without}`,
  );
}
