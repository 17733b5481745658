import { describe, expect, test } from "vitest";
import { OptionError } from "../../src/base/errors.ts";
import { LogitsProcessorList } from "../../src/generation/logits_process/base.ts";
import {
  EpsilonLogitsWarper,
  MinPLogitsWarper,
  TemperatureLogitsWarper,
  TopKLogitsWarper,
  TopPLogitsWarper,
} from "../../src/generation/logits_process/filters.ts";
import { type Draw, narrowDraw } from "../../src/generation/narrow_draw.ts";
import { kthLargest, largest, softmax, takeLargest } from "../../src/generation/probabilities.ts";
import { Random } from "../../src/generation/sampling.ts";
import { argmax } from "../../src/tensor/argmax.ts";
import { Tensor } from "../../src/tensor/tensor.ts";

describe("random numbers", () => {
  test("xoshiro128** as its authors publish it: from state 1, 2, 3, 4", () => {
    const random = new Random(0);
    // The state is private: a twin is stepped beside it, from the same outputs of splitmix32.
    const twin = reference([1, 2, 3, 4]);
    expect([twin(), twin(), twin(), twin()]).toEqual([11520, 0, 5927040, 70819200]);
    const seeded = reference(seedState(0));
    expect(Array.from({ length: 50 }, () => random.bits())).toEqual(Array.from({ length: 50 }, seeded));
  });

  test("a seed repeats them, others give others, none gives new ones", () => {
    const draw = (seed?: number): number[] => {
      const random = new Random(seed);
      return Array.from({ length: 8 }, () => random.uniform());
    };
    expect(draw(7)).toEqual(draw(7));
    const all = [7, 8, -7, 7 + 2 ** 32, 0, 2 ** 53 - 1].map((seed) => String(draw(seed)));
    expect(new Set(all).size).toBe(all.length);
    expect(draw()).not.toEqual(draw());
    expect(() => new Random(1.5)).toThrow(OptionError);
  });

  test("are spread evenly (chi-squared over 64 cells)", () => {
    const random = new Random(3);
    const cells = new Array<number>(64).fill(0);
    for (let i = 0; i < 64_000; i++) cells[Math.floor(random.uniform() * 64)]++;
    const chi = cells.reduce((sum, n) => sum + (n - 1000) ** 2 / 1000, 0);
    expect(chi).toBeLessThan(103); // 0.1 % of fair generators are above
  });
});

describe("drawing", () => {
  test("is as likely as the softmax says", () => {
    const random = new Random(11);
    const scores = Float32Array.from([1, 2, Number.NEGATIVE_INFINITY, 0]);
    const p = softmax(scores);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 20_000; i++) counts[random.sample(scores)]++;
    expect(counts[2]).toBe(0);
    for (const i of [0, 1, 3]) expect(Math.abs(counts[i] / 20_000 - p[i])).toBeLessThan(0.015);
  });

  test("without putting back gives each place once; with it, any number of times", () => {
    const random = new Random(12);
    const drawn = random.multinomial([0.1, 0, 5, 2], 3);
    expect([...drawn].sort()).toEqual([0, 2, 3]);
    expect(random.multinomial([0, 1], 4, true)).toEqual([1, 1, 1, 1]);
    expect(random.multinomial([0, 0, 1, 0], 3)).toEqual([2, 0, 1]);
    expect(() => random.multinomial([0, 1], 3)).toThrow(OptionError);
    expect(() => random.multinomial([0, 0], 1)).toThrow(OptionError);
    expect(() => random.sample(new Float32Array(3).fill(Number.NEGATIVE_INFINITY))).toThrow(
      /forbid every token/,
    );
    const firsts = [0, 0];
    for (let i = 0; i < 6000; i++) firsts[random.multinomial([1, 3], 2)[0]]++;
    expect(Math.abs(firsts[1] / 6000 - 0.75)).toBeLessThan(0.03);
  });

  test("argmax takes the first of equals", () => {
    expect([argmax([1, 3, 3]), argmax([Number.NEGATIVE_INFINITY, -5]), argmax([2])]).toEqual([1, 1, 0]);
  });
});

