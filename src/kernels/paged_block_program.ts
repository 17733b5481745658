import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import { exp, maxLanes, sumLanes, transpose } from "../codegen/math.ts";
import type { Int } from "../codegen/scalar.ts";
import { SCRATCH_BYTES } from "../codegen/step.ts";
import type { Target } from "../codegen/target.ts";
import type { Vec } from "../codegen/vector.ts";
import type { PagedAttentionParams } from "./attention.ts";
import type { Args } from "./row_programs.ts";

/*
 * Attention to cached keys for several queries at once: rows of one sequence, and the heads that share a key head. A
 * tile's keys are turned once, in groups of as many as a vector has lanes, so that a vector holds one number of each;
 * scores are then sums over vectors, and nothing is added up within one. Turned keys stand as [group][dim][lane], scores
 * of the queries that are computed together as [group][query][lane].
 */

/** Rows of a tile, by how many heads share a key head: about so many queries. */
const QUERIES = 64;
/** Rows of a tile at most. */
const MOST_ROWS = 32;
/** Queries that are computed together. */
const TOGETHER = 4;

/** Scratch memory: some numbers, then the turned keys, then scores. */
const NOTES = {
  first: 0,
  rows: 4,
  /** Keys before the tile's first row. */
  past: 8,
  /** Keys that the tile's last row sees. */
  keys: 12,
  firstPage: 16,
  row: 20,
  inverses: 32,
  bytes: 64,
} as const;

/** A cache of keys and values, and who looks at it. */
export interface PagedShape extends PagedAttentionParams {
  dim: number;
  /** Keys of a page. */
  page: number;
  /** Rows of all sequences. */
  T: number;
  sequences: number;
  /** Pages of all sequences. */
  pages: number;
}

/** Whether there are queries that share keys, in a form that fits. */
export function pagedBlockFits(target: Target, shape: PagedShape): boolean {
  const { heads, kv_heads, dim, page, T, sequences, pages, window } = shape;
  const shared = heads > kv_heads || T > sequences;
  const bytes = NOTES.bytes + 4 * pages * page * (dim + TOGETHER);
  return window === 0 && shared && page % target.lanes === 0 && bytes <= SCRATCH_BYTES;
}

function heightOf({ heads, kv_heads }: PagedAttentionParams): number {
  return Math.min(MOST_ROWS, Math.ceil(QUERIES / (heads / kv_heads)));
}

/** Tiles, of which some may find nothing to do: where blocks end is known only when the program runs. */
export function pagedBlockTiles(shape: PagedShape): number {
  const { kv_heads, T, sequences } = shape;
  return kv_heads * Math.min(T, Math.ceil(T / heightOf(shape)) + sequences);
}

export function pagedBlockProgram(b: Builder, args: Args, shape: PagedShape): void {
  findBlock(b, args, shape);
  b.if(b.scratch().readInt(NOTES.rows), ">", 0, () => {
    turnKeys(b, args, shape);
    eachQueries(b, args, shape);
  });
}

/** Notes which rows and keys this tile has; no rows, where there are no more blocks. */
function findBlock(b: Builder, args: Args, shape: PagedShape): void {
  const height = heightOf(shape);
  const notes = b.scratch();
  notes.writeInt(NOTES.rows, b.int(0));
  const block = b.variable(b.tile.dividedBy(shape.kv_heads));
  const at = b.cursor(args.table);
  b.repeat(args.sequences.read(), () => {
    const blocks = at
      .readInt(4)
      .plus(height - 1)
      .dividedBy(height);
    b.if(block, ">=", 0, () =>
      b.if(
        block,
        "<",
        blocks,
        () => {
          const start = block.times(height);
          const rows = at.readInt(4).minus(start).min(height);
          // Keys before are -1 for a row that sees nothing; as 32 bits without sign that is 2^32 - 1.
          const before = b.variable(at.readInt(8));
          b.if(before.dividedBy(2 ** 31), "==", 1, () => before.set(-1));
          notes.writeInt(NOTES.first, at.readInt(0).plus(start));
          notes.writeInt(NOTES.rows, rows);
          notes.writeInt(NOTES.past, before.plus(start).plus(1));
          notes.writeInt(NOTES.keys, before.plus(start).plus(rows));
          notes.writeInt(NOTES.firstPage, at.readInt(12));
          block.set(-1);
        },
        () => block.add(blocks.times(-1)),
      ),
    );
    at.advance(16);
  });
}

/** Calls `body` for each page of the first `keys` keys: where this tile's head begins in it, and how many keys count. */
function eachPage(
  b: Builder,
  args: Args,
  { kv_heads, page, dim }: PagedShape,
  matrix: Args[string],
  keys: Int,
  body: (at: Cursor, count: Int) => void,
): void {
  const number = b.cursor(args.pages, b.scratch().readInt(NOTES.firstPage).times(4));
  const left = b.variable(keys);
  const headBytes = 4 * page * dim;
  b.repeat(keys.plus(page - 1).dividedBy(page), () => {
    const start = number.readInt().times(kv_heads * headBytes);
    const at = b.cursor(matrix, start, b.tile.modulo(kv_heads).times(headBytes));
    body(at, left.min(page));
    left.add(-page);
    number.advance(4);
  });
}

