import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import { exp, maxLanes, sumLanes, transpose } from "../codegen/math.ts";
import type { Int } from "../codegen/scalar.ts";
import { SCRATCH_BYTES } from "../codegen/step.ts";
import type { Acc } from "../codegen/vector.ts";
import type { AttentionParams } from "./attention.ts";
import type { Args } from "./row_programs.ts";

/*
 * Attention of many rows to the same keys, as in a vision tower. A tile is a block of rows of one sequence and head. The
 * keys are turned once for the whole block, so that a vector holds one number of as many keys; scores are then sums over
 * vectors, and nothing is added up within one.
 */

/** Rows of a block. */
const BLOCK = 32;
/** Rows that go over keys and values together. */
const ROWS = 4;
/** Scratch memory: some numbers, the scores of ROWS rows, the turned keys. */
const NOTES = { first: 0, keys: 4, start: 8, rows: 12, inverses: 32, bytes: 64 } as const;

/** Whether the scratch memory holds all that is needed for `rows` keys. */
export function blockFits(rows: number, dim: number): boolean {
  return NOTES.bytes + capacityOf(rows, 16) * 4 * (dim + ROWS) <= SCRATCH_BYTES;
}

/** Tiles, of which some may find nothing to do: where blocks end is known only when the program runs. */
export function blockTiles(rows: number, sequences: number, heads: number): number {
  return heads * (Math.ceil(rows / BLOCK) + sequences);
}

function capacityOf(rows: number, lanes: number): number {
  return Math.ceil(rows / lanes) * lanes;
}

/** Each row sees every row of its own sequence. `rows`: of all sequences together. */
export function blockAttentionProgram(
  b: Builder,
  args: Args,
  params: AttentionParams,
  dim: number,
  rows: number,
): void {
  findBlock(b, args, params.heads);
  const notes = b.scratch();
  b.if(notes.readInt(NOTES.keys), ">", 0, () => {
    const block = new BlockAttention(b, args, params, dim, capacityOf(rows, b.lanes));
    block.turnKeys();
    block.eachRows();
  });
}

/** Notes which rows and keys this tile has; none, where there are no more blocks. */
function findBlock(b: Builder, args: Args, heads: number): void {
  const notes = b.scratch();
  const zero = b.int(0);
  notes.writeInt(NOTES.keys, zero);
  const block = b.variable(b.tile.dividedBy(heads));
  const at = b.cursor(args.table);
  b.repeat(args.sequences.read(), () => {
    const rows = at.readInt(4);
    const blocks = rows.plus(BLOCK - 1).dividedBy(BLOCK);
    b.if(block, ">=", 0, () =>
      b.if(
        block,
        "<",
        blocks,
        () => {
          const start = block.times(BLOCK);
          notes.writeInt(NOTES.first, at.readInt(0));
          notes.writeInt(NOTES.keys, rows);
          notes.writeInt(NOTES.start, start);
          notes.writeInt(NOTES.rows, rows.minus(start).min(BLOCK));
          block.set(-1);
        },
        () => block.add(blocks.times(-1)),
      ),
    );
    at.advance(8);
  });
}

class BlockAttention {
  readonly #b: Builder;
  readonly #args: Args;
  readonly #params: AttentionParams;
  readonly #dim: number;
  /** Bytes from one row of scores, or of turned keys, to the next. */
  readonly #stride: number;
  /** Bytes from one row of q and y to the next, and of k and v. */
  readonly #qRow: number;
  readonly #kRow: number;
  /** Where the turned keys begin in scratch memory. */
  readonly #turned: number;

  constructor(b: Builder, args: Args, params: AttentionParams, dim: number, capacity: number) {
    this.#b = b;
    this.#args = args;
    this.#params = params;
    this.#dim = dim;
    this.#stride = 4 * capacity;
    this.#qRow = 4 * params.heads * dim;
    this.#kRow = 4 * params.kv_heads * dim;
    this.#turned = NOTES.bytes + ROWS * this.#stride;
  }

