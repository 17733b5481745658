/** What was made of memory whose numbers stay as they are, by the memory; undefined where nothing was made yet. */
const made = new WeakMap<ArrayBufferLike, { value?: unknown }>();

/** Says that the numbers of an array, which has its memory for itself, are not written to any more. */
export function keepConstant({ buffer }: ArrayBufferView): void {
  if (!made.has(buffer)) made.set(buffer, {});
}

export function isConstant({ buffer }: ArrayBufferView): boolean {
  return made.has(buffer);
}

/** What `make` gives for an array: made once where its memory was said to stay as it is. One `make` for all. */
export function madeOf<A extends ArrayBufferView, T>(array: A, make: (array: A) => T): T {
  const known = array.byteLength === array.buffer.byteLength ? made.get(array.buffer) : undefined;
  if (!known) return make(array);
  if (!("value" in known)) known.value = make(array);
  return known.value as T;
}
