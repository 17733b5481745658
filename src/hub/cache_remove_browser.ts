import { UnsupportedError } from "../base/errors.ts";

/** `removeCached` where there is no disk. */
export async function removeCached(): Promise<never> {
  throw new UnsupportedError(
    "removeCached: a browser keeps files in a store of its own; its settings show and clear it",
  );
}
