import { warnOnce } from "../base/env.ts";
import type { ByteStore } from "./block_access.ts";

/** Name of the browser's cache that files are kept in. */
const CACHE = "llava";

/**
 * The browser's Cache API as a store. Where it is missing (no secure context) or full, nothing is kept.
 *
 * @param renew forget what was kept before
 */
export function createStore(renew = false): ByteStore {
  const cache = typeof caches === "undefined" ? undefined : caches.open(CACHE).catch(() => undefined);
  return {
    async get(key) {
      if (renew) return undefined;
      const response = await (await cache)?.match(key);
      return response === undefined ? undefined : new Uint8Array(await response.arrayBuffer());
    },
    async put(key, bytes) {
      try {
        await (await cache)?.put(key, new Response(bytes.slice().buffer));
      } catch {
        warnOnce(
          "The browser does not keep the model's files (its storage is full): they are downloaded each time.",
        );
      }
    },
  };
}
