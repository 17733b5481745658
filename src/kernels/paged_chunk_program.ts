import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import { exp, maxLanes, sumLanes } from "../codegen/math.ts";
import type { Int } from "../codegen/scalar.ts";
import type { Acc, Vec } from "../codegen/vector.ts";
import { CHUNK, ChunkNumbers, NOTES, type PagedShape, type Wide } from "./paged_numbers.ts";
import type { Args } from "./row_programs.ts";

/*
 * Attention of a few queries to a chunk of cached keys. The softmax of a row is put together from its chunks, one after
 * the other, in the same way whoever computes them: a row gives the same numbers alone and among others.
 *
 * Keys stand turned in their pages, so that a vector holds one number of as many keys; scores are then sums over vectors,
 * and nothing is added up within one.
 */

/** The score of a key that is not seen. Finite, so that a difference of two is a number. */
export const UNSEEN = -3e38;

/** Queries that are computed together. What the first of them is stands in the notes. */
export interface Queries {
  count: number;
  /** Bytes from one query to the next. */
  stride: number;
  /** How many more keys each one sees than the one before it. */
  more: 0 | 1;
}

export class ChunkAttention {
  readonly #b: Builder;
  readonly #args: Args;
  readonly #shape: PagedShape;
  readonly #numbers: ChunkNumbers;
  /** Sums that are kept in registers at once. */
  readonly #sums: number;
  readonly #asksAhead: boolean;

  /**
   * @param wide for several groups of queries that look at the same chunk one after the other: see `ChunkNumbers`
   * @param asksAhead memory is asked for before it is needed, as far ahead as the notes say: where there is so much to
   *   compute with each key that the processor does not do so itself early enough
   */
  constructor(
    b: Builder,
    args: Args,
    shape: PagedShape,
    { asksAhead = false, wide }: { asksAhead?: boolean; wide?: Wide } = {},
  ) {
    this.#b = b;
    this.#asksAhead = asksAhead;
    this.#args = args;
    this.#shape = shape;
    this.#numbers = new ChunkNumbers(b, args, shape, wide);
    this.#sums = b.target.registers === 32 ? 16 : 8;
  }

  read(offset: number): Int {
    return this.#b.scratch().readInt(offset);
  }

  write(offset: number, value: Int): void {
    this.#b.scratch().writeInt(offset, value);
  }

