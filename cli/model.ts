import { AutoProcessor, LlavaForConditionalGeneration } from "../src/index.ts";
import type { ModelFlags } from "./options.ts";
import { ProgressBars } from "./progress.ts";

/** A model with its processor, and how long it took to load. */
export interface Loaded {
  model: LlavaForConditionalGeneration;
  processor: Awaited<ReturnType<typeof AutoProcessor.from_pretrained>>;
  load_ms: number;
}

/** Loads what the flags name, with progress on stderr. */
export async function loadModel(flags: ModelFlags, signal?: AbortSignal): Promise<Loaded> {
  const begin = performance.now();
  const bars = new ProgressBars(flags.quiet || flags.json);
  try {
    const hub = { signal, progress_callback: bars.report };
    const processor = await AutoProcessor.from_pretrained(flags.model, hub);
    const { dtype, cacheDtype, device, threads, packedCopy } = flags;
    const model = await LlavaForConditionalGeneration.from_pretrained(flags.model, {
      ...hub,
      dtype,
      cacheDtype,
      device,
      threads,
      // Where it may be kept, the library knows when that pays.
      packedCopy: packedCopy === false ? false : undefined,
    });
    return { model, processor, load_ms: performance.now() - begin };
  } finally {
    bars.stop();
  }
}