  #keys(): Int {
    return this.#b.scratch().readInt(NOTES.keys);
  }

  /** The first key or value of this tile's sequence and head. */
  #keyCursor(matrix: Args[string]): Cursor {
    const b = this.#b;
    const { heads, kv_heads } = this.#params;
    const head = b.tile.modulo(heads);
    const shared = heads === kv_heads ? head : head.times(kv_heads).dividedBy(heads);
    const first = b.scratch().readInt(NOTES.first);
    return b.cursor(matrix, first.times(this.#kRow), shared.times(4 * this.#dim));
  }

  /** Writes the keys with rows and columns exchanged. */
  turnKeys(): void {
    const b = this.#b;
    const key = this.#keyCursor(this.#args.k);
    const to = b.scratch(this.#turned);
    b.repeat(this.#keys().dividedBy(b.lanes), () => {
      this.#turn(to, (i, c, lanes) => key.load(i * this.#kRow + 4 * c, lanes));
      key.advance(b.lanes * this.#kRow);
      to.advance(4 * b.lanes);
    });
    const rest = this.#keys().modulo(b.lanes);
    b.if(rest, ">", 0, () => {
      // Beyond the last key its numbers are read again: what follows it may not be memory.
      this.#turn(to, (i, c, lanes) => {
        const row = rest.minus(1).min(i).times(this.#kRow);
        return key.copy(row).load(4 * c, lanes);
      });
    });
  }

  #turn(to: Cursor, load: (i: number, column: number, lanes: number) => ReturnType<Cursor["load"]>): void {
    const b = this.#b;
    for (let c = 0; c < this.#dim; c += b.lanes) {
      const lanes = Math.min(b.lanes, this.#dim - c);
      const rows = Array.from({ length: b.lanes }, (_, i) => load(i, c, lanes));
      for (const [j, column] of transpose(b, rows).slice(0, lanes).entries()) {
        to.store((c + j) * this.#stride, column);
      }
    }
  }

  eachRows(): void {
    const b = this.#b;
    const notes = b.scratch();
    const row = notes.readInt(NOTES.first).plus(notes.readInt(NOTES.start));
    const at = row.times(this.#qRow).plus(b.tile.modulo(this.#params.heads).times(4 * this.#dim));
    const [q, y] = [b.cursor(this.#args.q, at), b.cursor(this.#args.y, at)];
    const some = (M: number): void => {
      this.#scores(M, q);
      for (let m = 0; m < M; m++) this.#softmax(m);
      this.#weightedSums(M, y);
      for (const cursor of [q, y]) cursor.advance(M * this.#qRow);
    };
    b.repeat(notes.readInt(NOTES.rows).dividedBy(ROWS), () => some(ROWS));
    b.repeat(notes.readInt(NOTES.rows).modulo(ROWS), () => some(1));
  }

  /** scores[m] = q[m] k^T scale */
  #scores(M: number, q: Cursor): void {
    const b = this.#b;
    const R = b.target.registers === 32 ? 4 : 2;
    const groups = this.#keys()
      .plus(b.lanes - 1)
      .dividedBy(b.lanes);
    const scores = b.scratch(NOTES.bytes);
    const keys = b.scratch(this.#turned);
    const group = (width: number): void => {
      const sums = Array.from({ length: M }, () => Array.from({ length: width }, () => b.accF32()));
      const [key, number] = [keys.copy(), q.copy()];
      b.repeat(this.#dim, () => {
        const vectors = Array.from({ length: width }, (_, r) => key.load(4 * r * b.lanes));
        for (const [m, row] of sums.entries()) {
          const factor = number.broadcast(m * this.#qRow);
          for (const [r, sum] of row.entries()) sum.fma(factor, vectors[r]);
        }
        key.advance(this.#stride);
        number.advance(4);
      });
      for (const [m, row] of sums.entries())
        for (const [r, sum] of row.entries()) {
          scores.store(m * this.#stride + 4 * r * b.lanes, b.mul(sum, b.f32(this.#params.scale)));
        }
      for (const cursor of [scores, keys]) cursor.advance(4 * width * b.lanes);
    };
    b.repeat(groups.dividedBy(R), () => group(R));
    b.repeat(groups.modulo(R), () => group(1));
  }

  /** Scores to e^(score - highest), in place; notes 1 / their sum. */
  #softmax(m: number): void {
    const b = this.#b;
    const highest = b.accF32(Number.NEGATIVE_INFINITY);
    this.#eachScores(m, (scores, whole) => {
      highest.max(whole ? scores.load() : scores.broadcast());
    });
    const top = b.acc(maxLanes(b, highest));
    const sum = b.accF32();
    const first = b.firstLanesMask(1);
    this.#eachScores(m, (scores, whole) => {
      const value = exp(b, b.sub(whole ? scores.load() : scores.broadcast(), top));
      scores.store(0, value, whole ? b.lanes : 1);
      sum.add(whole ? value : b.and(value, first));
    });
    b.scratch().store(NOTES.inverses + 4 * m, b.div(b.f32(1), sumLanes(b, sum)), 1);
  }

  /** Goes over a row's scores: vectors as long as they are whole, then one by one. */
  #eachScores(m: number, body: (scores: Cursor, whole: boolean) => void): void {
    const b = this.#b;
    const scores = b.scratch(NOTES.bytes + m * this.#stride);
    b.repeat(this.#keys().dividedBy(b.lanes), () => {
      body(scores, true);
      scores.advance(4 * b.lanes);
    });
    b.repeat(this.#keys().modulo(b.lanes), () => {
      body(scores, false);
      scores.advance(4);
    });
  }

  /** y[m] = scores[m] v / sum */
  #weightedSums(M: number, y: Cursor): void {
    const b = this.#b;
    const width = (b.target.registers === 32 ? 4 : 2) * b.lanes;
    for (let c = 0; c < this.#dim; c += width) {
      const parts: { at: number; lanes: number }[] = [];
      for (let at = c; at < Math.min(this.#dim, c + width); at += b.lanes) {
        parts.push({ at, lanes: Math.min(b.lanes, this.#dim - at) });
      }
      const sums = Array.from({ length: M }, () => parts.map((): Acc<"f32"> => b.accF32()));
      const value = this.#keyCursor(this.#args.v);
      const scores = b.scratch(NOTES.bytes);
      b.repeat(this.#keys(), () => {
        const vectors = parts.map(({ at, lanes }) => value.load(4 * at, lanes));
        for (const [m, row] of sums.entries()) {
          const weight = scores.broadcast(m * this.#stride);
          for (const [v, sum] of row.entries()) sum.fma(weight, vectors[v]);
        }
        scores.advance(4);
        value.advance(this.#kRow);
      });
      for (const [m, row] of sums.entries()) {
        const inverse = b.scratch().broadcast(NOTES.inverses + 4 * m);
        for (const [v, { at, lanes }] of parts.entries()) {
          y.store(m * this.#qRow + 4 * at, b.mul(row[v], inverse), lanes);
        }
      }
    }
  }
}
