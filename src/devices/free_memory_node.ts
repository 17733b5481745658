/** Bytes of memory that this process may still take, with what the system would give up for it. */
export function freeMemory(): number | undefined {
  return process.availableMemory();
}
