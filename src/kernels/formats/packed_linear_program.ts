import type { Cursor } from "../../codegen/cursor.ts";
import { dot4, type NibbleSum, nibbleSum, nibbles } from "../../codegen/dots.ts";
import type { Builder } from "../../codegen/ir.ts";
import type { Argument } from "../../codegen/scalar.ts";
import type { Target } from "../../codegen/target.ts";
import type { Acc, Vec } from "../../codegen/vector.ts";
import type { VectorForm } from "../../devices/kernel.ts";
import { BYTES, type DType } from "../../tensor/dtype.ts";
import { broadcastFloat, loadFloat } from "../linear_program.ts";
import { BLOCK, GROUP, type WeightFormat } from "./format.ts";
import { QUANTISED_BYTES } from "./quantise_rows.ts";

/** A product with a packed weight as a program sees it. */
export interface PackedShape {
  format: WeightFormat;
  /** Rows of the input. */
  T: number;
  K: number;
  N: number;
  /** undefined: no bias. */
  bias: DType | undefined;
}

type Args = Readonly<Record<string, Argument>>;

/** 32-bit words of a row's codes in a block, as bytes. */
const WORDS = BLOCK / 4;

/** Groups of 16 rows of the weight in a tile of work of few input rows. */
const THIN_GROUPS = 4;

/** Columns of y that a tile of many input rows computes, and the input rows that it goes through at most. */
const WIDE = { columns: 32, rows: 192 } as const;

/** Blocks of the weight that are unpacked at once: with the input's they stay in the nearest cache. */
const CHUNK = 16;

/** Input rows that are multiplied straight from the packed weight. */
function thinRows(target: Target): number {
  if (target.registers === 32) return 6;
  return target.lanes === 8 ? 2 : 1;
}

/** Rows and vectors of columns of y whose sums are in registers together. */
function wideBlock(target: Target): { MR: number; NV: number } {
  return target.registers === 32 ? { MR: 6, NV: 2 } : { MR: 4, NV: 1 };
}

export function packedLinearForm(target: Target, shape: PackedShape): VectorForm {
  const { format, T, K, N, bias } = shape;
  const thin = T <= thinRows(target);
  const key = `${format.name} ${K} ${N} ${bias} ${thin ? T : "wide"}`;
  if (thin) {
    const tiles = Math.ceil(N / (GROUP * THIN_GROUPS));
    return { key, tiles, build: (b, args) => thinProgram(b, args, shape) };
  }
  return {
    key,
    tiles: Math.ceil(T / WIDE.rows) * Math.ceil(N / WIDE.columns),
    numbers: { rows: T },
    build: (b, args) => wideProgram(b, args, shape),
  };
}

/** A sum of products of the codes of one block, which starts from the input's correction. */
function blockSum(b: Builder, { codeBits }: WeightFormat, start: () => Vec<"i32">): NibbleSum {
  if (codeBits === 4) return nibbleSum(b, start);
  const sum = b.acc(start());
  const whole: NibbleSum = {
    step(w, x) {
      dot4(b, sum, w, x);
      return whole;
    },
    finish: () => sum,
  };
  return whole;
}

/** The words of a block for a vector of rows, one for each 4 columns, loaded one after the other. */
function eachWord(
  b: Builder,
  { codeBits }: WeightFormat,
  w: Cursor,
  at: number,
  use: (word: number, codes: Vec<"bytes">) => void,
): void {
  for (let j = 0; j < (WORDS * codeBits) / 8; j++) {
    const loaded = w.loadBytes(at + 64 * j);
    if (codeBits === 8) use(j, loaded);
    else for (const [half, codes] of nibbles(b, loaded).entries()) use(2 * j + half, codes);
  }
}

/** Where the scales of a block stand. */
function scalesAt({ codeBits }: WeightFormat): number {
  return (GROUP * BLOCK * codeBits) / 8;
}

/**
 * Few input rows: the weight is read once, which is what it takes the time for. A tile is a few groups of the weight's
 * rows.
 */
