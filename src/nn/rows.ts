import type { Device, Value } from "../devices/device.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { KVCache } from "./kv_cache.ts";
import type { LayerCache, PagePool } from "./page_pool.ts";

/** The next rows of one sequence. */
export interface Segment {
  cache: KVCache;
  /** The position of each row, for the rotary embedding. */
  positions: readonly number[];
  /**
   * Tokens of the longest sequence among those of its call, for rotary frequencies that depend on the length. Without:
   * the largest position among all segments, and one.
   */
  longest?: number;
  /** Its one row sees nothing, itself included: padding, as Transformers computes it. */
  blind?: boolean;
  /** Its rows are of tokens that nobody has chosen yet: they come after those foreseen by then, and do not count as held. */
  foreseen?: boolean;
}

/** Entries of a step's list of pages are a multiple of this many, so that not every page that is added makes another shape. */
const PAGES = 16;

/** One sequence's part of the rows. */
export interface Range {
  /** Its first row. */
  readonly first: number;
  readonly rows: number;
  /** Tokens that its cache held before; -1 for a row that sees nothing. */
  readonly past: number;
  /** Tokens of the longest sequence of its call. */
  readonly longest: number;
}

/**
 * The ragged table: several sequences' rows laid end to end. Linear layers see one [T, D] matrix and do not look at
 * it; rotary embedding and attention do.
 */
export class Rows {
  /** T */
  readonly count: number;
  readonly ranges: readonly Range[];
  /** [T] */
  readonly positions: readonly number[];
  /** int32 [S, 4]: first row, rows, keys before them, first entry in `pages` */
  readonly table: Value;
  /** int32 [P], zeros at the end that nothing reads */
  readonly pages: Value;
  /** int32 [T]: where each row's key goes */
  readonly slots: Value;
  readonly #pool: PagePool;

  /** Appends the rows to their caches, which must have been prepared, or has them foreseen. Inside a step. */
  constructor(device: Device, pool: PagePool, segments: readonly Segment[]) {
    pool.recordCopies(segments.flatMap(({ cache }) => cache.takeCopy()));
    const positions: number[] = [];
    const slots: number[] = [];
    const table: number[] = [];
    const pages: number[] = [];
    const ranges: Range[] = [];
    const reach = segments.reduce((most, { positions }) => Math.max(most, reachOf(positions)), 0);
    for (const { cache, positions: own, blind, longest = reach, foreseen } of segments) {
      const past = blind ? -1 : cache.length + (foreseen ? cache.foreseen : 0);
      const range = { first: positions.length, rows: own.length, past, longest };
      ranges.push(range);
      table.push(range.first, range.rows, range.past, pages.length);
      slots.push(...(foreseen ? cache.foresee(own.length) : cache.append(own.length)));
      positions.push(...own);
      pages.push(...cache.heldPages);
    }
    const upload = (numbers: number[], ...shape: number[]): Value =>
      device.upload(new Tensor("int32", shape, Int32Array.from(numbers)));
    this.count = positions.length;
    this.ranges = ranges;
    this.positions = positions;
    this.slots = upload(slots, slots.length);
    this.table = upload(table, segments.length, 4);
    const unread = -pages.length & (PAGES - 1);
    this.pages = upload([...pages, ...Array<number>(unread).fill(0)], pages.length + unread);
    this.#pool = pool;
  }

  layer(i: number): LayerCache {
    return this.#pool.layer(i);
  }

  /** Elements of all attention probabilities: heads * rows * keys, summed over the sequences. */
  weightsSize(heads: number): number {
    return this.ranges.reduce((sum, { rows, past }) => sum + heads * rows * (past + rows), 0);
  }
}

/** Tokens of a sequence with these positions: the largest, and one. */
export function reachOf(positions: readonly number[]): number {
  return positions.reduce((most, position) => Math.max(most, position + 1), 0);
}
