import { describe, expect, test } from "vitest";
import { normal } from "../../src/kernels/cases.ts";
import { expandedLinear } from "../../src/kernels/formats/expanded_linear.ts";
import { codePlace, GROUP, packable, packedBytes, packedShape } from "../../src/kernels/formats/format.ts";
import { FORMATS } from "../../src/kernels/formats/formats.ts";
import { encodeBlock, packRows, unpackNumbers } from "../../src/kernels/formats/pack.ts";
import { packedEmbedding } from "../../src/kernels/formats/packed_embedding.ts";
import { packedLinear } from "../../src/kernels/formats/packed_linear.ts";
import { quantiseRows } from "../../src/kernels/formats/quantise_rows.ts";
import { bfloat16ToNumber, roundHalfEven } from "../../src/tensor/dtype.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { seeded } from "../random.ts";

const formats = Object.values(FORMATS);

/** About normally distributed, with a few numbers that are much larger. */
function weights(count: number, seed: string): Float32Array {
  const random = seeded(seed);
  return Float32Array.from({ length: count }, () => {
    const v = random() + random() + random() + random() - 2;
    return 0.03 * (random() < 0.01 ? 4 * v : v);
  });
}

function squaredError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum;
}

describe.each(formats)("$name", (format) => {
  const { codeBits, zero } = format;

  test("every code of a block has a place of its own, before the scales", () => {
    const taken = new Set<number>();
    for (let r = 0; r < GROUP; r++)
      for (let k = 0; k < 32; k++) {
        const { byte, shift } = codePlace(format, r, k);
        expect(shift + codeBits).toBeLessThanOrEqual(8);
        taken.add(8 * byte + shift);
      }
    expect(taken.size).toBe(GROUP * 32);
    expect(Math.max(...taken)).toBeLessThan(8 * (format.groupBytes - 2 * GROUP));
  });

  test("a matrix of whole multiples of a scale comes back exactly", () => {
    const [N, K] = [19, 96];
    const random = seeded("exact");
    const most = 2 ** (codeBits - 1);
    const numbers = new Float32Array(N * K);
    for (let i = 0; i < N * K; i += 32) {
      const scale = 2 ** Math.floor(random() * 8 - 6);
      for (let k = 0; k < 32; k++)
        numbers[i + k] = scale * (Math.floor(random() * (2 * most - 1)) - most + 1);
      // The ends of the range, so that the scale is the only one that fits.
      numbers[i] = scale * (codeBits === 4 ? -most : 1 - most);
      numbers[i + 1] = scale * (most - 1);
    }
    const packed = packRows(format, numbers, 0, N, K);
    expect(packed.length).toBe(packedBytes(format, N, K));
    for (let n = 0; n < N; n++)
      expect(unpackNumbers(format, packed, n, K)).toEqual(numbers.subarray(n * K, (n + 1) * K));
  });

  test("zeros, and weights of any size, stay what they are", () => {
    const block = weights(32, "sizes");
    const codes = new Uint8Array(32);
    expect(bfloat16ToNumber(encodeBlock(format, new Float32Array(32), codes))).toBe(0);
    expect(codes).toEqual(new Uint8Array(32).fill(zero));
    const relative = (size: number): number => {
      const scaled = block.map((v) => v * size);
      const scale = bfloat16ToNumber(encodeBlock(format, scaled, codes));
      const back = Array.from(codes, (code) => scale * (code - zero));
      return Math.sqrt(squaredError(back, scaled) / squaredError(scaled, new Float32Array(32)));
    };
    for (const size of [1e-20, 1e-5, 1, 1e5, 1e20])
      expect(relative(size)).toBeLessThan(codeBits === 8 ? 0.008 : 0.12);
  });
});

test("q8: no number is further off than half a step", () => {
  const codes = new Uint8Array(32);
  const numbers = weights(3200, "q8");
  for (let i = 0; i < numbers.length; i += 32) {
    const block = numbers.subarray(i, i + 32);
    const scale = bfloat16ToNumber(encodeBlock(FORMATS.q8, block, codes));
    for (let k = 0; k < 32; k++)
      expect(Math.abs(scale * (codes[k] - 128) - block[k])).toBeLessThanOrEqual(scale * 0.5001);
  }
});