function thinProgram(b: Builder, args: Args, { format, T, K, N, bias }: PackedShape): void {
  const blocks = K / BLOCK;
  const first = b.tile.times(THIN_GROUPS);
  const w = b.cursor(args.weight, first.times(blocks * format.groupBytes));
  const y = b.cursor(args.y, first.times(4 * GROUP));
  const offset = bias && b.cursor(args.bias, first.times(BYTES[bias] * GROUP));
  const parts = Array.from({ length: GROUP / b.lanes }, (_, h) => h);
  const group = (columns: number): void => {
    const sums = parts.map(() => Array.from({ length: T }, () => b.accF32()));
    const x = b.cursor(args.x);
    b.repeat(blocks, () => {
      for (const h of parts) thinBlock(b, format, w, h, x, blocks * QUANTISED_BYTES, sums[h]);
      w.advance(format.groupBytes);
      x.advance(QUANTISED_BYTES);
    });
    for (const h of parts) {
      const lanes = Math.min(b.lanes, columns - h * b.lanes);
      if (lanes <= 0) continue;
      const addend = offset && bias && loadFloat(offset, bias, BYTES[bias] * h * b.lanes, lanes);
      for (let t = 0; t < T; t++) {
        const sum = addend ? b.add(sums[h][t], addend) : sums[h][t];
        y.store(4 * (t * N + h * b.lanes), sum, lanes);
      }
    }
    y.advance(4 * GROUP);
    if (offset && bias) offset.advance(BYTES[bias] * GROUP);
  };
  const whole = Math.floor(N / GROUP);
  b.repeat(b.int(whole).minus(first).min(THIN_GROUPS), () => group(GROUP));
  if (N % GROUP > 0) b.if(b.tile, "==", Math.floor(whole / THIN_GROUPS), () => group(N % GROUP));
}

/** One block of a vector of the weight's rows, with each row of the input. */
function thinBlock(
  b: Builder,
  format: WeightFormat,
  w: Cursor,
  part: number,
  x: Cursor,
  rowBytes: number,
  sums: Acc<"f32">[],
): void {
  const dots = sums.map((_, t) => blockSum(b, format, () => x.broadcastI32(t * rowBytes + BLOCK + 4)));
  eachWord(b, format, w, 4 * part * b.lanes, (word, codes) => {
    for (const [t, dot] of dots.entries()) dot.step(codes, x.broadcastBytes(t * rowBytes + 4 * word));
  });
  const scale = w.loadBf16(scalesAt(format) + 2 * part * b.lanes);
  for (const [t, dot] of dots.entries())
    sums[t].fma(b.toF32(dot.finish()), b.mul(scale, x.broadcast(t * rowBytes + BLOCK)));
}

/**
 * Many input rows: a tile is 32 columns of y and up to 192 rows. A chunk of the weight's columns is unpacked into the
 * thread's own memory, then multiplied with all rows; y holds the sums between chunks.
 */
function wideProgram(b: Builder, args: Args, shape: PackedShape): void {
  const { N, K } = shape;
  const rowTiles = args.rows
    .read()
    .plus(WIDE.rows - 1)
    .dividedBy(WIDE.rows);
  const firstRow = b.variable(b.tile.modulo(rowTiles).times(WIDE.rows));
  const panel = b.variable(b.tile.dividedBy(rowTiles));
  const rows = b.variable(args.rows.read().minus(firstRow).min(WIDE.rows));
  const whole = Math.floor(N / WIDE.columns);
  const rowBytes = (K / BLOCK) * QUANTISED_BYTES;
  const compute = (columns: number): void => {
    const y = b.cursor(args.y, firstRow.times(4 * N), panel.times(4 * WIDE.columns));
    startSums(b, args, shape, panel.times(WIDE.columns), columns, y, rows);
    const x = b.cursor(args.x, firstRow.times(rowBytes));
    const w = b.cursor(
      args.weight,
      panel.times((WIDE.columns / GROUP) * (K / BLOCK) * shape.format.groupBytes),
    );
    const chunk = (blocks: number): void => {
      unpackChunk(b, shape, w, blocks, columns);
      multiplyChunk(b, shape, x, y, rows, blocks, columns);
      x.advance(blocks * QUANTISED_BYTES);
      w.advance(blocks * shape.format.groupBytes);
    };
    b.repeat(Math.floor(K / BLOCK / CHUNK), () => chunk(CHUNK));
    if ((K / BLOCK) % CHUNK > 0) chunk((K / BLOCK) % CHUNK);
  };
  if (N % WIDE.columns === 0) compute(WIDE.columns);
  else if (whole === 0) compute(N);
  else
    b.if(
      panel,
      "<",
      whole,
      () => compute(WIDE.columns),
      () => compute(N % WIDE.columns),
    );
}

/** The vectors that `columns` columns take: the first column of each, and its lanes. */
function vectorsOf(b: Builder, columns: number): { first: number; lanes: number }[] {
  return Array.from({ length: Math.ceil(columns / b.lanes) }, (_, v) => ({
    first: v * b.lanes,
    lanes: Math.min(b.lanes, columns - v * b.lanes),
  }));
}

