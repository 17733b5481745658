import { createHash } from "node:crypto";

/**
 * SHA-256 of the bytes as they are now, in base64: equal for equal bytes only. At once, as going to another thread and
 * back takes longer than a small picture does. Elsewhere it is a promise, or there is none.
 */
export function digestOf({
  buffer,
  byteOffset,
  byteLength,
}: ArrayBufferView): string | undefined | Promise<string | undefined> {
  return createHash("sha256")
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest("base64");
}
