import { OptionError } from "../base/errors.ts";
import { CACHE_DTYPES, type CacheDType } from "../kernels/cache_pages.ts";
import type { KeptDType } from "./weight_storage.ts";

/** What keys and values are kept in, as it is asked for. */
export type CacheDTypeName = CacheDType | "auto";

const NAMES: readonly string[] = ["auto", ...CACHE_DTYPES] satisfies CacheDTypeName[];

/**
 * What keys and values are kept in. "auto": float32 with float weights, so that answers are those of float32; float16
 * beside packed weights, whose error is a hundred times that of float16.
 *
 * @param weights what the weights are wanted in
 * @throws OptionError where there is no such type
 */
export function cacheDtypeOf(wanted: unknown, weights: KeptDType | "auto"): CacheDType {
  if (wanted === undefined || wanted === "auto")
    return weights === "q8" || weights === "q4" ? "float16" : "float32";
  const known = CACHE_DTYPES.find((name) => name === wanted);
  if (known) return known;
  throw new OptionError(
    `cacheDtype: expected one of ${NAMES.join(", ")}, got ${JSON.stringify(wanted) ?? String(wanted)}`,
    { where: "cacheDtype", expected: NAMES, got: wanted },
  );
}
