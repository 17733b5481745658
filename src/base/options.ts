import { OptionError } from "./errors.ts";

/** Levenshtein distance, for "did you mean". */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}

/** The known name nearest to `name`, or undefined where none is near. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 2)) + 1;
  for (const candidate of known) {
    const d = distance(name.toLowerCase(), candidate.toLowerCase());
    if (d < bestDistance) [best, bestDistance] = [candidate, d];
  }
  return best;
}

/** The end of a message about a name that is not known: a space and the nearest known one, or nothing. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const near = nearest(name, known);
  return near === undefined ? "" : ` Did you mean '${near}'?`;
}

/**
 * Throws an OptionError where `options` has a key that is not in `known`.
 *
 * @param where what was called, for the message: `LlavaProcessor`, `generate`
 */
export function checkOptions(where: string, options: object, known: Iterable<string>): void {
  const names: readonly string[] = Array.isArray(known) ? known : [...known];
  for (const name of Object.keys(options)) if (!names.includes(name)) throw unknownOption(where, name, names);
}

/** The error for an option that nothing knows. */
export function unknownOption(where: string, name: string, known: Iterable<string>): OptionError {
  return new OptionError(`${where}: unknown option '${name}'.${didYouMean(name, known)}`, { where: name });
}
