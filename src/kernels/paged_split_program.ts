import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import type { Int, Var } from "../codegen/scalar.ts";
import { PageLayout } from "./cache_pages.ts";
import { ChunkAttention, inverseOf, merged, type Queries, UNSEEN } from "./paged_chunk_program.ts";
import { CHUNK, NOTES, type PagedShape, TOGETHER } from "./paged_numbers.ts";
import type { Args } from "./row_programs.ts";

/*
 * Sequences with one row: decoding. A tile of the first program is a chunk of a sequence's keys and a key head, with all
 * heads that share it; what it sums up goes to memory, from which a second program puts the chunks of a row together.
 * So threads share out a long sequence evenly, however few heads it has.
 *
 * Memory holds [chunk][key head][sums of each query, then the highest score of each, then the sum of weights of each].
 */

/** Tiles that threads can share out evenly. */
const ENOUGH = 10;
/** Queries that a tile of the second program puts together, about. */
const MERGED = 8;

function groupOf({ heads, kv_heads }: PagedShape): number {
  return heads / kv_heads;
}

/** Bytes that a tile leaves behind. */
function resultBytes(shape: PagedShape): number {
  return 4 * groupOf(shape) * (shape.dim + 2);
}

/** Chunks of all sequences, or some more; where they end is known only when the program runs. */
function chunksAtMost({ pages, page, sequences }: PagedShape): number {
  return Math.floor((pages * page) / CHUNK) + sequences;
}

/**
 * Key heads of a tile of the first program: several, where there are tiles enough. While one is computed with, the next
 * one's keys and values are asked for.
 */
export function splitHeads(shape: PagedShape): number {
  const all = shape.kv_heads * chunksAtMost(shape);
  return [4, 2].find((heads) => shape.kv_heads % heads === 0 && all / heads >= ENOUGH) ?? 1;
}

/** Tiles of the first program. */
export function splitTiles(shape: PagedShape): number {
  return (chunksAtMost(shape) * shape.kv_heads) / splitHeads(shape);
}

/** Memory between the two programs. */
export function splitBytes(shape: PagedShape): number {
  return chunksAtMost(shape) * shape.kv_heads * resultBytes(shape);
}

/** Tiles of the second program that a sequence has. */
function tilesOfRow({ heads, kv_heads }: PagedShape): number {
  return Math.ceil(kv_heads / keyHeads({ heads, kv_heads }));
}

/** Key heads of a tile of the second program. */
function keyHeads({ heads, kv_heads }: Pick<PagedShape, "heads" | "kv_heads">): number {
  return Math.max(1, Math.floor((MERGED * kv_heads) / heads));
}

export function mergeTiles(shape: PagedShape): number {
  return shape.sequences * tilesOfRow(shape);
}

/** The first chunk that a sequence with one row looks at, and how many; none, where it has more rows. */
function chunksOf(b: Builder, entry: Cursor, { window }: PagedShape): { first: Int; count: Int; keys: Int } {
  const past = entry.readInt(8);
  const keys = b.variable(past.plus(1));
  // Keys before are -1 for a row that sees nothing; as 32 bits without sign that is 2^32 - 1.
  b.if(past.dividedBy(2 ** 31), "==", 1, () => keys.set(0));
  const first = window > 0 ? keys.minus(window).max(0).dividedBy(CHUNK) : b.int(0);
  const count = b.variable(0);
  b.if(entry.readInt(4), "==", 1, () =>
    count.set(
      keys
        .plus(CHUNK - 1)
        .dividedBy(CHUNK)
        .minus(first),
    ),
  );
  return { first, count, keys };
}

/** The first program. */
export function splitProgram(b: Builder, args: Args, shape: PagedShape): void {
  const { heads, kv_heads, dim } = shape;
  const { blockBytes } = new PageLayout("keys", shape);
  const group = heads / kv_heads;
  const headsOfTile = splitHeads(shape);
  const asksAhead = group > 1 && headsOfTile > 1;
  const chunk = new ChunkAttention(b, args, shape, { asksAhead });
  findChunk(b, args, shape, chunk);
  // There are few registers for integers: bytes of notes of the queries before, and heads to come, wait in memory.
  const own = { query: NOTES.own, heads: NOTES.own + 4, slot: SLOT };
  const result = (): Cursor => {
    const before = chunk.read(own.slot).times(kv_heads).plus(chunk.read(NOTES.head));
    return b.cursor(args.work, before.times(resultBytes(shape)));
  };
  const some = (count: number): void => {
    const queries: Queries = { count, stride: 4 * dim, more: 0 };
    chunk.scores(queries);
    chunk.softmax(queries);
    chunk.weightedSums(queries, (m, column, lanes, sum) =>
      result()
        .advance(chunk.read(own.query).times(dim))
        .store(4 * (m * dim + column), sum, lanes),
    );
    const notes = result().advance(chunk.read(own.query));
    notes.store(4 * group * dim, b.scratch().load(NOTES.tops, count), count);
    notes.store(4 * group * (dim + 1), b.scratch().load(NOTES.sums, count), count);
    chunk.write(NOTES.column, chunk.read(NOTES.column).plus(4 * dim * count));
    chunk.write(own.query, chunk.read(own.query).plus(4 * count));
  };
  b.if(chunk.read(NOTES.seen), ">", 0, () => {
    chunk.write(own.heads, b.int(headsOfTile));
    b.forever((leave) => {
      const left = chunk.read(own.heads);
      leave(left, "==", 0);
      // A head's pages lie behind those of the one before. The last head asks for what it has.
      if (asksAhead) chunk.write(NOTES.ahead, left.minus(1).min(1).times(blockBytes));
      chunk.write(own.heads, left.minus(1));
      chunk.write(own.query, b.int(0));
      if (group >= TOGETHER)
        b.forever((leaveHead) => {
          leaveHead(chunk.read(own.query), ">=", 4 * (group - (group % TOGETHER)));
          some(TOGETHER);
        });
      if (group % TOGETHER > 0) some(group % TOGETHER);
      chunk.write(NOTES.head, chunk.read(NOTES.head).plus(1));
    });
  });
}