  /** What is asked for while `at` is read, so that it is near when it is needed. */
  #ahead(at: Cursor): Cursor | undefined {
    return this.#asksAhead ? at.copy(this.read(NOTES.ahead)) : undefined;
  }

  /** Numbers of 8 bits: scores of keys, or weights of values, times the scales of those. */
  #rescale(queries: Queries, matrix: Args[string]): void {
    const b = this.#b;
    if (this.#shape.element !== "int8") return;
    const scores = b.scratch(NOTES.scores);
    this.#numbers.eachPage(matrix, this.keys(queries), (scales, valid) => {
      scales.advance(this.#shape.page * this.#shape.dim);
      b.repeat(valid.plus(b.lanes - 1).dividedBy(b.lanes), () => {
        const scale = scales.load();
        for (let m = 0; m < queries.count; m++)
          scores.store(4 * CHUNK * m, b.mul(scores.load(4 * CHUNK * m), scale));
        for (const cursor of [scales, scores]) cursor.advance(4 * b.lanes);
      });
    });
  }

  /** The first query, or where its output goes. */
  first(matrix: Args[string]): Cursor {
    const { heads, dim } = this.#shape;
    return this.#b.cursor(matrix, this.read(NOTES.row).times(4 * heads * dim), this.read(NOTES.column));
  }

  /** Keys from the chunk's beginning to the end of what query `m` sees: none or fewer, or more than the chunk has. */
  #reach({ more }: Queries, m: number): Int {
    return this.read(NOTES.seen)
      .plus(more * m)
      .minus(this.read(NOTES.start));
  }

  /** Keys of this chunk that at least one of the queries sees; may be negative. */
  keys(queries: Queries): Int {
    return this.#reach(queries, queries.count - 1).min(CHUNK);
  }

  /** Makes the numbers of the chunk's first `keys` keys ready for several groups of queries. */
  widen(keys: Int): void {
    this.#numbers.widen(keys);
  }

  /** scores = q k^T scale */
  scores(queries: Queries): void {
    const b = this.#b;
    const { page, dim, scale } = this.#shape;
    const bytes = this.#numbers.bytes;
    const { count, stride } = queries;
    const most = Math.min(page / b.lanes, 2 ** Math.floor(Math.log2(this.#sums / count)));
    const scores = b.scratch(NOTES.scores);
    this.#numbers.eachBlock("keys", this.keys(queries), (keys, valid) => {
      const some = (width: number): void => {
        const sums = Array.from({ length: count }, () => Array.from({ length: width }, () => b.accF32()));
        const [key, number] = [keys.copy(), this.first(this.#args.q)];
        const ahead = this.#ahead(key);
        b.repeat(dim, () => {
          const factors = sums.map((_, m) => number.broadcast(m * stride));
          for (let r = 0; r < width; r++) {
            const vector = this.#numbers.load(key, r * b.lanes);
            for (const [m, factor] of factors.entries()) sums[m][r].fma(factor, vector);
          }
          this.#numbers.prefetch(ahead, 0, width * b.lanes);
          for (const cursor of [key, ...(ahead ? [ahead] : [])]) cursor.advance(bytes * page);
          number.advance(4);
        });
        for (const [m, row] of sums.entries())
          for (const [r, sum] of row.entries())
            scores.store(4 * (m * CHUNK + r * b.lanes), b.mul(sum, b.f32(scale)));
        keys.advance(bytes * b.lanes * width);
        scores.advance(4 * b.lanes * width);
      };
      const groups = valid.plus(b.lanes - 1).dividedBy(b.lanes);
      b.repeat(groups.dividedBy(most), () => some(most));
      for (let width = most / 2; width >= 1; width /= 2)
        b.if(groups.modulo(2 * width), ">=", width, () => some(width));
    });
    this.#rescale(queries, this.#args.keys);
  }

  /** Scores to e^(score - highest), in place, and zero where a key is not seen; notes the highest and the sum. */
  softmax(queries: Queries): void {
    const b = this.#b;
    const tops = Array.from({ length: queries.count }, (_, m) => {
      const highest = b.accF32(UNSEEN);
      this.#eachScores(queries, m, (scores, mask) => {
        const value = scores.load();
        highest.max(mask ? b.select(mask, value, b.f32(UNSEEN)) : value);
      });
      return b.acc(maxLanes(b, highest));
    });
    const notes = b.scratch();
    for (const [m, top] of tops.entries()) {
      const sum = b.accF32();
      this.#eachScores(queries, m, (scores, mask) => {
        const power = exp(b, b.sub(scores.load(), top));
        const value = mask ? b.and(power, mask) : power;
        scores.store(0, value);
        sum.add(value);
      });
      notes.store(NOTES.tops + 4 * m, top, 1);
      notes.store(NOTES.sums + 4 * m, sumLanes(b, sum), 1);
    }
  }

  /** Goes over a query's scores vector by vector, with a mask where not all of them count. */
  #eachScores(queries: Queries, m: number, body: (scores: Cursor, mask?: Vec<"mask">) => void): void {
    const b = this.#b;
    const { window } = this.#shape;
    const scores = b.scratch(NOTES.scores + 4 * CHUNK * m);
    const left = b.variable(this.#reach(queries, m));
    const groups = b.variable(
      this.keys(queries)
        .plus(b.lanes - 1)
        .dividedBy(b.lanes),
    );
    const next = (): void => {
      scores.advance(4 * b.lanes);
      left.add(-b.lanes);
    };
    if (window > 0) {
      b.repeat(groups, () => {
        const first = b.greater(b.iota(), b.splat(left.minus(window + 1)));
        body(scores, b.as("mask", b.and(b.as("i32", first), b.firstLanes(left).mask)));
        next();
      });
      return;
    }
    const whole = left.max(0).min(CHUNK).dividedBy(b.lanes);
    groups.add(whole.times(-1));
    b.repeat(whole, () => {
      body(scores);
      next();
    });
    b.repeat(groups, () => {
      body(scores, b.firstLanes(left).mask);
      next();
    });
  }

  /**
   * scores v: calls `use` with the sums of query `m` from column `column` on, as many as a vector has. Scores are of no
   * use after that.
   */
  weightedSums(
    queries: Queries,
    use: (m: number, column: number, lanes: number, sum: Acc<"f32">) => void,
  ): void {
    const b = this.#b;
    const { dim } = this.#shape;
    const bytes = this.#numbers.bytes;
    this.#rescale(queries, this.#args.values);
    const width = Math.floor(this.#sums / queries.count) * b.lanes;
    for (let c = 0; c < dim; c += width) {
      const parts: { column: number; lanes: number }[] = [];
      for (let column = c; column < Math.min(dim, c + width); column += b.lanes)
        parts.push({ column, lanes: Math.min(b.lanes, dim - column) });
      const sums = Array.from({ length: queries.count }, () => parts.map(() => b.accF32()));
      const weights = b.scratch(NOTES.scores);
      this.#numbers.eachBlock("values", this.keys(queries), (value, valid) => {
        const ahead = this.#ahead(value);
        b.repeat(valid, () => {
          const factors = sums.map((_, m) => weights.broadcast(4 * CHUNK * m));
          for (const [v, { column, lanes }] of parts.entries()) {
            const vector = this.#numbers.load(value, column, lanes);
            for (const [m, factor] of factors.entries()) sums[m][v].fma(factor, vector);
          }
          this.#numbers.prefetch(ahead, c, Math.min(width, dim - c));
          for (const cursor of [value, ...(ahead ? [ahead] : [])]) cursor.advance(bytes * dim);
          weights.advance(4);
        });
      });
      for (const [m, row] of sums.entries())
        for (const [v, { column, lanes }] of parts.entries()) use(m, column, lanes, row[v]);
    }
  }
}

/** What is known of a softmax of which some chunks were seen. */
export interface Known {
  /** The highest score. */
  top: Vec<"f32">;
  /** The sum of weights, e^(score - top). */
  sum: Vec<"f32">;
}

/** Adds a chunk: the factors on what was summed up before, and on the chunk's own sums. */
export function merged(
  b: Builder,
  known: Known,
  chunk: Known,
): Known & { before: Vec<"f32">; own: Vec<"f32"> } {
  const top = b.max(known.top, chunk.top);
  const before = exp(b, b.sub(known.top, top));
  const own = exp(b, b.sub(chunk.top, top));
  return { top, before, own, sum: b.fma(known.sum, before, b.mul(chunk.sum, own)) };
}

/** 1 / sum; nothing for a row that sees nothing. */
export function inverseOf(b: Builder, sum: Vec<"f32">): Vec<"f32"> {
  return b.and(b.div(b.f32(1), sum), b.less(b.f32(0), sum));
}
