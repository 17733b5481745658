import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import { exp, maxLanes, sumLanes } from "../codegen/math.ts";
import type { Int } from "../codegen/scalar.ts";
import type { Acc } from "../codegen/vector.ts";
import type { AttentionParams } from "./attention.ts";
import type { Args } from "./row_programs.ts";

/*
 * A tile is one query row and head. Scores stand in the thread's scratch memory between the two passes over the keys.
 */

/** Scratch memory: some numbers, then the scores. */
const NOTES = { from: 0, keys: 4, firstPage: 8, inPage: 12, bytes: 64 } as const;

/** What a pass over keys or values needs. */
interface Head {
  heads: number;
  kv_heads: number;
  dim: number;
}

/** Calls `body` for runs of keys that lie at even distances: `at` the first one's bytes, `count` of them. */
type EachRun = (matrix: Args[string], body: (at: Cursor, count: Int) => void) => void;

/** Row and head of this tile. */
function rowAndHead(b: Builder, { heads }: Head): { row: Int; head: Int } {
  return { row: b.tile.dividedBy(heads), head: b.tile.modulo(heads) };
}

/** The key head that a query head shares. */
function sharedHead(head: Int, { heads, kv_heads }: Head): Int {
  return heads === kv_heads ? head : head.times(kv_heads).dividedBy(heads);
}

/** Finds the sequence of a row: calls `found` with the address of its entry of `width` numbers. */
function sequenceOf(b: Builder, args: Args, row: Int, width: number): { entry: Int; index: Int } {
  const entry = b.variable(args.table.read());
  const index = b.variable(row);
  const at = b.cursor(args.table);
  b.repeat(args.sequences.read(), () => {
    const [first, rows] = [at.readInt(0), at.readInt(4)];
    b.if(row, ">=", first, () =>
      b.if(row, "<", first.plus(rows), () => {
        entry.set(at.pointer);
        index.set(row.minus(first));
      }),
    );
    at.advance(4 * width);
  });
  return { entry, index };
}

/** y = softmax(q k^T scale) v for one row and head, over `keys` keys in runs `stride` bytes apart. */
function attend(
  b: Builder,
  args: Args,
  head: Head,
  scale: number,
  names: { keys: string; values: string },
  keys: Int,
  eachRun: EachRun,
  stride: number,
): void {
  const { dim } = head;
  const at = b.tile.times(4 * dim);
  b.if(
    keys,
    ">",
    0,
    () => {
      const q = b.cursor(args.q, at);
      const scores = b.scratch(NOTES.bytes);
      eachRun(args[names.keys], (key, count) =>
        b.repeat(count, () => {
          scores.store(0, b.mul(sumLanes(b, dotRow(b, q, key, dim)), b.f32(scale)), 1);
          scores.advance(4);
          key.advance(stride);
        }),
      );
      const sum = softmax(b, keys);
      weightedSum(b, args[names.values], head, at, eachRun, stride, args, sum);
    },
    () => {
      const y = b.cursor(args.y, at);
      b.elements(
        dim,
        (i, lanes) => y.store(4 * i, b.f32(0), lanes),
        (k) => y.advance(4 * k),
      );
    },
  );
}

/** Sums of products, lane by lane. The cursors stay where they are. */
function dotRow(b: Builder, q: Cursor, key: Cursor, dim: number): Acc<"f32"> {
  const sum = b.accF32();
  for (let i = 0; i < dim; i += b.lanes) {
    const lanes = Math.min(b.lanes, dim - i);
    sum.fma(q.load(4 * i, lanes), key.load(4 * i, lanes));
  }
  return sum;
}

/** Scores to e^(score - highest), in place; gives their sum, in every lane. */
function softmax(b: Builder, keys: Int): Acc<"f32"> {
  const highest = b.accF32(Number.NEGATIVE_INFINITY);
  eachScores(b, keys, (scores, whole) => {
    if (whole) highest.max(scores.load());
    else highest.max(scores.broadcast());
  });
  const top = b.acc(maxLanes(b, highest));
  const sum = b.accF32();
  const first = b.firstLanesMask(1);
  eachScores(b, keys, (scores, whole) => {
    const value = exp(b, b.sub(whole ? scores.load() : scores.broadcast(), top));
    scores.store(0, value, whole ? b.lanes : 1);
    sum.add(whole ? value : b.and(value, first));
  });
  return b.acc(sumLanes(b, sum));
}

/** Goes over the scores: vectors as long as they are whole, then one by one. */
function eachScores(b: Builder, keys: Int, body: (scores: Cursor, whole: boolean) => void): void {
  const scores = b.scratch(NOTES.bytes);
  b.repeat(keys.dividedBy(b.lanes), () => {
    body(scores, true);
    scores.advance(4 * b.lanes);
  });
  b.repeat(keys.modulo(b.lanes), () => {
    body(scores, false);
    scores.advance(4);
  });
}

/** Vectors of a head whose sums are kept in registers at once. */
const VECTORS = 8;

function weightedSum(
  b: Builder,
  values: Args[string],
  { dim }: Head,
  at: Int,
  eachRun: EachRun,
  stride: number,
  args: Args,
  sum: Acc<"f32">,
): void {
  for (let first = 0; first < dim; first += VECTORS * b.lanes) {
    const parts = Array.from(
      { length: Math.ceil(Math.min(VECTORS * b.lanes, dim - first) / b.lanes) },
      (_, v) => first + v * b.lanes,
    );
    const sums = parts.map(() => b.accF32());
    const scores = b.scratch(NOTES.bytes);
    eachRun(values, (value, count) =>
      b.repeat(count, () => {
        const weight = scores.broadcast();
        for (const [v, i] of parts.entries())
          sums[v].fma(weight, value.load(4 * i, Math.min(b.lanes, dim - i)));
        scores.advance(4);
        value.advance(stride);
      }),
    );
    const y = b.cursor(args.y, at);
    for (const [v, i] of parts.entries()) y.store(4 * i, b.div(sums[v], sum), Math.min(b.lanes, dim - i));
  }
}

/** Each row sees every row of its own sequence. */
export function attentionProgram(b: Builder, args: Args, params: AttentionParams, dim: number): void {
  const head: Head = { heads: params.heads, kv_heads: params.kv_heads, dim };
  const tile = rowAndHead(b, head);
  const { entry } = sequenceOf(b, args, tile.row, 2);
  const table = b.cursor(entry);
  const rows = table.readInt(4);
  const stride = 4 * params.kv_heads * dim;
  const offset = table
    .readInt(0)
    .times(stride)
    .plus(sharedHead(tile.head, head).times(4 * dim));
  const eachRun: EachRun = (matrix, body) => body(b.cursor(matrix, offset), rows);
  attend(b, args, head, params.scale, { keys: "k", values: "v" }, rows, eachRun, stride);
}
