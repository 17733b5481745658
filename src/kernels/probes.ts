import { dot4 } from "../codegen/dots.ts";
import type { Value } from "../devices/device.ts";
import { kernel } from "../devices/kernel.ts";
import { int32, integers, normal } from "./cases.ts";
import { f32, float32, i32 } from "./host.ts";
import { rowOf } from "./row_programs.ts";

/*
 * What a device can do at most: kernels that only read, and that only multiply and add. `llava bench` runs them, so that
 * every figure can be given as a share of them.
 */

/** Numbers of a row that `multiplyAdds` keeps in registers at once, in vectors. */
const VECTORS = 12;

/** The largest number of each row: reads x once and writes next to nothing. x [T, D] -> [T, 1] */
export const rowMaxima = kernel<{ x: Value }>({
  name: "row_maxima",
  shape: ({ x }) => float32(x.shape[0], 1),
  reference({ x, y }) {
    const [T, D] = x.shape;
    const [input, output] = [f32(x), f32(y)];
    for (let t = 0; t < T; t++) output[t] = input.subarray(t * D, t * D + D).reduce((a, b) => Math.max(a, b));
  },
  vector({ x }) {
    const [T, D] = x.shape;
    return {
      key: `${D}`,
      tiles: T,
      build(b, args) {
        const row = rowOf(b, args.x, b.tile, D);
        const highest = Array.from({ length: 4 }, () => b.accF32(Number.NEGATIVE_INFINITY));
        let next = 0;
        b.elements(
          D,
          (i, lanes) => {
            const v = row.load(4 * i, lanes);
            const acc = highest[next++ % 4];
            acc.max(lanes < b.lanes ? b.select(b.firstLanesMask(lanes), v, acc) : v);
          },
          (k) => row.advance(4 * k),
          4,
        );
        const both = highest.reduce((a, c) => a.max(c));
        let all = b.max(both, b.swap(both, b.lanes / 2));
        for (let distance = b.lanes / 4; distance >= 1; distance /= 2)
          all = b.max(all, b.swap(all, distance));
        rowOf(b, args.y, b.tile, 1).store(0, all, 1);
      },
    };
  },
  tolerance: 0,
  cases: {
    list: [
      { T: 1, D: 1 },
      { T: 3, D: 7 },
      { T: 5, D: 130 },
      { T: 2, D: 1024 },
    ],
    trial: ({ T, D }: { T: number; D: number }, random) => ({
      tensors: { x: normal(random, [T, D], 3) },
      params: {},
    }),
  },
});

/** y = x + 1/2 * 1/2, `times` times over: 2 * T * D * times operations on numbers in registers. [T, D] -> [T, D] */
export const multiplyAdds = kernel<{ x: Value }, { times: number }>({
  name: "multiply_adds",
  shape: ({ x }) => float32(...x.shape),
  reference({ x, y }, { times }) {
    const [input, output] = [f32(x), f32(y)];
    for (let i = 0; i < output.length; i++) {
      let value = input[i];
      for (let n = 0; n < times; n++) value = Math.fround(value + 0.25);
      output[i] = value;
    }
  },
  vector({ x }, { times }) {
    const [T, D] = x.shape;
    return {
      key: `${D} ${times}`,
      tiles: T,
      build(b, args) {
        const [from, to] = [rowOf(b, args.x, b.tile, D), rowOf(b, args.y, b.tile, D)];
        const half = b.acc(b.f32(0.5));
        for (let first = 0; first < D; first += VECTORS * b.lanes) {
          const width = Math.min(VECTORS * b.lanes, D - first);
          const parts = Array.from({ length: Math.ceil(width / b.lanes) }, (_, v) => {
            const at = first + v * b.lanes;
            const lanes = Math.min(b.lanes, D - at);
            return { at, lanes, value: b.acc(from.load(4 * at, lanes)) };
          });
          b.repeat(times, () => {
            for (const { value } of parts) value.fma(half, half);
          });
          for (const { at, lanes, value } of parts) to.store(4 * at, value, lanes);
        }
      },
    };
  },
  tolerance: 1e-6,
  cases: {
    list: [
      { T: 1, D: 1, times: 1 },
      { T: 3, D: 45, times: 7 },
      { T: 2, D: 400, times: 30 },
    ],
    trial: ({ T, D, times }: { T: number; D: number; times: number }, random) => ({
      tensors: { x: normal(random, [T, D]) },
      params: { times },
    }),
  },
});

/**
 * y = x + products of bytes, `times` times over: 8 * T * D * times operations in registers, by the fastest instruction
 * for products of codes up to 15 with bytes. x int32 [T, D] -> int32 [T, D]
 */
export const byteDots = kernel<{ x: Value }, { times: number }>({
  name: "byte_dots",
  shape: ({ x }) => ({ dtype: "int32", shape: x.shape }),
  reference({ x, y }, { times }) {
    const [input, output] = [i32(x), i32(y)];
    for (let i = 0; i < output.length; i++) output[i] = input[i] + times * 4 * 3 * 5;
  },
  vector({ x }, { times }) {
    const [T, D] = x.shape;
    return {
      key: `${D} ${times}`,
      tiles: T,
      build(b, args) {
        const [from, to] = [rowOf(b, args.x, b.tile, D), rowOf(b, args.y, b.tile, D)];
        const [w, v] = [b.bytes(3), b.bytes(5)];
        const together = b.target.registers === 32 ? 24 : 10;
        for (let first = 0; first < D; first += together * b.lanes) {
          const parts = Array.from({ length: Math.ceil((D - first) / b.lanes) }, (_, p) => {
            const at = first + p * b.lanes;
            const lanes = Math.min(b.lanes, D - at);
            return { at, lanes, sum: b.acc(from.loadI32(4 * at, lanes)) };
          }).slice(0, together);
          b.repeat(times, () => {
            for (const { sum } of parts) dot4(b, sum, w, v, 15);
          });
          for (const { at, lanes, sum } of parts) to.store(4 * at, sum, lanes);
        }
      },
    };
  },
  tolerance: 0,
  cases: {
    list: [
      { T: 1, D: 1, times: 1 },
      { T: 3, D: 45, times: 7 },
      { T: 2, D: 401, times: 30 },
    ],
    trial: ({ T, D, times }: { T: number; D: number; times: number }, random) => ({
      tensors: { x: int32([...integers(random, T * D, -1000, 1000).data].map(Number), T, D) },
      params: { times },
    }),
  },
});