describe("the largest", () => {
  const values = Float32Array.from({ length: 5000 }, (_, i) => Math.round(30 * Math.sin(i * i)) / 4);
  values[7] = -0;
  values[8] = Number.NEGATIVE_INFINITY;
  const sorted = Array.from(values.keys()).sort((a, b) => values[b] - values[a] || b - a);

  test("come in order, of equals the last first", () => {
    for (const k of [1, 3, 64, 4999, 5000, 9000]) expect([...largest(values, k)]).toEqual(sorted.slice(0, k));
    for (const k of [1, 2, 40, 312, 313, 5000]) expect(kthLargest(values, k)).toBe(values[sorted[k - 1]]);
    const some = values.slice();
    for (const place of [3, 4000]) {
      some[place] = Number.NaN;
      expect([1, 2].map((k) => kthLargest(some, k))).toEqual([Number.NaN, place === 3 ? 7.5 : Number.NaN]);
    }
    expect(kthLargest(some, 3)).toBe(7.5);
  });

  test("are taken until there are enough", () => {
    const taken: number[] = [];
    takeLargest(values, (place, rank) => {
      expect(rank).toBe(taken.length);
      taken.push(place);
      return taken.length === 1500;
    });
    expect(taken).toEqual(sorted.slice(0, 1500));
  });
});

describe("drawing among the best", () => {
  /** Of few different numbers, so that several equal the last of the best, also once they are divided. */
  const logits = Array.from({ length: 40 }, (_, n) =>
    Float32Array.from({ length: 2003 }, (_, i) =>
      n % 2 === 0
        ? Math.fround(4 * Math.sin((i + 1) * (n + 3) * 1.7))
        : Math.round(9 * Math.cos(i * i + n)) / 3,
    ),
  );
  logits[7].fill(Number.NEGATIVE_INFINITY, 20);
  logits[8].fill(-1);

  const filters = {
    "a temperature": [new TemperatureLogitsWarper(0.7), new TopKLogitsWarper(50)],
    "top_k alone": [new TopKLogitsWarper(3)],
    "top_k of everything": [new TopKLogitsWarper(5000)],
    top_p: [new TemperatureLogitsWarper(1.3), new TopKLogitsWarper(40), new TopPLogitsWarper(0.8)],
    "top_p and min_p": [new TopKLogitsWarper(64), new TopPLogitsWarper(0.95), new MinPLogitsWarper(0.1)],
  };
  test.each(Object.entries(filters))("gives the tokens that the processors give: %s", (_, list) => {
    const processors = new LogitsProcessorList(list);
    const [random, other] = [new Random(11), new Random(11)];
    const draw = narrowDraw(processors, random) as Draw;
    const ids = new Tensor("int32", [1, 1], Int32Array.of(1));
    for (const row of logits) {
      const scores = processors(ids, new Tensor("float32", [1, row.length], row)) as Tensor;
      expect(draw(row)).toBe(other.sample(scores.data as Float32Array));
    }
    expect(random.bits()).toBe(other.bits());
    const broken = logits[0].slice();
    broken[5] = Number.NaN;
    expect(() => draw(broken)).toThrow(/No token can be drawn/);
  });

  test("is not for other processors", () => {
    const [warm, k] = [new TemperatureLogitsWarper(2), new TopKLogitsWarper(2)];
    const random = new Random(1);
    for (const list of [[], [warm], [k, warm], [warm, k, new EpsilonLogitsWarper(0.1)]]) {
      expect(narrowDraw(list, random)).toBeUndefined();
    }
  });
});

/** The published algorithm, word for word. */
function reference(state: number[]): () => number {
  const s = state.map((word) => BigInt(word));
  const mask = (1n << 32n) - 1n;
  const rotate = (x: bigint, k: bigint): bigint => ((x << k) | (x >> (32n - k))) & mask;
  return () => {
    const result = (rotate((s[1] * 5n) & mask, 7n) * 9n) & mask;
    const t = (s[1] << 9n) & mask;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11n);
    return Number(result);
  };
}

/** splitmix32, from which the state is filled. */
function seedState(seed: number): number[] {
  let word = BigInt(seed);
  const mask = (1n << 32n) - 1n;
  return Array.from({ length: 4 }, () => {
    word = (word + 0x9e3779b9n) & mask;
    let z = word;
    z = ((z ^ (z >> 16n)) * 0x21f0aaadn) & mask;
    z = ((z ^ (z >> 15n)) * 0x735a2d97n) & mask;
    return Number(z ^ (z >> 15n));
  });
}
