import type { Cursor } from "../../codegen/cursor.ts";
import type { Builder } from "../../codegen/ir.ts";
import { transposed } from "../../codegen/transpose.ts";
import type { Vec } from "../../codegen/vector.ts";
import type { Value } from "../../devices/device.ts";
import { kernel } from "../../devices/kernel.ts";
import { BYTES, type DType, toFloat32 } from "../../tensor/dtype.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { normal } from "../cases.ts";
import { expectRank, expectSize } from "../host.ts";
import { BLOCK, type FormatName, GROUP, packedShape, type WeightFormat } from "./format.ts";
import { FORMATS } from "./formats.ts";
import { nearestCodes } from "./nearest.ts";
import { packRows } from "./pack.ts";

/**
 * Packs rows of a weight into their place among its packed bytes. All devices give the same bytes.
 * x [rows, K], float32, float16 or bfloat16; packed [groups, bytes]; row 0 of x begins the group `group`
 */
export const packWeights = kernel<{ x: Value; packed: Value }, { format: FormatName; group: number }>({
  name: "pack_weights",
  inPlace: "packed",
  shape({ x, packed }, { format, group }) {
    expectRank("pack_weights", "x", x, 2);
    const [groups, bytes] = packedShape(FORMATS[format], x.shape[0], x.shape[1]);
    expectSize("pack_weights", "bytes of a group", packed.shape[1], bytes);
    expectSize("pack_weights", "groups behind the last", Math.max(0, group + groups - packed.shape[0]), 0);
    return packed;
  },
  reference({ x, y }, { format, group }) {
    const [rows, K] = x.shape;
    const numbers = toFloat32(x.dtype, x.data);
    (y.data as Uint8Array).set(packRows(FORMATS[format], numbers, 0, rows, K), group * y.shape[1]);
  },
  vector({ x, packed }, { format, group }) {
    const { scales } = FORMATS[format];
    if (!scales) return undefined;
    const [rows, K] = x.shape;
    const tiles = Math.ceil(rows / GROUP);
    return {
      key: `${format} ${x.dtype} ${K} ${rows % GROUP}`,
      tiles,
      numbers: { last: tiles - 1, at: group * packed.shape[1] },
      build(b, args) {
        const size = BYTES[x.dtype];
        const from = b.cursor(args.x, b.tile.times(GROUP * K * size));
        const to = b.cursor(args.packed, args.at.read(), b.tile.times(packed.shape[1]));
        b.repeat(K / BLOCK, () => {
          const columns = (count: number): void => writeColumns(b, from, x.dtype, K, count);
          if (rows % GROUP === 0) columns(GROUP);
          else
            b.if(
              b.tile,
              "==",
              args.last.read(),
              () => columns(rows % GROUP),
              () => columns(GROUP),
            );
          for (let row = 0; row < GROUP; row += b.lanes) packBlock(b, FORMATS[format], scales, to, row);
          from.advance(BLOCK * size);
          to.advance(FORMATS[format].groupBytes);
        });
      },
    };
  },
  tolerance: 0,
  cases: {
    list: (["q8", "q4"] as const).flatMap((format) => [
      { format, dtype: "float32", N: 1, K: 32 },
      { format, dtype: "float16", N: 45, K: 96, group: 1 },
      { format, dtype: "bfloat16", N: 64, K: 224, group: 2 },
      { format, dtype: "float32", N: 35, K: 704, scale: 1e12, group: 0 },
      { format, dtype: "bfloat16", N: 17, K: 64, scale: 1e-25 },
      { format, dtype: "float32", N: 18, K: 64, scale: 1e-32 },
      { format, dtype: "float16", N: 3, K: 160, scale: 1e-6 },
      { format, dtype: "float16", N: 16, K: 64, scale: 0 },
    ]) satisfies PackCase[],
    trial: ({ format, dtype, N, K, group = 0, scale }: PackCase, random) => {
      const [groups, bytes] = packedShape(FORMATS[format], N, K);
      // Groups before and behind are there, and stay.
      const packed = new Uint8Array((group + groups + 1) * bytes).map(() => 256 * random());
      return {
        tensors: {
          x: normal(random, [N, K], scale, dtype),
          packed: new Tensor("uint8", [group + groups + 1, bytes], packed),
        },
        params: { format, group },
        loaded: ["x"],
      };
    },
  },
});

interface PackCase {
  format: FormatName;
  dtype: DType;
  N: number;
  K: number;
  group?: number;
  scale?: number;
}

/** Where the calling thread keeps a block of a group: number k of all its rows at 4 * GROUP * k. */
function blockOf(b: Builder, row: number): Cursor {
  return b.scratch(4 * row);
}

/** Takes a block of `count` rows into the thread's memory; the rows that are missing of a group become zeros. */
function writeColumns(b: Builder, from: Cursor, dtype: DType, K: number, count: number): void {
  const size = BYTES[dtype];
  const load = (row: number, column: number): Vec<"f32"> => {
    const offset = (row * K + column) * size;
    if (row >= count) return b.f32(0);
    if (dtype === "float16") return from.loadF16(offset);
    return dtype === "bfloat16" ? from.loadBf16(offset) : from.load(offset);
  };
  const lanes = Array.from({ length: b.lanes }, (_, i) => i);
  for (let row = 0; row < GROUP; row += b.lanes) {
    const to = blockOf(b, row);
    for (let column = 0; column < BLOCK; column += b.lanes) {
      const columns = transposed(
        b,
        lanes.map((r) => load(row + r, column)),
      );
      for (const [k, v] of columns.entries()) to.store(4 * GROUP * (column + k), v);
    }
  }
}

/** Packs a block of as many rows as a vector has lanes: a lane, a row. */
function packBlock(
  b: Builder,
  format: WeightFormat,
  scales: NonNullable<WeightFormat["scales"]>,
  to: Cursor,
  row: number,
): void {
  const { codeBits, zero } = format;
  const numbers = blockOf(b, row);
  const scale = scales(b, numbers);
  // 1 / 0 is masked out: all codes become that of zero.
  const inverse = b.andNot(b.div(b.f32(1), scale), b.equal(scale, b.f32(0)));
  const code = (k: number): Vec<"i32"> => {
    const whole = nearestCodes(b, format, b.mul(numbers.load(4 * GROUP * k), inverse));
    return b.add(b.toI32(whole), b.i32(zero));
  };
  const perWord = 32 / codeBits;
  for (let first = 0; first < BLOCK; first += perWord) {
    const word = b.accI32();
    for (let k = 0; k < perWord; k++) word.or(b.shl(code(first + k), 8 * (k & 3) + (k & 4)));
    to.store((4 * GROUP * first) / perWord + 4 * row, word);
  }
  to.storeBf16((GROUP * BLOCK * codeBits) / 8 + 2 * row, scale);
}
