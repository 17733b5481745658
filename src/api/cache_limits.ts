import { OptionError } from "../base/errors.ts";
import type { PromptCacheReport } from "../generation/prompt_cache.ts";
import type { PictureCacheReport } from "./picture_cache.ts";

/** Memory for what may be asked for again. */
export interface CacheLimits {
  /**
   * Our own: bytes up to which features of pictures are kept (of 64 pictures at most), so that a picture that comes again
   * is not looked at again. Default: 256 MiB. 0: none are kept.
   */
  pictureCacheBytes?: number;
  /**
   * Our own: keys and values of prompts are kept in memory that the model has taken for its sequences, as long as those
   * need it not, so that a prompt that begins alike begins after what is alike. Up to so many bytes, memory is taken for
   * that alone. Default: 4096 tokens, 512 MiB at most. 0: nothing is kept.
   */
  promptCacheBytes?: number;
}

/** Names of CacheLimits. */
export const CACHE_LIMITS = [
  "pictureCacheBytes",
  "promptCacheBytes",
] as const satisfies readonly (keyof CacheLimits)[];

/** What a model keeps for later calls, and how often that was of use. */
export interface CacheReport {
  pictures: PictureCacheReport;
  prompts: PromptCacheReport;
}

const MIB = 2 ** 20;

/** @throws OptionError where a limit is no number of bytes */
export function checkCacheLimits(limits: CacheLimits): CacheLimits {
  for (const name of CACHE_LIMITS) {
    const value: unknown = limits[name];
    if (value === undefined || (typeof value === "number" && Number.isSafeInteger(value) && value >= 0))
      continue;
    throw new OptionError(`${name}: expected a whole number of bytes from 0, got ${JSON.stringify(value)}`, {
      where: name,
      got: value,
    });
  }
  const { pictureCacheBytes, promptCacheBytes } = limits;
  return { pictureCacheBytes, promptCacheBytes };
}

/** The limits, with the defaults filled in. */
export function cacheLimits(
  { pictureCacheBytes, promptCacheBytes }: CacheLimits,
  bytesPerToken: number,
): Required<CacheLimits> {
  return {
    pictureCacheBytes: pictureCacheBytes ?? 256 * MIB,
    promptCacheBytes: promptCacheBytes ?? Math.min(4096 * bytesPerToken, 512 * MIB),
  };
}