function turnKeys(b: Builder, args: Args, shape: PagedShape): void {
  const { dim } = shape;
  const to = b.scratch(NOTES.bytes);
  eachPage(b, args, shape, args.keys, b.scratch().readInt(NOTES.keys), (key, count) => {
    b.repeat(count.dividedBy(b.lanes), () => {
      turn(b, dim, to, (i, c, lanes) => key.load(4 * (i * dim + c), lanes));
      key.advance(4 * b.lanes * dim);
      to.advance(4 * b.lanes * dim);
    });
    const rest = count.modulo(b.lanes);
    b.if(rest, ">", 0, () => {
      // Beyond the last key its numbers are read again: what follows may be anything.
      const last = rest.minus(1);
      turn(b, dim, to, (i, c, lanes) => key.copy(last.min(i).times(4 * dim)).load(4 * c, lanes));
    });
  });
}

/** One group of keys. */
function turn(
  b: Builder,
  dim: number,
  to: Cursor,
  load: (i: number, column: number, lanes: number) => Vec<"f32">,
): void {
  for (let c = 0; c < dim; c += b.lanes) {
    const lanes = Math.min(b.lanes, dim - c);
    const rows = Array.from({ length: b.lanes }, (_, i) => load(i, c, lanes));
    for (const [j, column] of transpose(b, rows).slice(0, lanes).entries())
      to.store(4 * (c + j) * b.lanes, column);
  }
}

/**
 * Queries that are computed together. There are few registers for integers: what the first of them sees waits in memory,
 * and everything else is worked out from it where it is needed.
 */
interface Queries {
  count: number;
  /** Bytes from the first number of `q`, and of `y`, to theirs. */
  at: Int;
  /** Bytes from one query to the next. */
  stride: number;
  /** How many more keys each one sees than the one before it. */
  more: 0 | 1;
}

/** Goes over the tile's queries: some heads of a row at a time where heads share keys, else some rows of a head. */
function eachQueries(b: Builder, args: Args, shape: PagedShape): void {
  const { heads, kv_heads, dim } = shape;
  const group = heads / kv_heads;
  const rowBytes = 4 * heads * dim;
  const note = (name: "past" | "rows" | "first"): Int => b.scratch().readInt(NOTES[name]);
  b.scratch().writeInt(NOTES.row, note("past"));
  const head = b.tile.modulo(kv_heads).times(4 * group * dim);
  const at = b.variable(note("first").times(rowBytes).plus(head));
  const nextRows = (count: number): void =>
    b.scratch().writeInt(NOTES.row, b.scratch().readInt(NOTES.row).plus(count));
  if (group === 1) {
    const some = (count: number): void => {
      attend(b, args, shape, { count, at, stride: rowBytes, more: 1 });
      nextRows(count);
      at.add(count * rowBytes);
    };
    b.repeat(note("rows").dividedBy(TOGETHER), () => some(TOGETHER));
    b.repeat(note("rows").modulo(TOGETHER), () => some(1));
    return;
  }
  const some = (count: number): void => {
    attend(b, args, shape, { count, at, stride: 4 * dim, more: 0 });
    at.add(4 * dim * count);
  };
  b.repeat(note("rows"), () => {
    b.repeat(Math.floor(group / TOGETHER), () => some(TOGETHER));
    if (group % TOGETHER > 0) some(group % TOGETHER);
    nextRows(1);
    at.add(rowBytes - 4 * dim * group);
  });
}

/** Keys that query `m` sees. */
function seenBy(b: Builder, { more }: Queries, m: number): Int {
  return b
    .scratch()
    .readInt(NOTES.row)
    .plus(more * m);
}

/** Groups of keys that one of the queries at least sees something of. */
function groupsOf(b: Builder, queries: Queries): Int {
  return seenBy(b, queries, queries.count - 1)
    .plus(b.lanes - 1)
    .dividedBy(b.lanes);
}

function attend(b: Builder, args: Args, shape: PagedShape, queries: Queries): void {
  const { count, stride, at } = queries;
  b.if(
    seenBy(b, queries, count - 1),
    ">",
    0,
    () => {
      scoresOf(b, args, shape, queries);
      for (let m = 0; m < count; m++) softmax(b, shape, queries, m);
      weightedSums(b, args, shape, queries);
    },
    () => {
      const y = b.cursor(args.y, at);
      for (let m = 0; m < count; m++)
        for (let i = 0; i < shape.dim; i += b.lanes)
          y.store(m * stride + 4 * i, b.f32(0), Math.min(b.lanes, shape.dim - i));
    },
  );
}

/** Where the scores begin: behind the turned keys of the tile. */
function scoresAt(b: Builder, { dim }: PagedShape): Cursor {
  const notes = b.scratch(NOTES.bytes);
  const groups = notes
    .readInt(NOTES.keys - NOTES.bytes)
    .plus(b.lanes - 1)
    .dividedBy(b.lanes);
  return notes.advance(groups.times(4 * b.lanes * dim));
}

