import { OptionError } from "../base/errors.ts";
import { CACHE_DTYPES, type CacheDType } from "../kernels/cache_pages.ts";
import type { KeptDType } from "./weight_storage.ts";

/** What keys and values are kept in, as it is asked for. */
export type CacheDTypeName = "auto" | "float32" | "float16" | "q8";

const NAMES: readonly string[] = ["auto", ...CACHE_DTYPES] satisfies CacheDTypeName[];

/** Weights beside which float16 is lost: their error is at least twenty times that of keys and values in it. */
const ROUNDED: readonly string[] = ["bfloat16", "q8", "q4"] satisfies KeptDType[];

/**
 * What keys and values are kept in. "auto": float32 where numbers are those of float32; float16 where weights are packed,
 * or are asked for in bfloat16 by name, so that products are rounded to it.
 *
 * @param weights what the weights are wanted in
 * @throws OptionError where there is no such type
 */
export function cacheDtypeOf(wanted: unknown, weights: KeptDType | "auto"): CacheDType {
  if (wanted === undefined || wanted === "auto") return ROUNDED.includes(weights) ? "float16" : "float32";
  const known = CACHE_DTYPES.find((name) => name === wanted);
  if (known) return known;
  throw new OptionError(
    `cacheDtype: expected one of ${NAMES.join(", ")}, got ${JSON.stringify(wanted) ?? String(wanted)}`,
    { where: "cacheDtype", expected: NAMES, got: wanted },
  );
}
