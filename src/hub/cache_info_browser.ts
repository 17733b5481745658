import { UnsupportedError } from "../base/errors.ts";

/** `cacheInfo` where there is no disk. */
export async function cacheInfo(): Promise<never> {
  throw new UnsupportedError(
    "cacheInfo: a browser keeps files in a store of its own; its settings show and clear it",
  );
}
