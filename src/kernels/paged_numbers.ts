import type { Cursor } from "../codegen/cursor.ts";
import type { Builder } from "../codegen/ir.ts";
import type { Int } from "../codegen/scalar.ts";
import type { Target } from "../codegen/target.ts";
import type { Vec } from "../codegen/vector.ts";
import type { PagedAttentionParams } from "./attention.ts";
import { type CachePart, PageLayout, type PageShape } from "./cache_pages.ts";
import type { Args } from "./row_programs.ts";

/** Keys of a chunk: the numbers of chunk c are those of the keys from c * CHUNK on. */
export const CHUNK = 128;
/** Queries that are computed together. */
export const TOGETHER = 4;
/** Bytes that are fetched from memory together. */
const LINE = 64;

/** Scratch memory: some numbers, then the scores of TOGETHER queries, then what a program adds. */
export const NOTES = {
  /** The chunk's first key. */
  start: 0,
  /** Where its pages begin in `pages`. */
  firstPage: 4,
  /** The row of the first of the queries that are computed together, the bytes before it in that row, the keys it sees. */
  row: 8,
  column: 12,
  seen: 16,
  /** Their key head. */
  head: 20,
  /** Bytes from what is read to what is asked for. */
  ahead: 24,
  /** Free for the program around. */
  own: 28,
  /** Of each of the queries: its highest score, the sum of its weights; later factors on what was summed up, and on this. */
  tops: 64,
  sums: 80,
  scores: 128,
  end: 128 + 4 * CHUNK * TOGETHER,
} as const;

/** A cache of keys and values, and who looks at it. */
export interface PagedShape extends PagedAttentionParams, PageShape {
  /** Rows of all sequences. */
  T: number;
  sequences: number;
  /** Pages of all sequences. */
  pages: number;
}

/** Whether programs can walk over such pages. */
export function pagedFits({ lanes }: Target, { heads, kv_heads, page }: PagedShape): boolean {
  return heads % kv_heads === 0 && page % lanes === 0 && CHUNK % page === 0;
}

/** Where the numbers of a chunk stand in scratch memory as float32: `wideBytes` for each of the two. */
export type Wide = Readonly<Record<CachePart, number>>;

export function wideBytes({ dim }: PagedShape): number {
  return 4 * CHUNK * dim;
}

/**
 * The numbers of a chunk of keys and of their values. Where several groups of queries look at them one after the other,
 * those of fewer bits are first widened into scratch memory, at `wide`.
 */
export class ChunkNumbers {
  readonly #b: Builder;
  readonly #args: Args;
  /** That of keys; values have as many numbers in a block. */
  readonly #layout: PageLayout;
  readonly #wide: Wide | undefined;

  constructor(b: Builder, args: Args, shape: PagedShape, wide?: Wide) {
    this.#b = b;
    this.#args = args;
    this.#layout = new PageLayout("keys", shape);
    this.#wide = shape.element === "float32" ? undefined : wide;
  }

  /** Bytes of a number where `eachBlock` finds it. */
  get bytes(): number {
    return this.#wide ? 4 : this.#layout.bytes;
  }

  /** Some of the numbers of a block, `number` of them after `at`. */
  load(at: Cursor, number: number, lanes = this.#b.lanes): Vec<"f32"> {
    return this.#wide ? at.load(4 * number, lanes) : this.#loadKept(at, number, lanes);
  }

  /** Some of the numbers in pages; those of 8 bits without their scale. */
  #loadKept(at: Cursor, number: number, lanes: number): Vec<"f32"> {
    const { element } = this.#layout;
    if (element === "int8") return this.#b.toF32(at.loadI8(number, lanes));
    if (element === "float16") return at.loadFiniteF16(2 * number, lanes);
    return at.load(4 * number, lanes);
  }

  /** Asks for `numbers` numbers, from number `first` on. */
  prefetch(at: Cursor | undefined, first: number, numbers: number): void {
    const { bytes } = this.#layout;
    for (let n = 0; n < numbers; n += LINE / bytes) at?.prefetch(bytes * (first + n), "L2");
  }

  /** Calls `body` for each page of the chunk: where the key head begins in it, and how many keys count. */
  eachPage(matrix: Args[string], keys: Int, body: (at: Cursor, count: Int) => void): void {
    const b = this.#b;
    const { kv_heads, page, blockBytes } = this.#layout;
    const number = b.cursor(this.#args.pages, this.#b.scratch().readInt(NOTES.firstPage).times(4));
    const left = b.variable(keys);
    b.forever((leave) => {
      leave(left, "<=", 0);
      const start = number
        .readInt()
        .times(kv_heads)
        .plus(this.#b.scratch().readInt(NOTES.head))
        .times(blockBytes);
      body(b.cursor(matrix, start), left.min(page));
      left.add(-page);
      number.advance(4);
    });
  }

  /** As `eachPage`, where the numbers are. */
  eachBlock(part: CachePart, keys: Int, body: (at: Cursor, count: Int) => void): void {
    if (!this.#wide) {
      this.eachPage(this.#args[part], keys, body);
      return;
    }
    const b = this.#b;
    const { page, numbers } = this.#layout;
    const at = b.scratch(this.#wide[part]);
    const left = b.variable(keys);
    b.forever((leave) => {
      leave(left, "<=", 0);
      body(at.copy(), left.min(page));
      left.add(-page);
      at.advance(4 * numbers);
    });
  }

  /** Writes the numbers of the chunk's first `keys` keys, and of their values, to scratch memory as float32. */
  widen(keys: Int): void {
    const wide = this.#wide;
    if (!wide) return;
    const b = this.#b;
    const { numbers, bytes } = this.#layout;
    for (const part of ["keys", "values"] as const) {
      const to = b.scratch(wide[part]);
      this.eachPage(this.#args[part], keys, (from) =>
        b.elements(
          numbers,
          (i, lanes) => to.store(4 * i, this.#loadKept(from, i, lanes), lanes),
          (k) => {
            from.advance(bytes * k);
            to.advance(4 * k);
          },
          4,
        ),
      );
    }
  }
}