test("q4: closer than rounding to the nearest of 15 or 16 steps of the largest number, in the same bits", () => {
  const numbers = weights(32_000, "q4");
  const codes = new Uint8Array(32);
  const back = new Float32Array(numbers.length);
  const of15 = new Float32Array(numbers.length);
  const of16 = new Float32Array(numbers.length);
  for (let i = 0; i < numbers.length; i += 32) {
    const block = numbers.subarray(i, i + 32);
    const scale = bfloat16ToNumber(encodeBlock(FORMATS.q4, block, codes));
    const extreme = block.reduce((a, v) => (Math.abs(v) > Math.abs(a) ? v : a));
    for (let k = 0; k < 32; k++) {
      back[i + k] = scale * (codes[k] - 8);
      const [step15, step16] = [Math.abs(extreme) / 7, extreme / -8];
      of15[i + k] = step15 * roundHalfEven(block[k] / step15);
      of16[i + k] = step16 * Math.min(7, roundHalfEven(block[k] / step16));
    }
  }
  expect(squaredError(back, numbers)).toBeLessThan(0.75 * squaredError(of15, numbers));
  expect(squaredError(back, numbers)).toBeLessThan(0.92 * squaredError(of16, numbers));
  expect(FORMATS.q4.bitsPerWeight).toBe(4.5);
});

test("only whole blocks can be packed", () => {
  expect([0, 1, 31, 32, 48, 64, 588, 4304].filter(packable)).toEqual([32, 64]);
});

describe.each(formats)("products and rows in $name", (format) => {
  const [T, N, K] = [3, 37, 96];
  const random = seeded(format.name);
  const matrix = normal(random, [N, K]);
  const x = normal(random, [T, K]);
  const packed = packRows(format, matrix.data as Float32Array, 0, N, K);
  const weight = new Tensor("uint8", packedShape(format, N, K), packed);
  const unpacked = Array.from({ length: N }, (_, n) => unpackNumbers(format, packed, n, K));

  test("a product is that of the unpacked weights, but for half a step of each number of x", () => {
    const rows = quantiseRows.shape({ x }, { zero: format.zero });
    const quantised = new Tensor(rows.dtype, rows.shape, new Uint8Array(rows.shape[0] * rows.shape[1]));
    quantiseRows.reference({ x, y: quantised }, { zero: format.zero });
    const y = new Tensor("float32", [T, N], new Float32Array(T * N));
    packedLinear.reference({ x: quantised, weight, bias: undefined, y }, { format: format.name, N });
    const numbers = x.data as Float32Array;
    for (let t = 0; t < T; t++) {
      for (let n = 0; n < N; n++) {
        let exact = 0;
        let allowed = 1e-5;
        for (let k = 0; k < K; k++) {
          const start = t * K + 32 * Math.floor(k / 32);
          const most = Math.max(...numbers.subarray(start, start + 32).map(Math.abs));
          exact += numbers[t * K + k] * unpacked[n][k];
          allowed += 0.5001 * (most / 127) * Math.abs(unpacked[n][k]);
        }
        expect(Math.abs((y.data[t * N + n] as number) - exact)).toBeLessThanOrEqual(allowed);
        expect(allowed).toBeLessThan(2);
      }
    }
  });

  test("an expanded product is that, but for the rounding of x and weights to bfloat16", () => {
    const y = new Tensor("float32", [T, N], new Float32Array(T * N));
    const bias = normal(random, [N], 1, "bfloat16");
    expandedLinear.reference({ x, weight, bias, y }, { format: format.name, N });
    const numbers = x.data as Float32Array;
    for (let t = 0; t < T; t++) {
      for (let n = 0; n < N; n++) {
        let exact = bfloat16ToNumber(bias.data[n] as number);
        let allowed = 1e-5;
        for (let k = 0; k < K; k++) {
          const product = numbers[t * K + k] * unpacked[n][k];
          exact += product;
          // Half a unit in the last of 8 binary digits, of both.
          allowed += 2.01 * 2 ** -9 * Math.abs(product);
        }
        expect(Math.abs((y.data[t * N + n] as number) - exact)).toBeLessThanOrEqual(allowed);
        expect(allowed).toBeLessThan(0.5);
      }
    }
  });

  test("an embedding is the row's unpacked numbers", () => {
    const ids = new Tensor("int32", [4], [36, 0, 17, 36]);
    const y = new Tensor("float32", [4, K], new Float32Array(4 * K));
    packedEmbedding.reference({ ids, weight, y }, { format: format.name, D: K });
    for (const [i, id] of [36, 0, 17, 36].entries()) {
      expect(Array.from(y.data.subarray(i * K, i * K + K), Number)).toEqual(Array.from(unpacked[id]));
    }
  });
});
