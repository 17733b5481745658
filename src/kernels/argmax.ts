import type { Builder } from "../codegen/ir.ts";
import { butterfly } from "../codegen/math.ts";
import type { Acc, Vec } from "../codegen/vector.ts";
import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { argmax as argmaxOf } from "../tensor/argmax.ts";
import { Tensor } from "../tensor/tensor.ts";
import { normal, type Random } from "./cases.ts";
import { f32, i32 } from "./host.ts";
import { type Args, rowOf } from "./row_programs.ts";

/** The place of each row's largest number; of several, the first; NaN counts as the largest. [T, D] -> int32 [T] */
export const argmax = kernel<{ x: Value }>({
  name: "argmax",
  shape: ({ x }) => ({ dtype: "int32", shape: [x.shape[0]] }),
  reference({ x, y }) {
    const [T, D] = x.shape;
    const [input, output] = [f32(x), i32(y)];
    for (let t = 0; t < T; t++) output[t] = argmaxOf(input.subarray(t * D, t * D + D));
  },
  vector({ x }) {
    const [T, D] = x.shape;
    return { key: `${D}`, tiles: T, build: (b, args) => argmaxProgram(b, args, D) };
  },
  tolerance: 0,
  cases: {
    list: [
      { T: 1, D: 1 },
      { T: 3, D: 7 },
      { T: 5, D: 130, scale: 1e4 },
      { T: 2, D: 1027, scale: 1e-40 },
      { T: 7, D: 45, few: [1, -1, 2] },
      { T: 4, D: 65, few: [-0, 0] },
      { T: 4, D: 65, few: [-1, Number.NEGATIVE_INFINITY] },
      { T: 6, D: 33, few: [Number.POSITIVE_INFINITY, 1, 3e38] },
      { T: 6, D: 33, few: [1, Number.POSITIVE_INFINITY, Number.NaN, -1] },
      { T: 3, D: 200, few: [-2, -2.5, -1e-41] },
    ] satisfies ArgmaxCase[],
    trial: ({ T, D, scale, few }: ArgmaxCase, random) => ({
      tensors: { x: few ? someOf(few, T, D, random) : normal(random, [T, D], scale) },
      params: {},
    }),
  },
});

/** `few`: there are no other numbers, so that each comes several times. */
interface ArgmaxCase {
  T: number;
  D: number;
  scale?: number;
  few?: readonly number[];
}

function someOf(few: readonly number[], T: number, D: number, random: Random): Tensor {
  const data = Float32Array.from({ length: T * D }, () => few[Math.floor(random() * few.length)]);
  return new Tensor("float32", [T, D], data);
}

/** Below the order of every number. */
const LEAST = -(2 ** 31);

/** Each lane looks for the largest of its own numbers; then lanes are compared. */
function argmaxProgram(b: Builder, args: Args, D: number): void {
  const row = rowOf(b, args.x, b.tile, D);
  const [highest, places, place] = [b.accI32(LEAST), b.accI32(), b.acc(b.iota())];
  b.elements(
    D,
    (i, lanes) => {
      const all = orderOf(b, row.loadI32(4 * i, lanes));
      const order = lanes < b.lanes ? b.select(b.firstLanesMask(lanes), all, b.i32(LEAST)) : all;
      const higher = b.greater(order, highest);
      places.set(b.select(higher, place, places));
      highest.set(b.select(higher, order, highest));
      place.add(b.i32(b.lanes));
    },
    (k) => row.advance(4 * k),
  );
  rowOf(b, args.y, b.tile, 1).store(0, firstOfHighest(b, highest, places), 1);
}

/**
 * Bits of floats -> integers in the same order, in which both zeros are equal, and NaN is above all. Not compared as
 * floats, as machine code takes the smallest ones for zero.
 */
function orderOf(b: Builder, bits: Vec<"i32">): Vec<"i32"> {
  const size = b.and(bits, b.i32(0x7fffffff));
  const order = b.select(b.greater(b.i32(0), bits), b.sub(b.i32(0), size), size);
  return b.select(b.greater(size, b.i32(0x7f800000)), b.i32(0x7fffffff), order);
}

/** The lowest place among the lanes with the highest order, in every lane. */
function firstOfHighest(b: Builder, orders: Acc<"i32">, places: Acc<"i32">): Vec<"i32"> {
  const highest = b.acc(butterfly(b, orders, (p, q) => b.select(b.greater(q, p), q, p)));
  const candidates = b.select(b.equal(orders, highest), places, b.i32(0x7fffffff));
  return butterfly(b, candidates, (p, q) => b.select(b.greater(p, q), q, p));
}
