import type { Builder } from "./ir.ts";
import type { LaneType, Vec } from "./vector.ts";

/**
 * As many vectors as one has lanes, as rows of a square; gives its columns. Takes log2(lanes) rounds: in each, lanes
 * whose numbers differ by a power of two change places between two rows whose numbers do.
 */
export function transposed<T extends LaneType>(b: Builder, rows: readonly Vec<T>[]): Vec<T>[] {
  const square = [...rows];
  for (let d = 1; d < b.lanes; d *= 2) {
    const keep = b.as("mask", b.lanesI32(rows.map((_, lane) => (lane & d ? 0 : -1))));
    for (let i = 0; i < b.lanes; i++) {
      if (i & d) continue;
      const [low, high] = [square[i], square[i + d]];
      square[i] = b.select(keep, low, b.swap(high, d));
      square[i + d] = b.select(keep, b.swap(low, d), high);
    }
  }
  return square;
}
