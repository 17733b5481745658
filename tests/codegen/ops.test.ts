import { expect, it } from "vitest";
import { dot4, dotBf16, dotSigned, nibbleSum, packBf16, signedBytes } from "../../src/codegen/dots.ts";
import type { Builder } from "../../src/codegen/ir.ts";
import { butterfly, erf, exp, maxLanes, sigmoid, sumLanes, tanh, transpose } from "../../src/codegen/math.ts";
import type { Vec } from "../../src/codegen/vector.ts";
import { erf as exactErf } from "../../src/kernels/erf.ts";
import {
  bfloat16ToNumber,
  float16ToNumber,
  numberToBfloat16,
  numberToFloat16,
  roundHalfEven,
} from "../../src/tensor/dtype.ts";
import { describeMachines, Random, runOn } from "./support/machines.ts";

type F = Vec<"f32">;
type I = Vec<"i32">;

/** f32 operations, with what they mean. */
const FLOATS: Record<
  string,
  [(b: Builder, x: F, y: F, z: F) => F, (x: number, y: number, z: number) => number]
> = {
  add: [(b, x, y) => b.add(x, y), (x, y) => x + y],
  sub: [(b, x, y) => b.sub(x, y), (x, y) => x - y],
  mul: [(b, x, y) => b.mul(x, y), (x, y) => x * y],
  div: [(b, x, y) => b.div(x, y), (x, y) => x / y],
  max: [(b, x, y) => b.max(x, y), (x, y) => Math.max(x, y)],
  min: [(b, x, y) => b.min(x, y), (x, y) => Math.min(x, y)],
  abs: [(b, x) => b.abs(x), (x) => Math.abs(x)],
  negate: [(b, x) => b.negate(x), (x) => -x],
  sqrt: [(b, x) => b.sqrt(b.abs(x)), (x) => Math.sqrt(Math.abs(x))],
  round: [(b, x) => b.round(x), (x) => roundHalfEven(x)],
  fma: [(b, x, y, z) => b.fma(x, y, z), (x, y, z) => x * y + z],
  "fma, in place of a factor": [(b, x, y, z) => b.fma(b.add(x, x), y, z), (x, y, z) => 2 * x * y + z],
  "fma, in place of the other factor": [(b, x, y, z) => b.fma(x, b.add(y, y), z), (x, y, z) => 2 * x * y + z],
  fnma: [(b, x, y, z) => b.fnma(x, y, z), (x, y, z) => z - x * y],
  "fnma, in place of a factor": [(b, x, y, z) => b.fnma(b.add(x, x), y, z), (x, y, z) => z - 2 * x * y],
  "acc.fma": [(b, x, y, z) => b.acc(z).fma(x, y), (x, y, z) => x * y + z],
  "acc.fnma": [(b, x, y, z) => b.acc(z).fnma(x, y), (x, y, z) => z - x * y],
  "acc.add, sub": [(b, x, y, z) => b.acc(x).add(y).sub(z), (x, y, z) => Math.fround(x + y) - z],
  "acc.mul": [(b, x, y) => b.acc(x).mul(y), (x, y) => x * y],
  "acc.max, min": [(b, x, y, z) => b.acc(x).max(y).min(z), (x, y, z) => Math.min(Math.max(x, y), z)],
  constants: [(b, x) => b.add(b.mul(x, b.f32(0.1)), b.f32(-3)), (x) => Math.fround(Math.fround(0.1) * x) - 3],
  select: [(b, x, y, z) => b.select(b.less(x, y), y, z), (x, y, z) => (x < y ? y : z)],
  "select, in place": [
    (b, x, y, z) => b.select(b.less(x, y), b.add(y, y), b.add(z, z)),
    (x, y, z) => (x < y ? 2 * y : 2 * z),
  ],
  "equal of floats": [
    (b, x, y, z) => b.select(b.equal(b.round(x), b.round(y)), y, z),
    (x, y, z) => (roundHalfEven(x) === roundHalfEven(y) ? y : z),
  ],
  "toI32 and back": [(b, x) => b.toF32(b.toI32(x)), (x) => roundHalfEven(x) + 0],
  "and with a mask": [(b, x, y) => b.and(x, b.less(x, y)), (x, y) => (x < y ? x : 0)],
  "andNot with a mask": [(b, x, y) => b.andNot(x, b.less(x, y)), (x, y) => (x < y ? 0 : x)],
};

