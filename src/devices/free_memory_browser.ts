/** Bytes of memory that this page may still take: browsers do not tell. */
export function freeMemory(): number | undefined {
  return undefined;
}