/** Writes the bias, or zeros, into the tile of y. */
function startSums(
  b: Builder,
  args: Args,
  { N, bias }: PackedShape,
  firstColumn: ReturnType<Builder["int"]>,
  columns: number,
  y: Cursor,
  rows: ReturnType<Builder["int"]>,
): void {
  const offset = bias && b.cursor(args.bias, firstColumn.times(BYTES[bias]));
  for (const { first, lanes } of vectorsOf(b, columns)) {
    const start = offset && bias ? loadFloat(offset, bias, BYTES[bias] * first, lanes) : b.acc(b.f32(0));
    const to = y.copy();
    b.repeat(rows, () => {
      to.store(4 * first, start, lanes);
      to.advance(4 * N);
    });
  }
}

/** Bytes of an unpacked block of `NR` columns: the codes as bytes, word by word, and the scales as f32. */
function unpackedBytes(NR: number): number {
  return (WORDS + 1) * 4 * NR;
}

/** Unpacks `blocks` blocks of up to 32 columns: for each vector (or pair) of columns block after block. */
function unpackChunk(
  b: Builder,
  { format, K }: PackedShape,
  from: Cursor,
  blocks: number,
  columns: number,
): void {
  const NR = wideBlock(b.target).NV * b.lanes;
  const groups = Math.ceil(columns / GROUP);
  const [w, out] = [from.copy(), b.scratch()];
  b.repeat(blocks, () => {
    for (let column = 0; column < groups * GROUP; column += b.lanes) {
      const at = Math.floor(column / GROUP) * (K / BLOCK) * format.groupBytes;
      const row = column % GROUP;
      const to = Math.floor(column / NR) * blocks * unpackedBytes(NR) + 4 * (column % NR);
      eachWord(b, format, w, at + 4 * row, (word, codes) => out.store(to + 4 * word * NR, codes));
      out.store(to + 4 * WORDS * NR, w.loadBf16(at + scalesAt(format) + 2 * row));
    }
    w.advance(format.groupBytes);
    out.advance(unpackedBytes(NR));
  });
}

/** Adds the products of the unpacked blocks to the tile of y. */
function multiplyChunk(
  b: Builder,
  shape: PackedShape,
  x: Cursor,
  y: Cursor,
  rows: ReturnType<Builder["int"]>,
  blocks: number,
  columns: number,
): void {
  const { N, K } = shape;
  const { MR, NV } = wideBlock(b.target);
  const NR = NV * b.lanes;
  const rowBytes = (K / BLOCK) * QUANTISED_BYTES;
  for (let column = 0; column < columns; column += NR) {
    const vectors = vectorsOf(b, Math.min(NR, columns - column));
    const [row, out] = [x.copy(), y.copy(4 * column)];
    const some = (count: number): void => {
      const w = b.scratch(Math.floor(column / NR) * blocks * unpackedBytes(NR));
      const sums = Array.from({ length: count }, (_, m) =>
        vectors.map(({ first, lanes }) => b.acc(out.load(4 * (m * N + first), lanes))),
      );
      b.repeat(blocks, () => {
        wideBlockProducts(b, shape.format, w, NR, row, rowBytes, sums);
        w.advance(unpackedBytes(NR));
        row.advance(QUANTISED_BYTES);
      });
      for (const [m, acc] of sums.entries())
        for (const [v, { first, lanes }] of vectors.entries()) out.store(4 * (m * N + first), acc[v], lanes);
      row.advance(count * rowBytes - blocks * QUANTISED_BYTES);
      out.advance(4 * count * N);
    };
    b.repeat(rows.dividedBy(MR), () => some(MR));
    b.repeat(rows.modulo(MR), () => some(1));
  }
}

/** One unpacked block with some rows of the input. */
function wideBlockProducts(
  b: Builder,
  format: WeightFormat,
  w: Cursor,
  NR: number,
  x: Cursor,
  rowBytes: number,
  sums: Acc<"f32">[][],
): void {
  const dots = sums.map((vectors, m) =>
    vectors.map(() => blockSum(b, format, () => x.broadcastI32(m * rowBytes + BLOCK + 4))),
  );
  for (let word = 0; word < WORDS; word++) {
    const codes = sums[0].map((_, v) => w.loadBytes(4 * (word * NR + v * b.lanes)));
    for (const [m, row] of dots.entries()) {
      const four = x.broadcastBytes(m * rowBytes + 4 * word);
      for (const [v, dot] of row.entries()) dot.step(codes[v], four);
    }
  }
  for (const [m, row] of dots.entries()) {
    const factor = broadcastFloat(x, "float32", m * rowBytes + BLOCK);
    for (const [v, dot] of row.entries())
      sums[m][v].fma(b.toF32(dot.finish()), b.mul(w.load(4 * (WORDS * NR + v * b.lanes)), factor));
  }
}