const INTS: Record<string, [(b: Builder, x: I, y: I) => I, (x: number, y: number) => number]> = {
  add: [(b, x, y) => b.add(x, y), (x, y) => x + y],
  sub: [(b, x, y) => b.sub(x, y), (x, y) => x - y],
  mul: [(b, x, y) => b.mul(x, y), (x, y) => Math.imul(x, y)],
  and: [(b, x, y) => b.and(x, y), (x, y) => x & y],
  or: [(b, x, y) => b.or(x, y), (x, y) => x | y],
  xor: [(b, x, y) => b.xor(x, y), (x, y) => x ^ y],
  andNot: [(b, x, y) => b.andNot(x, y), (x, y) => x & ~y],
  shl: [(b, x) => b.shl(x, 13), (x) => x << 13],
  shr: [(b, x) => b.shr(x, 5), (x) => x >>> 5],
  sar: [(b, x) => b.sar(x, 31), (x) => x >> 31],
  greater: [(b, x, y) => b.as("i32", b.greater(x, y)), (x, y) => (x > y ? -1 : 0)],
  equal: [
    (b, x, y) => b.as("i32", b.equal(b.and(x, b.i32(1)), b.and(y, b.i32(1)))),
    (x, y) => ((x & 1) === (y & 1) ? -1 : 0),
  ],
  "or of variables": [(b, x, y) => b.acc(x).or(y).xor(b.i32(77)), (x, y) => (x | y) ^ 77],
  "16-bit add, sub": [
    (b, x, y) => b.as("i32", b.sub(b.add(b.as("i16", x), b.as("i16", y)), b.i16(-3))),
    (x, y) => halves(x, y, (p, q) => p + q + 3),
  ],
  "16-bit shifts": [
    (b, x, y) =>
      b.as(
        "i32",
        b.xor(b.shl(b.as("i16", x), 3), b.xor(b.shr(b.as("i16", y), 7), b.sar(b.as("i16", x), 15))),
      ),
    (x, y) => halves(x, y, (p, q) => (p << 3) ^ ((q & 0xffff) >>> 7) ^ (p >> 15)),
  ],
  "8-bit add, sub": [
    (b, x, y) => b.as("i32", b.sub(b.add(b.as("bytes", x), b.as("bytes", y)), b.bytes(9))),
    (x, y) => {
      let r = 0;
      for (let i = 0; i < 32; i += 8) r |= ((((x >>> i) & 255) + ((y >>> i) & 255) - 9) & 255) << i;
      return r;
    },
  ],
};

/** An operation on both 16-bit halves. */
function halves(x: number, y: number, f: (p: number, q: number) => number): number {
  const high = f(x >> 16, y >> 16) & 0xffff;
  return (high << 16) | (f((x << 16) >> 16, (y << 16) >> 16) & 0xffff);
}

/** Every count of lanes up to two vectors, and larger odd ones. */
const COUNTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 33, 61];

const bitsOf = (x: number): number => new Int32Array(Float32Array.of(x).buffer)[0];

