import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import type { Int } from "../codegen/scalar.ts";
import { ChunkAttention, inverseOf, merged, type Queries, UNSEEN } from "./paged_chunk_program.ts";
import { CHUNK, NOTES, type PagedShape, TOGETHER, wideBytes } from "./paged_numbers.ts";
import type { Args } from "./row_programs.ts";

/*
 * Sequences with several rows: prompts. A tile is a block of rows of one sequence and a key head, with all heads that
 * share it. It goes over the keys chunk by chunk; what was summed up so far stands in y.
 */

/** Rows of a tile, by how many heads share a key head: about so many queries. */
const QUERIES = 64;
/** Rows of a tile at most. */
const MOST_ROWS = 32;

/** Scratch memory beside that of a chunk: some numbers; of each query the highest score, and the sum of weights. */
const OWN = {
  first: NOTES.own,
  rows: NOTES.own + 4,
  /** Keys that the first row sees, and the last. */
  seen: NOTES.own + 8,
  last: NOTES.own + 12,
  /** Bytes of notes of the queries before. */
  query: NOTES.own + 16,
  firstPage: NOTES.own + 20,
  state: NOTES.end,
} as const;

function heightOf({ heads, kv_heads }: PagedShape): number {
  return Math.min(MOST_ROWS, Math.ceil(QUERIES / (heads / kv_heads)));
}

/** Tiles, of which some may find nothing to do: where blocks end is known only when the program runs. */
export function blockTilesOf(shape: PagedShape): number {
  const { kv_heads, T, sequences } = shape;
  return kv_heads * Math.min(T, Math.ceil(T / heightOf(shape)) + sequences);
}

export function pagedBlockProgram(b: Builder, args: Args, shape: PagedShape): void {
  const block = new PagedBlock(b, args, shape);
  block.find();
  b.if(b.scratch().readInt(OWN.rows), ">", 0, () => {
    block.begin();
    block.eachChunk();
    block.finish();
  });
}

class PagedBlock {
  readonly #b: Builder;
  readonly #args: Args;
  readonly #shape: PagedShape;
  readonly #chunk: ChunkAttention;
  readonly #group: number;
  /** Bytes of notes of one kind: a number for each query. */
  readonly #stateBytes: number;

  constructor(b: Builder, args: Args, shape: PagedShape) {
    this.#b = b;
    this.#args = args;
    this.#shape = shape;
    this.#group = shape.heads / shape.kv_heads;
    this.#stateBytes = 4 * heightOf(shape) * this.#group;
    const keys = OWN.state + 2 * this.#stateBytes;
    this.#chunk = new ChunkAttention(b, args, shape, { wide: { keys, values: keys + wideBytes(shape) } });
  }

