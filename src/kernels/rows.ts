import type { Value, WeightDType } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { BYTES, toFloat32 } from "../tensor/dtype.ts";
import { int32, integers, normal } from "./cases.ts";
import { expectSize, f32, float32, i32, widened } from "./host.ts";
import { addRow, copyRow, panelRowProgram, rowOf } from "./row_programs.ts";

/** Rows of the embedding matrix. ids int32 [T], weight [V, D] -> [T, D]. Ids must be below V. */
export const embedding = kernel<{ ids: Value; weight: Value }>({
  name: "embedding",
  shape: ({ ids, weight }) => float32(ids.shape[0], weight.shape[1]),
  reference({ ids, weight, y }) {
    const D = weight.shape[1];
    const output = f32(y);
    i32(ids).forEach((id, t) => {
      output.set(toFloat32(weight.dtype, weight.data.subarray(id * D, id * D + D)), t * D);
    });
  },
  vector({ ids, weight }) {
    const D = weight.shape[1];
    if (weight.layout === "panels") {
      const dtype = weight.dtype as WeightDType;
      return {
        key: `panels ${D} ${dtype}`,
        tiles: ids.shape[0],
        build: (b, args) => panelRowProgram(b, args, D, dtype),
      };
    }
    return {
      key: `${D} ${weight.dtype}`,
      tiles: ids.shape[0],
      build(b, args) {
        const id = b.cursor(args.ids, b.tile.times(4)).readInt();
        const from = rowOf(b, args.weight, id, D, BYTES[weight.dtype]);
        copyRow(b, D, from, weight.dtype, rowOf(b, args.y, b.tile, D));
      },
    };
  },
  cost: ({ ids, weight }) => ({ bytes: (4 + BYTES[weight.dtype]) * ids.shape[0] * weight.shape[1] }),
  tolerance: 0,
  cases: {
    list: [
      { T: 1, V: 1, D: 1, dtype: "float32" },
      { T: 3, V: 7, D: 5, dtype: "float16" },
      { T: 1, V: 33, D: 130, dtype: "bfloat16" },
      { T: 45, V: 20, D: 65, dtype: "bfloat16" },
      { T: 67, V: 131, D: 24, dtype: "float32", scale: 1e4 },
      { T: 4, V: 9, D: 31, dtype: "float16", scale: 1e-5 },
      { T: 5, V: 67, D: 31, dtype: "float16", panels: true },
      { T: 7, V: 131, D: 45, dtype: "bfloat16", panels: true },
      { T: 3, V: 33, D: 18, dtype: "float32", panels: true },
    ] satisfies EmbeddingCase[],
    trial({ T, V, D, dtype, scale, panels }: EmbeddingCase, random) {
      const ids = integers(random, T, 0, V);
      ids.data[0] = V - 1;
      return {
        tensors: { ids, weight: normal(random, [V, D], scale, dtype) },
        params: {},
        loaded: ["weight"],
        panels: panels ? ["weight"] : [],
      };
    },
  },
});

/** `panels`: the weight is that of the head, too. */
interface EmbeddingCase {
  T: number;
  V: number;
  D: number;
  dtype: WeightDType;
  panels?: boolean;
  scale?: number;
}

/** y[m] = x[index[m]]. x [T, D], index int32 [M] -> [M, D] */
export const takeRows = kernel<{ x: Value; index: Value }>({
  name: "take_rows",
  shape: ({ x, index }) => float32(index.shape[0], x.shape[1]),
  reference({ x, index, y }) {
    const D = x.shape[1];
    const [input, output] = [f32(x), f32(y)];
    i32(index).forEach((from, m) => {
      output.set(input.subarray(from * D, from * D + D), m * D);
    });
  },
  vector({ x, index }) {
    const D = x.shape[1];
    return {
      key: `${D}`,
      tiles: index.shape[0],
      build(b, args) {
        const from = b.cursor(args.index, b.tile.times(4)).readInt();
        copyRow(b, D, rowOf(b, args.x, from, D), "float32", rowOf(b, args.y, b.tile, D));
      },
    };
  },
  cost: ({ x, index }) => ({ bytes: 8 * index.shape[0] * x.shape[1] }),
  tolerance: 0,
  cases: {
    list: [
      { T: 1, D: 1, M: 1 },
      { T: 7, D: 3, M: 3 },
      { T: 65, D: 45, M: 17 },
      { T: 4, D: 130, M: 9 },
    ] satisfies TakeCase[],
    trial: ({ T, D, M }: TakeCase, random) => ({
      tensors: { x: normal(random, [T, D]), index: integers(random, M, 0, T) },
      params: {},
    }),
  },
});

