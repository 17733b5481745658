/** Every place begins at a multiple of this: a line of the cache. */
const ALIGN = 64;

interface Gap {
  from: number;
  to: number;
}

/**
 * Gives out places in a stretch of memory that does not exist yet: what a step needs for a while. Places that were
 * given back are given out again; `size` tells how much memory there must be in the end.
 */
export class Placement {
  #gaps: Gap[] = [];
  #size = 0;

  /** Bytes that all places together reach. */
  get size(): number {
    return this.#size;
  }

  /** The offset of a place for `bytes`: the smallest gap that holds it, or the end, with the gap before it. */
  take(bytes: number): number {
    const size = rounded(bytes);
    let best: Gap | undefined;
    for (const gap of this.#gaps) {
      const room = gap.to - gap.from;
      if (room >= size && (!best || room < best.to - best.from)) best = gap;
    }
    if (best) {
      const { from } = best;
      best.from += size;
      if (best.from === best.to) this.#gaps.splice(this.#gaps.indexOf(best), 1);
      return from;
    }
    const last = this.#gaps.findIndex(({ to }) => to === this.#size);
    const from = last < 0 ? this.#size : this.#gaps.splice(last, 1)[0].from;
    this.#size = from + size;
    return from;
  }

  give(offset: number, bytes: number): void {
    const gap = { from: offset, to: offset + rounded(bytes) };
    const before = this.#gaps.find(({ to }) => to === gap.from);
    const after = this.#gaps.find(({ from }) => from === gap.to);
    if (before) before.to = gap.to;
    if (after) after.from = gap.from;
    if (before && after) {
      before.to = after.to;
      this.#gaps.splice(this.#gaps.indexOf(after), 1);
    } else if (!before && !after) this.#gaps.push(gap);
  }
}

function rounded(bytes: number): number {
  return Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN);
}
