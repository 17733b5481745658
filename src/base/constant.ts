/** What was made of memory whose numbers stay as they are: by the memory, and by what makes it. */
const made = new WeakMap<ArrayBufferLike, Map<unknown, unknown>>();

/** Says that the numbers of an array, which has its memory for itself, are not written to any more. */
export function keepConstant({ buffer }: ArrayBufferView): void {
  if (!made.has(buffer)) made.set(buffer, new Map());
}

export function isConstant({ buffer }: ArrayBufferView): boolean {
  return made.has(buffer);
}

/** What `make` gives for an array: made once where its memory was said to stay as it is. */
export function madeOf<A extends ArrayBufferView, T>(array: A, make: (array: A) => T): T {
  const known = array.byteLength === array.buffer.byteLength ? made.get(array.buffer) : undefined;
  if (!known) return make(array);
  if (!known.has(make)) known.set(make, make(array));
  return known.get(make) as T;
}