interface TakeCase {
  T: number;
  D: number;
  M: number;
}

/**
 * y[t] = index[t] < 0 ? x[t] : source[index[t]]: puts picture features in the place of placeholder rows.
 * x [T, D], source [S, D], index int32 [T] -> [T, D]
 */
export const mergeRows = kernel<{ x: Value; source: Value; index: Value }>({
  name: "merge_rows",
  shape({ x, source, index }) {
    expectSize("merge_rows", "columns of source", source.shape[1], x.shape[1]);
    expectSize("merge_rows", "index", index.shape[0], x.shape[0]);
    return float32(...x.shape);
  },
  reference({ x, source, index, y }) {
    const D = x.shape[1];
    const [input, other, output] = [f32(x), f32(source), f32(y)];
    i32(index).forEach((from, t) => {
      const row = from < 0 ? input.subarray(t * D, t * D + D) : other.subarray(from * D, from * D + D);
      output.set(row, t * D);
    });
  },
  vector({ x }) {
    const [T, D] = x.shape;
    return {
      key: `${D}`,
      tiles: T,
      build(b, args) {
        const from = b.cursor(args.index, b.tile.times(4)).readInt();
        const row = b.variable(rowOf(b, args.source, from, D).pointer);
        // The highest of 32 bits is that of a negative number.
        b.if(from.dividedBy(2 ** 31), "==", 1, () => row.set(rowOf(b, args.x, b.tile, D).pointer));
        copyRow(b, D, b.cursor(row), "float32", rowOf(b, args.y, b.tile, D));
      },
    };
  },
  tolerance: 0,
  cases: {
    list: [
      { T: 1, D: 1, S: 1 },
      { T: 7, D: 3, S: 4 },
      { T: 45, D: 65, S: 20 },
      { T: 20, D: 130, S: 3 },
    ] satisfies MergeCase[],
    trial({ T, D, S }: MergeCase, random) {
      // About half of the rows are replaced.
      const index = Array.from({ length: T }, () => Math.max(-1, Math.floor((random() * 2 - 1) * S)));
      return {
        tensors: { x: normal(random, [T, D]), source: normal(random, [S, D]), index: int32(index, T) },
        params: {},
      };
    },
  },
});

interface MergeCase {
  T: number;
  D: number;
  S: number;
}

/** Puts one row before every group of `every` rows. x [N*every, D], row [D] -> [N*(every+1), D] */
export const prependRow = kernel<{ x: Value; row: Value }, { every: number }>({
  name: "prepend_row",
  shape({ x, row }, { every }) {
    expectSize("prepend_row", "row", row.shape[0], x.shape[1]);
    expectSize("prepend_row", "rows of x over the group", x.shape[0] % every, 0);
    return float32((x.shape[0] / every) * (every + 1), x.shape[1]);
  },
  reference({ x, row, y }, { every }) {
    const [T, D] = x.shape;
    const [input, first, output] = [f32(x), widened(row), f32(y)];
    for (let n = 0; n < T / every; n++) {
      const to = n * (every + 1) * D;
      output.set(first, to);
      output.set(input.subarray(n * every * D, (n + 1) * every * D), to + D);
    }
  },
  vector({ x, row }, { every }) {
    const [T, D] = x.shape;
    return {
      key: `${D} ${every} ${row.dtype}`,
      tiles: (T / every) * (every + 1),
      build(b, args) {
        const place = b.tile.modulo(every + 1);
        const to = rowOf(b, args.y, b.tile, D);
        b.if(
          place,
          "==",
          0,
          () => copyRow(b, D, b.cursor(args.row), row.dtype, to),
          () => {
            const from = b.tile
              .dividedBy(every + 1)
              .times(every)
              .plus(place)
              .minus(1);
            copyRow(b, D, rowOf(b, args.x, from, D), "float32", to);
          },
        );
      },
    };
  },
  tolerance: 0,
  cases: {
    list: [
      { N: 1, every: 1, D: 1, dtype: "float32" },
      { N: 3, every: 7, D: 5, dtype: "float16" },
      { N: 1, every: 45, D: 65, dtype: "bfloat16" },
      { N: 2, every: 16, D: 24, dtype: "float32" },
    ] satisfies PrependCase[],
    trial: ({ N, every, D, dtype }: PrependCase, random) => ({
      tensors: { x: normal(random, [N * every, D]), row: normal(random, [D], 1, dtype) },
      params: { every },
      loaded: ["row"],
    }),
  },
});