/** scores = q k^T scale */
function scoresOf(b: Builder, args: Args, shape: PagedShape, queries: Queries): void {
  const { dim, scale } = shape;
  const { count, at, stride } = queries;
  const most = b.target.registers === 32 ? 4 : 2;
  const groupBytes = 4 * b.lanes * dim;
  const scores = scoresAt(b, shape);
  const keys = b.scratch(NOTES.bytes);
  const some = (width: number): void => {
    const sums = Array.from({ length: count }, () => Array.from({ length: width }, () => b.accF32()));
    const [key, number] = [keys.copy(), b.cursor(args.q, at)];
    b.repeat(dim, () => {
      const vectors = Array.from({ length: width }, (_, r) => key.load(r * groupBytes));
      for (const [m, row] of sums.entries()) {
        const factor = number.broadcast(m * stride);
        for (const [r, sum] of row.entries()) sum.fma(factor, vectors[r]);
      }
      key.advance(4 * b.lanes);
      number.advance(4);
    });
    for (const [m, row] of sums.entries())
      for (const [r, sum] of row.entries())
        scores.store(4 * b.lanes * (r * count + m), b.mul(sum, b.f32(scale)));
    scores.advance(4 * b.lanes * width * count);
    keys.advance(width * groupBytes);
  };
  b.repeat(groupsOf(b, queries).dividedBy(most), () => some(most));
  b.repeat(groupsOf(b, queries).modulo(most), () => some(1));
}

/** Scores of query `m` to e^(score - highest), in place, and zero beyond what it sees; notes 1 / their sum. */
function softmax(b: Builder, shape: PagedShape, queries: Queries, m: number): void {
  const highest = b.accF32(Number.NEGATIVE_INFINITY);
  eachGroup(b, shape, queries, m, (scores, mask) => {
    const value = scores.load();
    highest.max(mask ? b.select(mask, value, b.f32(Number.NEGATIVE_INFINITY)) : value);
  });
  const top = b.acc(maxLanes(b, highest));
  const sum = b.accF32();
  eachGroup(b, shape, queries, m, (scores, mask) => {
    const power = exp(b, b.sub(scores.load(), top));
    const value = mask ? b.and(power, mask) : power;
    scores.store(0, value);
    sum.add(value);
  });
  // A row that sees nothing is divided by nothing.
  const total = b.acc(sumLanes(b, sum));
  const inverse = b.and(b.div(b.f32(1), total), b.less(b.f32(0), total));
  b.scratch().store(NOTES.inverses + 4 * m, inverse, 1);
}

/** Goes over a query's scores group by group, with a mask where not all of a group's keys count. */
function eachGroup(
  b: Builder,
  shape: PagedShape,
  queries: Queries,
  m: number,
  body: (scores: Cursor, mask?: Vec<"mask">) => void,
): void {
  const next = 4 * b.lanes * queries.count;
  const scores = scoresAt(b, shape).advance(4 * b.lanes * m);
  const left = b.variable(seenBy(b, queries, m));
  b.repeat(groupsOf(b, queries), () => {
    b.if(
      left,
      ">=",
      b.lanes,
      () => body(scores),
      () => body(scores, b.firstLanes(left).mask),
    );
    left.add(-b.lanes);
    scores.advance(next);
  });
}

/** y = scores v / sum */
function weightedSums(b: Builder, args: Args, shape: PagedShape, queries: Queries): void {
  const { dim } = shape;
  const { count, at, stride } = queries;
  const width = (b.target.registers === 32 ? 4 : 2) * b.lanes;
  for (let c = 0; c < dim; c += width) {
    const parts: { column: number; lanes: number }[] = [];
    for (let column = c; column < Math.min(dim, c + width); column += b.lanes)
      parts.push({ column, lanes: Math.min(b.lanes, dim - column) });
    const sums = Array.from({ length: count }, () => parts.map(() => b.accF32()));
    const scores = scoresAt(b, shape);
    eachPage(b, args, shape, args.values, seenBy(b, queries, count - 1), (value, valid) => {
      const one = (): void => {
        const vectors = parts.map(({ column, lanes }) => value.load(4 * column, lanes));
        for (const [m, row] of sums.entries()) {
          const weight = scores.broadcast(4 * b.lanes * m);
          for (const [v, sum] of row.entries()) sum.fma(weight, vectors[v]);
        }
        scores.advance(4);
        value.advance(4 * dim);
      };
      b.repeat(valid.dividedBy(b.lanes), () => {
        b.repeat(b.lanes, one);
        scores.advance(4 * b.lanes * (count - 1));
      });
      b.repeat(valid.modulo(b.lanes), one);
    });
    const y = b.cursor(args.y, at);
    for (const [m, row] of sums.entries()) {
      const inverse = b.scratch().broadcast(NOTES.inverses + 4 * m);
      for (const [v, { column, lanes }] of parts.entries())
        y.store(m * stride + 4 * column, b.mul(row[v], inverse), lanes);
    }
  }
}