  /** Notes which rows and keys this tile has; no rows, where there are no more blocks. */
  find(): void {
    const b = this.#b;
    const height = heightOf(this.#shape);
    const chunk = this.#chunk;
    chunk.write(OWN.rows, b.int(0));
    chunk.write(NOTES.head, b.tile.modulo(this.#shape.kv_heads));
    const block = b.variable(b.tile.dividedBy(this.#shape.kv_heads));
    const at = b.cursor(this.#args.table);
    b.repeat(this.#args.sequences.read(), () => {
      const blocks = b.variable(0);
      b.if(at.readInt(4), ">", 1, () =>
        blocks.set(
          at
            .readInt(4)
            .plus(height - 1)
            .dividedBy(height),
        ),
      );
      b.if(block, ">=", 0, () =>
        b.if(block, "<", blocks, () => {
          const start = block.times(height);
          const rows = at.readInt(4).minus(start).min(height);
          const seen = at.readInt(8).plus(start).plus(1);
          chunk.write(OWN.first, at.readInt(0).plus(start));
          chunk.write(OWN.rows, rows);
          chunk.write(OWN.seen, seen);
          chunk.write(OWN.last, seen.plus(rows).minus(1));
          chunk.write(OWN.firstPage, at.readInt(12));
        }),
      );
      block.add(blocks.times(-1));
      at.advance(16);
    });
  }

  /** Nothing is summed up yet. */
  begin(): void {
    const b = this.#b;
    this.#eachQueries((queries) => {
      const [y, state] = [this.#chunk.first(this.#args.y), this.#state()];
      for (let m = 0; m < queries.count; m++)
        for (let i = 0; i < this.#shape.dim; i += b.lanes)
          y.store(m * queries.stride + 4 * i, b.f32(0), Math.min(b.lanes, this.#shape.dim - i));
      state.store(0, b.f32(UNSEEN), queries.count);
      state.store(this.#stateBytes, b.f32(0), queries.count);
    });
  }

  /** The first of the queries that are computed together. */
  #state(): Cursor {
    const b = this.#b;
    return b.scratch(OWN.state).advance(this.#chunk.read(OWN.query));
  }

  eachChunk(): void {
    const b = this.#b;
    const chunk = this.#chunk;
    const { window, page } = this.#shape;
    const first = window > 0 ? chunk.read(OWN.seen).minus(window).max(0).dividedBy(CHUNK) : b.int(0);
    chunk.write(NOTES.start, first.times(CHUNK));
    chunk.write(NOTES.firstPage, first.times(CHUNK / page).plus(chunk.read(OWN.firstPage)));
    b.forever((leave) => {
      leave(chunk.read(NOTES.start), ">=", chunk.read(OWN.last));
      chunk.widen(chunk.read(OWN.last).minus(chunk.read(NOTES.start)).min(CHUNK));
      this.#eachQueries((queries) =>
        b.if(chunk.keys(queries), ">", 0, () => {
          chunk.scores(queries);
          chunk.softmax(queries);
          this.#add(queries);
        }),
      );
      chunk.write(NOTES.start, chunk.read(NOTES.start).plus(CHUNK));
      chunk.write(NOTES.firstPage, chunk.read(NOTES.firstPage).plus(CHUNK / page));
    });
  }

  /** Adds the chunk to what was summed up. */
  #add(queries: Queries): void {
    const b = this.#b;
    const { count, stride } = queries;
    const [notes, state] = [b.scratch(), this.#state()];
    const step = merged(
      b,
      { top: state.load(0, count), sum: state.load(this.#stateBytes, count) },
      { top: notes.load(NOTES.tops, count), sum: notes.load(NOTES.sums, count) },
    );
    state.store(0, step.top, count);
    state.store(this.#stateBytes, step.sum, count);
    notes.store(NOTES.tops, step.before, count);
    notes.store(NOTES.sums, step.own, count);
    this.#chunk.weightedSums(queries, (m, column, lanes, sum) => {
      const y = this.#chunk.first(this.#args.y);
      const at = m * stride + 4 * column;
      const [before, own] = [
        b.scratch().broadcast(NOTES.tops + 4 * m),
        b.scratch().broadcast(NOTES.sums + 4 * m),
      ];
      y.store(at, b.fma(y.load(at, lanes), before, b.mul(sum, own)), lanes);
    });
  }

  /** y / the sum of weights */
  finish(): void {
    const b = this.#b;
    const { dim } = this.#shape;
    this.#eachQueries(({ count, stride }) => {
      const [y, state] = [this.#chunk.first(this.#args.y), this.#state()];
      for (let m = 0; m < count; m++) {
        const inverse = b.acc(inverseOf(b, state.broadcast(this.#stateBytes + 4 * m)));
        for (let i = 0; i < dim; i += b.lanes) {
          const [at, lanes] = [m * stride + 4 * i, Math.min(b.lanes, dim - i)];
          y.store(at, b.mul(y.load(at, lanes), inverse), lanes);
        }
      }
    });
  }

  /**
   * Goes over the tile's queries: some heads of a row at a time where heads share keys, else some rows of a head. There
   * are few registers for integers: where it stands waits in memory.
   */
  #eachQueries(body: (queries: Queries) => void): void {
    const b = this.#b;
    const chunk = this.#chunk;
    const { heads, dim } = this.#shape;
    const group = this.#group;
    const add = (offset: number, n: number): void => chunk.write(offset, chunk.read(offset).plus(n));
    const column = (): Int => chunk.read(NOTES.head).times(4 * group * dim);
    chunk.write(NOTES.row, chunk.read(OWN.first));
    chunk.write(NOTES.column, column());
    chunk.write(NOTES.seen, chunk.read(OWN.seen));
    chunk.write(OWN.query, b.int(0));
    const end = (): Int => chunk.read(OWN.first).plus(chunk.read(OWN.rows));
    const nextRows = (count: number): void => {
      add(NOTES.row, count);
      add(NOTES.seen, count);
    };
    if (group === 1) {
      const some = (count: number): void =>
        b.forever((leave) => {
          leave(chunk.read(NOTES.row).plus(count), ">", end());
          body({ count, stride: 4 * heads * dim, more: 1 });
          nextRows(count);
          add(OWN.query, 4 * count);
        });
      some(TOGETHER);
      some(1);
      return;
    }
    const some = (count: number): void => {
      body({ count, stride: 4 * dim, more: 0 });
      add(NOTES.column, 4 * dim * count);
      add(OWN.query, 4 * count);
    };
    b.forever((leave) => {
      leave(chunk.read(NOTES.row), ">=", end());
      if (group >= TOGETHER)
        b.forever((leaveRow) => {
          leaveRow(chunk.read(NOTES.column), ">=", column().plus(4 * dim * (group - (group % TOGETHER))));
          some(TOGETHER);
        });
      if (group % TOGETHER > 0) some(group % TOGETHER);
      nextRows(1);
      chunk.write(NOTES.column, column());
    });
  }
}
