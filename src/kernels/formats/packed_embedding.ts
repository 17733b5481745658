import type { Value } from "../../devices/device.ts";
import { kernel } from "../../devices/kernel.ts";
import { integers } from "../cases.ts";
import { expectSize, f32, float32, i32 } from "../host.ts";
import { BLOCK, type FormatName, GROUP, packedShape } from "./format.ts";
import { FORMATS } from "./formats.ts";
import { unpackNumbers } from "./pack.ts";
import { packedNormal } from "./packed_linear.ts";

/** What a word of four codes is multiplied with, so that each lane has one of them in its upper byte. */
const TO_TOP = [2 ** 24, 2 ** 16, 2 ** 8, 1];

/** Rows of a packed matrix [V, D]. ids int32 [T], weight bytes (packed) -> [T, D]. Ids must be below V. */
export const packedEmbedding = kernel<{ ids: Value; weight: Value }, { format: FormatName; D: number }>({
  name: "packed_embedding",
  shape({ ids, weight }, { format, D }) {
    const [, bytes] = packedShape(FORMATS[format], GROUP, D);
    expectSize("packed_embedding", "bytes of a group of the weight", weight.shape[1], bytes);
    return float32(ids.shape[0], D);
  },
  reference({ ids, weight, y }, { format, D }) {
    const output = f32(y);
    i32(ids).forEach((id, t) => {
      output.set(unpackNumbers(FORMATS[format], weight.data as Uint8Array, id, D), t * D);
    });
  },
  vector({ ids }, { format, D }) {
    const { codeBits, zero, groupBytes } = FORMATS[format];
    if (codeBits !== 8) return undefined; // embeddings are kept in 8 bits
    return {
      key: `${D} ${format}`,
      tiles: ids.shape[0],
      build(b, args) {
        const id = b.cursor(args.ids, b.tile.times(4)).readInt();
        const row = id.modulo(GROUP);
        const group = b.cursor(args.weight, id.dividedBy(GROUP).times((D / BLOCK) * groupBytes));
        const words = group.copy(row.times(4));
        const scales = group.copy(row.times(2).plus(GROUP * BLOCK));
        const y = b.cursor(args.y, b.tile.times(4 * D));
        const toTop = b.lanesI32(Array.from({ length: b.lanes }, (_, lane) => TO_TOP[lane % 4]));
        b.repeat(D / BLOCK, () => {
          const scale = scales.broadcastBf16();
          for (let k = 0; k < BLOCK; k += 4) {
            // Less 128, an unsigned byte is the signed one with its highest bit turned.
            const four = b.xor(words.broadcastI32(16 * k), b.i32(zero * 0x01010101));
            const codes = b.sar(b.mul(four, toTop), 24);
            y.store(4 * k, b.mul(b.toF32(codes), scale), 4);
          }
          words.advance(groupBytes);
          scales.advance(groupBytes);
          y.advance(4 * BLOCK);
        });
      },
    };
  },
  cost: ({ ids }, { D }) => ({ bytes: 5 * ids.shape[0] * D }),
  tolerance: 0,
  cases: {
    list: [
      { T: 1, V: 1, D: 32, format: "q8" },
      { T: 7, V: 45, D: 96, format: "q8" },
      { T: 3, V: 131, D: 224, format: "q8", scale: 1e4 },
      { T: 5, V: 20, D: 64, format: "q8", scale: 1e-5 },
    ] satisfies PackedEmbeddingCase[],
    trial({ T, V, D, format, scale }: PackedEmbeddingCase, random) {
      const ids = integers(random, T, 0, V);
      ids.data[0] = V - 1;
      return {
        tensors: { ids, weight: packedNormal(random, FORMATS[format], V, D, scale) },
        params: { format, D },
        loaded: ["weight"],
      };
    },
  },
});

interface PackedEmbeddingCase {
  T: number;
  V: number;
  D: number;
  format: FormatName;
  scale?: number;
}
