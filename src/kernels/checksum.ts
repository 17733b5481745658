import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { sizeOf, Tensor } from "../tensor/tensor.ts";
import { expectSize } from "./host.ts";

/** Bytes that one piece of work sums up. */
const PIECE = 2 ** 20;
/** 32-bit words that are summed side by side, each in a column of its own. */
const COLUMNS = 16;
const ROW = 4 * COLUMNS;

/**
 * Sums by which changed bytes are noticed, at the speed of reading them. Of each piece of 1 MiB, the words stand in
 * rows of 16; a column has the sum of its words, and the sum of that sum as it stands after each row, so that words
 * that changed places are noticed, too. Whole numbers of 32 bits, what is beyond falls away.
 * x bytes (a multiple of 4 of them) -> int32 [pieces, 2, 16]
 */
export const checksum = kernel<{ x: Value }>({
  name: "checksum",
  shape({ x }) {
    expectSize("checksum", "bytes over 4", sizeOf(x.shape) % 4, 0);
    return { dtype: "int32", shape: [Math.ceil(sizeOf(x.shape) / PIECE), 2, COLUMNS] };
  },
  reference({ x, y }) {
    const { buffer, byteOffset, byteLength } = x.data as Uint8Array;
    const view = new DataView(buffer, byteOffset, byteLength);
    const sums = y.data as Int32Array;
    for (let begin = 0, piece = 0; begin < byteLength; begin += PIECE, piece++) {
      const end = Math.min(begin + PIECE, byteLength);
      const columns = sums.subarray(2 * COLUMNS * piece);
      for (let row = begin; row < end; row += ROW)
        for (let c = 0; c < COLUMNS; c++) {
          const at = row + 4 * c;
          columns[c] += at < end ? view.getInt32(at, true) : 0;
          columns[COLUMNS + c] += columns[c];
        }
    }
  },
  vector({ x }) {
    const bytes = sizeOf(x.shape);
    const tiles = Math.ceil(bytes / PIECE);
    const inLast = bytes - (tiles - 1) * PIECE;
    /** Words of the last row, where it is not whole. */
    const rest = (inLast % ROW) / 4;
    return {
      key: `${rest}`,
      tiles,
      numbers: { last: tiles - 1, rows: Math.floor(inLast / ROW) },
      build(b, args) {
        const from = b.cursor(args.x, b.tile.times(PIECE));
        const to = b.cursor(args.y, b.tile.times(8 * COLUMNS));
        const parts = Array.from({ length: COLUMNS / b.lanes }, (_, i) => i * b.lanes);
        const sums = parts.map(() => b.accI32());
        const sumsOfSums = parts.map(() => b.accI32());
        const addRow = (words: number): void => {
          for (const [i, first] of parts.entries()) {
            const lanes = Math.min(b.lanes, words - first);
            if (lanes > 0) sums[i].add(from.loadI32(4 * first, lanes));
            sumsOfSums[i].add(sums[i]);
          }
          from.advance(ROW);
        };
        const rows = b.variable(PIECE / ROW);
        b.if(b.tile, "==", args.last.read(), () => {
          rows.set(args.rows.read());
        });
        b.repeat(rows, () => addRow(COLUMNS));
        if (rest > 0) b.if(b.tile, "==", args.last.read(), () => addRow(rest));
        for (const [i, first] of parts.entries()) {
          to.store(4 * first, sums[i]);
          to.store(4 * (COLUMNS + first), sumsOfSums[i]);
        }
      },
    };
  },
  tolerance: 0,
  cases: {
    list: [{ bytes: 4 }, { bytes: 64 }, { bytes: 32 * 17 }, { bytes: 6412 }, { bytes: PIECE + 292 }],
    trial: ({ bytes }: { bytes: number }, random) => ({
      tensors: {
        x: new Tensor(
          "uint8",
          [bytes],
          new Uint8Array(bytes).map(() => 256 * random()),
        ),
      },
      params: {},
    }),
  },
});
