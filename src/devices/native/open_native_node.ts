import { physicalCores } from "../cores_node.ts";
import { VectorDevice } from "../vector/vector_device.ts";
import { type NativeEngine, openEngine } from "./engine.ts";
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
  return new VectorDevice("native", new NativeMachine(engine, workers), descriptionOf(engine, threads));
}

/** One line for people. */
export function descriptionOf(
  { target, processor, tilesUnused }: Pick<NativeEngine, "target" | "processor" | "tilesUnused">,
  threads: number,
): string {
  const instructions = target.amx ? `${target.name} and amx` : target.name;
  const plural = threads === 1 ? "thread" : "threads";
  const notes = [
    target.bf16Tiles && "pictures and prompts in q8 and q4 are multiplied in bfloat16",
    tilesUnused && `matrix tiles are left unused, because ${tilesUnused}`,
  ].filter(Boolean);
  return [`${instructions} machine code on ${threads} ${plural} (${processor.name})`, ...notes].join("; ");
}