interface PrependCase {
  N: number;
  every: number;
  D: number;
  dtype: WeightDType;
}

/** The columns of `a`, then those of `b`. [T, A], [T, B] -> [T, A+B] */
export const concatColumns = kernel<{ a: Value; b: Value }>({
  name: "concat_columns",
  shape({ a, b }) {
    expectSize("concat_columns", "rows of b", b.shape[0], a.shape[0]);
    return float32(a.shape[0], a.shape[1] + b.shape[1]);
  },
  reference({ a, b, y }) {
    const [T, A] = a.shape;
    const B = b.shape[1];
    const [left, right, output] = [f32(a), f32(b), f32(y)];
    for (let t = 0; t < T; t++) {
      output.set(left.subarray(t * A, t * A + A), t * (A + B));
      output.set(right.subarray(t * B, t * B + B), t * (A + B) + A);
    }
  },
  vector({ a, b: right }) {
    const [T, A] = a.shape;
    const B = right.shape[1];
    return {
      key: `${A} ${B}`,
      tiles: T,
      build(b, args) {
        const to = rowOf(b, args.y, b.tile, A + B);
        copyRow(b, A, rowOf(b, args.a, b.tile, A), "float32", to);
        copyRow(b, B, rowOf(b, args.b, b.tile, B), "float32", to);
      },
    };
  },
  tolerance: 0,
  cases: {
    list: [
      { T: 1, A: 1, B: 1 },
      { T: 3, A: 7, B: 2 },
      { T: 45, A: 24, B: 65 },
      { T: 2, A: 130, B: 16 },
    ] satisfies ConcatCase[],
    trial: ({ T, A, B }: ConcatCase, random) => ({
      tensors: { a: normal(random, [T, A]), b: normal(random, [T, B]) },
      params: {},
    }),
  },
});

interface ConcatCase {
  T: number;
  A: number;
  B: number;
}

/** x + y, where the rows of `y` repeat: x [N*R, D], y [R, D] in any float type -> [N*R, D] */
export const add = kernel<{ x: Value; other: Value }>({
  name: "add",
  shape({ x, other }) {
    expectSize("add", "columns", other.shape[1], x.shape[1]);
    expectSize("add", "rows of x over those of the other", x.shape[0] % other.shape[0], 0);
    return float32(...x.shape);
  },
  reference({ x, other, y }) {
    const [input, addend, output] = [f32(x), widened(other), f32(y)];
    for (let i = 0; i < output.length; i++) output[i] = input[i] + addend[i % addend.length];
  },
  vector({ x, other }) {
    const [T, D] = x.shape;
    const { dtype } = other;
    return {
      key: `${D} ${dtype}`,
      tiles: T,
      rows: other.shape[0] === T,
      numbers: { period: other.shape[0] },
      build(b, args) {
        const addend = rowOf(b, args.other, b.tile.modulo(args.period.read()), D, BYTES[dtype]);
        addRow(b, D, rowOf(b, args.x, b.tile, D), addend, dtype, rowOf(b, args.y, b.tile, D));
      },
    };
  },
  tolerance: 1e-7,
  cases: {
    list: [
      { N: 1, R: 1, D: 1 },
      { N: 1, R: 3, D: 7 },
      { N: 1, R: 45, D: 65, scale: 1e4 },
      { N: 3, R: 5, D: 31, scale: 1e-4 },
      { N: 1, R: 7, D: 33, dtype: "float32" },
      { N: 2, R: 17, D: 24, dtype: "bfloat16" },
      { N: 4, R: 1, D: 130, dtype: "float16" },
    ] satisfies AddCase[],
    trial: ({ N, R, D, dtype, scale }: AddCase, random) => ({
      tensors: { x: normal(random, [N * R, D], scale), other: normal(random, [R, D], scale, dtype) },
      params: {},
      loaded: dtype === undefined ? [] : ["other"],
    }),
  },
});

/** `dtype` is there where `other` comes from a checkpoint. */
interface AddCase {
  N: number;
  R: number;
  D: number;
  dtype?: WeightDType;
  scale?: number;
}