describeMachines((machine) => {
  const L = machine.target.lanes;

  it.each(Object.keys(FLOATS))("f32 %s", (name) => {
    const [build, expected] = FLOATS[name];
    const random = new Random(name.length + 7);
    // Parts of vectors are loaded alike for all.
    for (const n of name === "add" ? COUNTS : [3, 2 * L + 5, 61]) {
      const [x, y, z] = [random.floats(n, 3), random.floats(n, 3), random.floats(n, 3)];
      const out = new Float32Array(n);
      runOn(machine, { x, y, z, out }, (b, args) => {
        const [px, py, pz, po] = [b.cursor(args.x), b.cursor(args.y), b.cursor(args.z), b.cursor(args.out)];
        b.elements(
          n,
          (i, lanes) => {
            const result = build(b, px.load(4 * i, lanes), py.load(4 * i, lanes), pz.load(4 * i, lanes));
            po.store(4 * i, result, lanes);
          },
          (k) => {
            for (const p of [px, py, pz, po]) p.advance(4 * k);
          },
          n > 40 ? 2 : 1,
        );
      });
      for (let i = 0; i < n; i++) {
        const want = Math.fround(expected(x[i], y[i], z[i]));
        // A product and a sum may be rounded once or twice.
        const slack = /fn?ma/.test(name) ? 3e-7 * (Math.abs(2 * x[i] * y[i]) + Math.abs(z[i])) : 0;
        if (!(Math.abs(out[i] - want) <= slack))
          expect(out[i], `${name} of ${x[i]}, ${y[i]}, ${z[i]}`).toBe(want);
      }
    }
  });

  it.each(Object.keys(INTS))("i32 %s", (name) => {
    const [build, expected] = INTS[name];
    const random = new Random(name.length);
    const n = 2 * L + 3;
    const ints = (): Int32Array => Int32Array.from({ length: n }, () => random.bits() | 0);
    const [x, y, out] = [ints(), ints(), new Int32Array(n)];
    x.set([0, -1, 0x7fffffff, -0x80000000, 5]);
    y.set([0, 1, -1, -0x80000000, 5]);
    runOn(machine, { x, y, out }, (b, args) => {
      const [px, py, po] = [b.cursor(args.x), b.cursor(args.y), b.cursor(args.out)];
      b.elements(
        n,
        (i, lanes) => po.store(4 * i, build(b, px.loadI32(4 * i, lanes), py.loadI32(4 * i, lanes)), lanes),
        (k) => {
          for (const p of [px, py, po]) p.advance(4 * k);
        },
      );
    });
    expect([...out]).toEqual([...x].map((v, i) => expected(v, y[i]) | 0));
  });

  it("keeps or drops NaN in max and min as it says", () => {
    const [x, y, out] = [
      new Float32Array(L).fill(Number.NaN),
      new Float32Array(L).fill(1),
      new Float32Array(4 * L),
    ];
    runOn(machine, { x, y, out }, (b, args) => {
      const [vx, vy, to] = [b.cursor(args.x).load(), b.cursor(args.y).load(), b.cursor(args.out)];
      to.store(0, b.max(vx, vy));
      to.store(4 * L, b.max(vy, vx));
      to.store(8 * L, b.min(vx, vy));
      to.store(12 * L, b.min(vy, vx));
    });
    expect([0, L, 2 * L, 3 * L].map((i) => out[i])).toEqual([1, Number.NaN, 1, Number.NaN]);
  });

  it("loads and stores any number of lanes that is known only when it runs", () => {
    for (let n = 0; n <= L + 2; n++) {
      const [x, out] = [
        Float32Array.from({ length: Math.min(n, L) }, (_, i) => i + 1),
        new Float32Array(Math.min(n, L)),
      ];
      const all = new Float32Array(L);
      runOn(machine, { x, out, all, n }, (b, args) => {
        const lanes = b.firstLanes(args.n.read());
        const v = b.cursor(args.x, -8).load(8, lanes);
        b.cursor(args.out).store(0, b.add(v, v), lanes);
        b.cursor(args.all).store(0, b.select(lanes.mask, v, b.f32(-1)));
      });
      expect([...out]).toEqual([...x].map((v) => 2 * v));
      expect([...all]).toEqual(Array.from({ length: L }, (_, i) => (i < n ? i + 1 : -1)));
    }
  });

  it("reads every f16 and bf16", () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const [half, brain, finite] = Array.from({ length: 3 }, () => new Float32Array(65536));
    runOn(machine, { bits, half, brain, finite }, (b, args) => {
      const [p, q, r] = [b.cursor(args.bits), b.cursor(args.half), b.cursor(args.brain)];
      const f = b.cursor(args.finite);
      b.repeat(65536 / L, () => {
        q.store(0, p.loadF16());
        r.store(0, p.loadBf16());
        f.store(0, p.loadFiniteF16());
        p.advance(2 * L);
        for (const c of [q, r, f]) c.advance(4 * L);
      });
    });
    for (let i = 0; i < 65536; i++) {
      if (!Object.is(half[i], float16ToNumber(i)))
        expect(half[i], `f16 ${i.toString(16)}`).toBe(float16ToNumber(i));
      if ((i & 0x7fff) < 0x7c00 && !Object.is(finite[i], float16ToNumber(i)))
        expect(finite[i], `finite f16 ${i.toString(16)}`).toBe(float16ToNumber(i));
      if (!Object.is(brain[i], bfloat16ToNumber(i)))
        expect(brain[i], `bf16 ${i.toString(16)}`).toBe(bfloat16ToNumber(i));
    }
  });

  it("rounds to f16 and bf16, halves to even", () => {
    const random = new Random(5);
    const x = new Float32Array(machine.name.startsWith("interpreter") ? 4096 : 32768);
    const raw = new Int32Array(x.buffer);
    for (let i = 0; i < x.length; i++) {
      // All exponents; near halves of the last bit of f16 in every fourth.
      raw[i] = random.bits();
      if (i % 4 === 0) x[i] = float16ToNumber(random.int(0, 0x7bfe)) + random.int(-1, 1) * 2 ** -26;
      if (i % 4 === 1)
        raw[i] = ((raw[i] & 0x800fffff) | (random.int(100, 145) << 23)) & ~random.int(0, 0xfff);
    }
    const special = [
      0,
      -0,
      65504,
      65519.99,
      65520,
      -1e30,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      2 ** -24,
      2 ** -25,
      3 * 2 ** -25,
      2 ** -14,
    ];
    x.set(special);
    const [half, brain] = [new Uint16Array(x.length), new Uint16Array(x.length)];
    runOn(machine, { x, half, brain }, (b, args) => {
      const [p, q, r] = [b.cursor(args.x), b.cursor(args.half), b.cursor(args.brain)];
      b.repeat(x.length / L, () => {
        q.storeF16(0, p.load());
        r.storeBf16(0, p.load());
        p.advance(4 * L);
        for (const c of [q, r]) c.advance(2 * L);
      });
    });
    for (let i = 0; i < x.length; i++) {
      if (Number.isNaN(x[i])) {
        expect(float16ToNumber(half[i])).toBeNaN();
        expect(bfloat16ToNumber(brain[i])).toBeNaN();
        continue;
      }
      if (half[i] !== numberToFloat16(x[i])) expect(half[i], `f16 of ${x[i]}`).toBe(numberToFloat16(x[i]));
      // The processor's own conversion takes denormal numbers as zero.
      const denormal = Math.abs(x[i]) < 2 ** -126;
      if (!denormal && brain[i] !== numberToBfloat16(x[i]))
        expect(brain[i], `bf16 of ${x[i]}`).toBe(numberToBfloat16(x[i]));
    }
  });

  it("loads and stores parts of vectors of narrow numbers", () => {
    for (let n = 1; n <= L; n++) {
      const bytes = Uint8Array.from({ length: n }, (_, i) => 37 * i + 130);
      const words = Uint16Array.from({ length: n }, (_, i) => 0x3c00 + 1000 * i);
      const out = {
        u8: new Int32Array(n),
        i8: new Int32Array(n),
        u16: new Int32Array(n),
        f16: new Float32Array(n),
        bf16: new Float32Array(n),
      };
      const narrow = { half: new Uint16Array(n), brain: new Uint16Array(n), small: new Int8Array(n) };
      runOn(machine, { bytes, words, ...out, ...narrow }, (b, args) => {
        const [p, q] = [b.cursor(args.bytes), b.cursor(args.words)];
        b.cursor(args.u8).store(0, p.loadU8(0, n), n);
        b.cursor(args.i8).store(0, p.loadI8(0, n), n);
        b.cursor(args.u16).store(0, q.loadU16(0, n), n);
        b.cursor(args.f16).store(0, q.loadF16(0, n), n);
        b.cursor(args.bf16).store(0, q.loadBf16(0, n), n);
        b.cursor(args.half).storeF16(0, q.loadF16(0, n), n);
        b.cursor(args.brain).storeBf16(0, q.loadBf16(0, n), n);
        b.cursor(args.small).storeI8(0, b.sub(q.loadU16(0, n), b.i32(0x3c00 + 2000)), n);
      });
      expect([...out.u8]).toEqual([...bytes]);
      expect([...out.i8]).toEqual([...new Int8Array(bytes.buffer)]);
      expect([...out.u16]).toEqual([...words]);
      expect([...out.f16]).toEqual([...words].map(float16ToNumber));
      expect([...out.bf16]).toEqual([...words].map(bfloat16ToNumber));
      expect([...narrow.half]).toEqual([...words]);
      expect([...narrow.brain]).toEqual([...words]);
      expect([...narrow.small]).toEqual(
        [...words].map((_, i) => Math.max(-128, Math.min(127, 1000 * i - 2000))),
      );
    }
  });

  it("fills what it does not load with zeros", () => {
    for (let n = 1; n < L; n++) {
      const [x, words, bytes] = [
        new Float32Array(n).fill(7),
        new Uint16Array(n).fill(7),
        new Uint8Array(n).fill(7),
      ];
      const out = new Int32Array(3 * L);
      runOn(machine, { x, words, bytes, out }, (b, args) => {
        const to = b.cursor(args.out);
        // What the registers held before must not show through.
        const dirt = Array.from({ length: 3 }, (_, i) => b.acc(b.i32(-1 - i)));
        for (const [i, v] of dirt.entries()) to.store(4 * L * i, v);
        to.store(0, b.cursor(args.x).load(0, n));
        to.store(4 * L, b.cursor(args.words).loadU16(0, n));
        to.store(8 * L, b.cursor(args.bytes).loadU8(0, n));
      });
      for (const [i, want] of [bitsOf(7), 7, 7].entries())
        expect([...out.subarray(L * i, L * i + L)]).toEqual(
          Array.from({ length: L }, (_, j) => (j < n ? want : 0)),
        );
    }
  });

  it("repeats single numbers", () => {
    const x = Float32Array.of(7.5, -2.25, 1e-3);
    const h = Uint16Array.of(1, 0xc100, 0x3555);
    const out = new Float32Array(4 * L);
    const ints = new Int32Array(2 * L);
    runOn(machine, { x, h, out, ints, n: 41 }, (b, args) => {
      const [p, q, to, toInts] = [
        b.cursor(args.x),
        b.cursor(args.h),
        b.cursor(args.out),
        b.cursor(args.ints),
      ];
      to.store(0, p.broadcast(4));
      to.store(4 * L, q.broadcastF16(2));
      to.store(8 * L, q.broadcastBf16(4));
      to.store(12 * L, b.as("f32", p.broadcastBytes(8)));
      toInts.store(0, p.broadcastI32(4));
      toInts.store(4 * L, b.splat(args.n.read()));
    });
    const each = (n: number): number[] => new Array(L).fill(n);
    expect([...out]).toEqual([-2.25, float16ToNumber(0xc100), bfloat16ToNumber(0x3555), x[2]].flatMap(each));
    expect([...ints]).toEqual([...each(bitsOf(-2.25)), ...each(41)]);
  });

  it("swaps, permutes, transposes and folds lanes", () => {
    const x = Float32Array.from({ length: L * L }, (_, i) => i + 1);
    const swapped = new Float32Array(L * L);
    const turned = new Float32Array(L * L);
    const folded = new Float32Array(2 * L);
    runOn(machine, { x, swapped, turned, folded }, (b, args) => {
      const [p, s, t, f] = [
        b.cursor(args.x),
        b.cursor(args.swapped),
        b.cursor(args.turned),
        b.cursor(args.folded),
      ];
      for (let d = 1; d < L; d *= 2) s.store(4 * L * d, b.swap(p.load(), d));
      const rows = Array.from({ length: L }, (_, i) => p.load(4 * L * i));
      for (const [i, column] of transpose(b, rows).entries()) t.store(4 * L * i, column);
      f.store(0, sumLanes(b, p.load()));
      f.store(4 * L, maxLanes(b, b.negate(p.load(4 * L))));
    });
    for (let d = 1; d < L; d *= 2)
      expect([...swapped.subarray(L * d, L * d + L)]).toEqual(
        Array.from({ length: L }, (_, i) => (i ^ d) + 1),
      );
    expect([...turned]).toEqual(Array.from(x, (_, i) => (i % L) * L + Math.floor(i / L) + 1));
    expect([...folded.subarray(0, L)]).toEqual(new Array(L).fill((L * (L + 1)) / 2));
    expect([...folded.subarray(L)]).toEqual(new Array(L).fill(-L - 1));
    if (machine.target.name === "wasm") return;
    const picked = new Float32Array(L);
    runOn(machine, { x, picked }, (b, args) => {
      const order = b.lanesI32(Array.from({ length: L }, (_, i) => (5 * i + 3) % L));
      b.cursor(args.picked).store(0, b.permute(order, b.cursor(args.x).load()));
    });
    expect([...picked]).toEqual(Array.from({ length: L }, (_, i) => ((5 * i + 3) % L) + 1));
  });

  it("folds integers by any function", () => {
    const x = Int32Array.from({ length: L }, (_, i) => 1 << i);
    const out = new Int32Array(L);
    runOn(machine, { x, out }, (b, args) => {
      b.cursor(args.out).store(
        0,
        butterfly(b, b.cursor(args.x).loadI32(), (p, q) => b.or(p, q)),
      );
    });
    expect([...out]).toEqual(new Array(L).fill(2 ** L - 1));
  });

  it.each([255, 128, 127, 15])("multiplies bytes up to %i exactly", (most) => {
    const random = new Random(most);
    const steps = 6;
    const w = Uint8Array.from({ length: 4 * L * steps }, (_, i) => (i % 3 ? random.int(0, most) : most));
    const x = Int8Array.from({ length: 4 * L * steps }, (_, i) =>
      i % 5 ? random.int(-128, 127) : i % 2 ? -128 : 127,
    );
    const out = new Int32Array(L);
    runOn(machine, { w, x, out }, (b, args) => {
      const [p, q] = [b.cursor(args.w), b.cursor(args.x)];
      const sum = b.accI32(-1234);
      for (let i = 0; i < steps; i++) dot4(b, sum, p.loadBytes(4 * L * i), q.loadBytes(4 * L * i), most);
      b.cursor(args.out).store(0, sum);
    });
    const want = new Array(L).fill(-1234);
    for (let i = 0; i < w.length; i++) want[Math.floor((i % (4 * L)) / 4)] += w[i] * x[i];
    expect([...out]).toEqual(want);
  });

  it("multiplies 4-bit numbers in blocks", () => {
    const random = new Random(3);
    // The largest sums there can be in the first lane.
    const w = Uint8Array.from({ length: 4 * L * 8 }, (_, i) => (i % (4 * L) < 4 ? 15 : random.int(0, 15)));
    const x = Int8Array.from({ length: 4 * L * 8 }, (_, i) =>
      i % (4 * L) < 4 ? -127 : random.int(-127, 127),
    );
    const out = new Int32Array(L);
    runOn(machine, { w, x, out }, (b, args) => {
      const sum = nibbleSum(b, () => b.i32(99));
      for (let i = 0; i < 8; i++)
        sum.step(b.cursor(args.w).loadBytes(4 * L * i), b.cursor(args.x).loadBytes(4 * L * i));
      b.cursor(args.out).store(0, sum.finish());
    });
    const want = new Array(L).fill(99);
    for (let i = 0; i < w.length; i++) want[Math.floor((i % (4 * L)) / 4)] += w[i] * x[i];
    expect([...out]).toEqual(want);
  });

  it.runIf(machine.target.name === "avx2")("multiplies signed bytes", () => {
    const random = new Random(5);
    // The largest and the smallest sums there can be in the first two lanes; zeros among the others.
    const extreme = (i: number, other: number): number =>
      i % (4 * L) < 4 ? 127 : i % (4 * L) < 8 ? other : 0;
    const numbers = (other: number): Int8Array =>
      Int8Array.from({ length: 4 * L * 8 }, (_, i) => extreme(i, other) || random.int(-127, 127));
    const [w, x, out] = [numbers(-127), numbers(127), new Int32Array(L)];
    const above = Uint8Array.from(w, (n) => n + 128);
    runOn(machine, { above, x, out }, (b, args) => {
      const sum = b.accI32(-77);
      for (let i = 0; i < 8; i++) {
        const signed = signedBytes(b, b.cursor(args.above).loadBytes(4 * L * i));
        dotSigned(b, sum, signed, b.cursor(args.x).loadBytes(4 * L * i));
      }
      b.cursor(args.out).store(0, sum);
    });
    const want = new Array(L).fill(-77);
    for (let i = 0; i < w.length; i++) want[Math.floor((i % (4 * L)) / 4)] += w[i] * x[i];
    expect([...out]).toEqual(want);
  });

  it("multiplies pairs of bf16", () => {
    const random = new Random(11);
    const numbers = (): Uint16Array =>
      Uint16Array.from({ length: 4 * L }, () => numberToBfloat16(random.float(2)));
    const [x, y, out] = [numbers(), numbers(), new Float32Array(L)];
    runOn(machine, { x, y, out }, (b, args) => {
      const [p, q, sum] = [b.cursor(args.x), b.cursor(args.y), b.accF32(0.5)];
      for (const at of [0, 4 * L]) dotBf16(b, sum, p.loadBytes(at, "bf16"), q.loadBytes(at, "bf16"));
      b.cursor(args.out).store(0, sum);
    });
    for (let i = 0; i < L; i++) {
      let want = 0.5;
      for (const j of [0, 1, 2 * L, 2 * L + 1])
        want += bfloat16ToNumber(x[2 * i + j]) * bfloat16ToNumber(y[2 * i + j]);
      expect(Math.abs(out[i] - want)).toBeLessThan(1e-5);
    }
    if (!machine.target.bf16) return;
    const [low, high, packed] = [random.floats(L), random.floats(L), new Uint16Array(2 * L)];
    runOn(machine, { low, high, packed }, (b, args) => {
      b.cursor(args.packed).store(0, packBf16(b, b.cursor(args.low).load(), b.cursor(args.high).load()));
    });
    expect([...packed]).toEqual([...low, ...high].map(numberToBfloat16));
  });

  /** name, function, exact function, from, to, largest relative error, largest absolute error */
  const FUNCTIONS: [
    string,
    (b: Builder, x: F) => F,
    (x: number) => number,
    number,
    number,
    number,
    number,
  ][] = [
    ["exp", exp, Math.exp, -60, 88.3, 1.6e-7, 0],
    ["sigmoid", sigmoid, (x) => 1 / (1 + Math.exp(-x)), -59, 90, 3e-7, 0],
    ["tanh", tanh, Math.tanh, -40, 40, 0, 2.5e-7],
    ["erf", erf, exactErf, -6, 6, 7e-7, 0],
  ];

  it.each(FUNCTIONS)("%s", (_name, build, exact, from, to, relative, absolute) => {
    const n = 4096;
    const x = Float32Array.from({ length: n }, (_, i) => from + ((to - from) * i) / (n - 1));
    for (let i = 0; i < 100; i++) x[8 * i] = (i - 50) / 97;
    const out = new Float32Array(n);
    runOn(machine, { x, out }, (b, args) => {
      const [p, q] = [b.cursor(args.x), b.cursor(args.out)];
      b.repeat(n / L, () => {
        q.store(0, build(b, p.load()));
        for (const c of [p, q]) c.advance(4 * L);
      });
    });
    let worst = 0;
    for (let i = 0; i < n; i++) {
      const want = exact(x[i]);
      worst = Math.max(worst, Math.abs(out[i] - want) / (absolute + relative * Math.abs(want) + 1e-45));
    }
    expect(worst).toBeLessThan(1);
  });

  it("bounds exp, and lets NaN through", () => {
    const x = new Float32Array(L).fill(Number.NaN);
    x.set([-1e30, Number.NEGATIVE_INFINITY, 1e30].slice(0, L - 1));
    const out = new Float32Array(L);
    runOn(machine, { x, out }, (b, args) => b.cursor(args.out).store(0, exp(b, b.cursor(args.x).load())));
    expect(out[0]).toBeGreaterThan(0);
    expect(out[0]).toBeLessThan(1e-26);
    expect(out[1]).toBe(out[0]);
    expect(out[2]).toBeGreaterThan(2e38);
    expect(out[2]).toBeLessThan(Number.POSITIVE_INFINITY);
    expect(out[L - 1]).toBeNaN();
  });
});
