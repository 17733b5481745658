/** Code points from the first to the last. */
export type CodeRange = readonly [first: number, last: number];

export const LAST_CODE = 0x10ffff;

/** The code points that are in none of these ranges. */
export function complement(ranges: readonly CodeRange[]): CodeRange[] {
  return subtract([[0, LAST_CODE]], ranges);
}

export function subtract(ranges: readonly CodeRange[], without: readonly CodeRange[]): CodeRange[] {
  return without.reduce<CodeRange[]>(
    (left, [from, to]) =>
      left.flatMap(([first, last]) => {
        if (to < first || from > last) return [[first, last] as const];
        const parts: CodeRange[] = [];
        if (first < from) parts.push([first, from - 1]);
        if (last > to) parts.push([to + 1, last]);
        return parts;
      }),
    [...ranges],
  );
}

/** The same code points in order, as few ranges as can be. */
export function merged(ranges: readonly CodeRange[]): CodeRange[] {
  const result: [number, number][] = [];
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const before = result.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else result.push([first, last]);
  }
  return result;
}

/** Whether a code point is in ranges that `merged` gave. */
export function includes(ranges: readonly CodeRange[], code: number): boolean {
  let [low, high] = [0, ranges.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (ranges[middle][1] < code) low = middle + 1;
    else if (ranges[middle][0] > code) high = middle - 1;
    else return true;
  }
  return false;
}
