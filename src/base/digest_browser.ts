/**
 * SHA-256 of the bytes as they are now, in base64: equal for equal bytes only. Undefined where the platform has none, as
 * on pages that did not come by https.
 */
export async function digestOf({
  buffer,
  byteOffset,
  byteLength,
}: ArrayBufferView): Promise<string | undefined> {
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  if (!subtle) return undefined;
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  // Memory that threads share is refused.
  const own = buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : bytes.slice();
  return btoa(String.fromCharCode(...new Uint8Array(await subtle.digest("SHA-256", own))));
}