/** Which chunk of all is the tile's. */
const SLOT = NOTES.own + 8;

/** Notes which chunk and heads this tile has; that nothing is seen, where there are no more chunks. */
function findChunk(b: Builder, args: Args, shape: PagedShape, chunk: ChunkAttention): void {
  const { heads, kv_heads, dim, page } = shape;
  const tiles = kv_heads / splitHeads(shape);
  const head = b.tile.modulo(tiles).times(splitHeads(shape));
  chunk.write(NOTES.seen, b.int(0));
  chunk.write(NOTES.head, head);
  chunk.write(NOTES.column, head.times((4 * heads * dim) / kv_heads));
  const slot = b.variable(b.tile.dividedBy(tiles));
  chunk.write(SLOT, slot);
  const at = b.cursor(args.table);
  b.repeat(args.sequences.read(), () => {
    const { first, count, keys } = chunksOf(b, at, shape);
    b.if(slot, ">=", 0, () =>
      b.if(slot, "<", count, () => {
        const start = slot.plus(first).times(CHUNK);
        chunk.write(NOTES.start, start);
        chunk.write(NOTES.firstPage, start.dividedBy(page).plus(at.readInt(12)));
        chunk.write(NOTES.row, at.readInt(0));
        chunk.write(NOTES.seen, keys);
      }),
    );
    slot.add(count.times(-1));
    at.advance(16);
  });
}

/** The second program, for its tile `tile`. */
export function mergeProgram(b: Builder, args: Args, shape: PagedShape, tile: Int): void {
  const { heads, kv_heads, dim } = shape;
  const group = heads / kv_heads;
  const sequence = tile.dividedBy(tilesOfRow(shape));
  const at = b.cursor(args.table);
  const chunks = b.variable(0);
  b.repeat(sequence, () => {
    chunks.add(chunksOf(b, at, shape).count);
    at.advance(16);
  });
  b.if(at.readInt(4), "==", 1, () => {
    const { count } = chunksOf(b, at, shape);
    const head = b.variable(tile.modulo(tilesOfRow(shape)).times(keyHeads(shape)));
    const query = b.variable(head.times(group));
    const y = b.cursor(
      args.y,
      at
        .readInt(0)
        .times(heads)
        .plus(query)
        .times(4 * dim),
    );
    const from = b.cursor(args.work, chunks.times(kv_heads).plus(head).times(resultBytes(shape)));
    b.repeat(b.int(kv_heads).minus(head).min(keyHeads(shape)), () => {
      const notes = from.copy(4 * group * dim);
      b.repeat(group, () => {
        mergeQuery(b, shape, { from, notes, y, count });
        from.advance(4 * dim);
        notes.advance(4);
        y.advance(4 * dim);
      });
      from.advance(4 * group * 2);
    });
  });
}

/** Puts the chunks of one query together. */
function mergeQuery(
  b: Builder,
  shape: PagedShape,
  { from, notes, y, count }: { from: Cursor; notes: Cursor; y: Cursor; count: Var | Int },
): void {
  const { dim, kv_heads } = shape;
  const next = kv_heads * resultBytes(shape);
  const group = groupOf(shape);
  const width = (b.target.registers / 4) * b.lanes;
  for (let c = 0; c < dim; c += width) {
    const columns: { column: number; lanes: number }[] = [];
    for (let column = c; column < Math.min(dim, c + width); column += b.lanes)
      columns.push({ column, lanes: Math.min(b.lanes, dim - column) });
    const sums = columns.map(() => b.accF32());
    const known = { top: b.accF32(UNSEEN), sum: b.accF32() };
    const [part, own] = [from.copy(), notes.copy()];
    b.repeat(count, () => {
      const step = merged(b, known, { top: own.broadcast(), sum: own.broadcast(4 * group) });
      for (const [v, { column, lanes }] of columns.entries())
        sums[v].set(b.fma(sums[v], step.before, b.mul(part.load(4 * column, lanes), step.own)));
      known.top.set(step.top);
      known.sum.set(step.sum);
      for (const cursor of [part, own]) cursor.advance(next);
    });
    const inverse = b.acc(inverseOf(b, known.sum));
    for (const [v, { column, lanes }] of columns.entries())
      y.store(4 * column, b.mul(sums[v], inverse), lanes);
  }
}
