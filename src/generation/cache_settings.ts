import { warnOnce } from "../base/env.ts";
import { OptionError, UnsupportedError } from "../base/errors.ts";
import type { DynamicCache } from "../nn/dynamic_cache.ts";
import type { GenerationConfig } from "./configuration_utils.ts";

/** Names of static caches that Transformers is giving up. */
const OLD_STATIC: readonly (string | null)[] = [
  ...["sliding_window", "hybrid", "hybrid_chunked", "offloaded_hybrid", "offloaded_hybrid_chunked"],
];
const STATIC: readonly (string | null)[] = ["static", "offloaded_static", ...OLD_STATIC];

/** Caches that are none here, and why. */
const REFUSED: Readonly<Record<string, string>> = {
  quantized: "what keys and values are kept in is the model's: `cacheDtype` of from_pretrained",
  paged:
    "keys and values always lie in pages, and calls that overlap share steps by themselves; leave it out",
};

/**
 * Checks what a call says of its cache. All caches give the same tokens. `dynamic` and `offloaded` are what is here
 * anyway: a cache that grows, in main memory. `static` ones take their memory before the first step.
 *
 * @throws OptionError where the settings contradict each other; UnsupportedError for caches that are none here
 */
export function checkCacheSettings(config: GenerationConfig, given: DynamicCache | undefined): void {
  if (config.cache_implementation === "hybrid") config.cache_implementation = null; // as Transformers does
  const { cache_implementation: name, prefill_chunk_size } = config;
  if (name !== null && name in REFUSED) {
    throw new UnsupportedError(
      `generate: cache_implementation "${name}" is not supported: ${REFUSED[name]}`,
      {
        where: "cache_implementation",
        got: name,
      },
    );
  }
  if (given && name !== null) {
    throw new OptionError(
      "cache_implementation says which cache to make, but past_key_values is one already: give one of the two",
      { where: "cache_implementation", got: name },
    );
  }
  if (given && config.use_cache === false) {
    throw new OptionError("past_key_values cannot be continued with use_cache: false", {
      where: "past_key_values",
    });
  }
  if (prefill_chunk_size !== null && config.use_cache === false) {
    throw new OptionError("prefill_chunk_size needs the cache, and use_cache is false", {
      where: "prefill_chunk_size",
      got: prefill_chunk_size,
    });
  }
  if (OLD_STATIC.includes(name)) {
    warnOnce(`cache_implementation "${name}" is an old name: "static" means the same.`);
  }
}

/** Whether the cache's memory is taken before the first step. */
export function isStatic({ cache_implementation, use_cache }: GenerationConfig): boolean {
  return use_cache !== false && STATIC.includes(cache_implementation);
}

/**
 * Takes the memory of a static cache.
 *
 * @param columns that the prompts have and `max_length` does not count
 */
export async function reserve(
  config: GenerationConfig,
  caches: DynamicCache,
  columns: number,
): Promise<void> {
  const tokens = Math.max((config.max_length ?? 1) - 1 + columns, config.max_cache_len ?? 0);
  for (let b = 0; b < caches.batch_size; b++) await caches.row(b).prepare(tokens);
}
