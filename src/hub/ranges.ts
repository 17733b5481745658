/** Bytes from `begin` up to and without `end`. */
export type Range = readonly [begin: number, end: number];

/** Which bytes of a file are there. */
export class RangeSet {
  #ranges: Range[];

  constructor(ranges: readonly Range[] = []) {
    this.#ranges = [...ranges];
    this.#merge();
  }

  /** In rising order, without overlap or touch. */
  get ranges(): readonly Range[] {
    return this.#ranges;
  }

  /** How many bytes are there. */
  get bytes(): number {
    return this.#ranges.reduce((sum, [begin, end]) => sum + end - begin, 0);
  }

  add(begin: number, end: number): void {
    // Almost always a range that grows at its end.
    const grown = this.#ranges.findIndex((range) => range[1] === begin);
    if (grown >= 0) this.#ranges[grown] = [this.#ranges[grown][0], end];
    else this.#ranges.push([begin, end]);
    this.#merge();
  }

  clear(): void {
    this.#ranges = [];
  }

  /** What is not there of `size` bytes, cut into pieces of at most `longest`. */
  missing(size: number, longest: number): Range[] {
    const pieces: Range[] = [];
    let from = 0;
    for (const [begin, end] of [...this.#ranges, [size, size]]) {
      for (; from < begin; from += longest) pieces.push([from, Math.min(from + longest, begin)]);
      from = end;
    }
    return pieces;
  }

  #merge(): void {
    const merged: Range[] = [];
    for (const range of this.#ranges.filter(([begin, end]) => begin < end).sort((a, b) => a[0] - b[0])) {
      const last = merged[merged.length - 1];
      if (last !== undefined && range[0] <= last[1]) {
        merged[merged.length - 1] = [last[0], Math.max(last[1], range[1])];
      } else merged.push(range);
    }
    this.#ranges = merged;
  }
}
