import { describe, expect, it } from "vitest";
import { ProgramError } from "../../src/codegen/instruction.ts";
import { type Builder, program } from "../../src/codegen/ir.ts";
import type { Int } from "../../src/codegen/scalar.ts";
import { avx2, avx512, wasm } from "../../src/codegen/target.ts";
import { lowerWasm } from "../../src/codegen/wasm/lower.ts";
import { lowerX64 } from "../../src/codegen/x64/lower.ts";
import { disassemble } from "./support/iced.ts";
import { describeMachines, runOn } from "./support/machines.ts";

/** Integer operations, with what they mean. */
const INTEGERS: Record<string, [(x: Int, y: Int) => Int, (x: number, y: number) => number]> = {
  plus: [(x, y) => x.plus(y), (x, y) => x + y],
  minus: [(x, y) => x.minus(y), (x, y) => x - y],
  times: [(x, y) => x.times(y), (x, y) => x * y],
  dividedBy: [(x, y) => x.dividedBy(y), (x, y) => Math.floor(x / y)],
  modulo: [(x, y) => x.modulo(y), (x, y) => x % y],
  min: [(x, y) => x.min(y), (x, y) => Math.min(x, y)],
  max: [(x, y) => x.max(y), (x, y) => Math.max(x, y)],
  numbers: [(x) => x.plus(70000).minus(3).times(24), (x) => (x + 69997) * 24],
  "powers of two": [
    (x) => x.times(64).plus(x.dividedBy(8)).plus(x.modulo(32)),
    (x) => x * 64 + (x >> 3) + (x % 32),
  ],
  "other numbers": [
    (x) => x.dividedBy(7).times(1000).plus(x.modulo(7)),
    (x) => Math.floor(x / 7) * 1000 + (x % 7),
  ],
  "nothing to do": [(x) => x.plus(0).times(1).dividedBy(1), (x) => x],
};

describeMachines((machine) => {
  const L = machine.target.lanes;

  it.each(Object.keys(INTEGERS))("integers: %s", (name) => {
    const [build, meaning] = INTEGERS[name];
    for (const [x, y] of [
      [17, 5],
      [5, 17],
      [1000003, 4],
      [8, 8],
      [0, 3],
    ]) {
      const out = new Int32Array(6);
      runOn(machine, { x, y, out }, (b, args) => {
        const to = b.cursor(args.out);
        const [p, q] = [args.x.read(), args.y.read()];
        to.writeInt(0, build(p, q));
        // The second time into a place that may be one of the inputs'.
        to.writeInt(4, build(args.x.read(), args.y.read()));
        const swapped = args.y.read();
        to.writeInt(8, build(args.x.read(), swapped));
        // One of them is needed afterwards, so that only the other's place is free.
        to.writeInt(12, build(p, args.y.read()));
        to.writeInt(16, build(args.x.read(), q));
        to.writeInt(20, p.plus(q));
      });
      const want = meaning(x, y) | 0;
      expect([...out], `${x}, ${y}`).toEqual([want, want, want, want, want, x + y]);
    }
  });

  it("divides wherever the operands are", () => {
    // Many integers alive at once, so that every register takes part.
    const n = 11;
    const out = new Int32Array(2 * n);
    runOn(
      machine,
      { x: 1000, out },
      (b, args) => {
        const x = args.x.read();
        const divisors = Array.from({ length: 5 }, (_, i) => b.int(i + 2));
        const quotients = divisors.map((d) => x.dividedBy(d));
        const to = b.cursor(args.out);
        for (const [i, q] of quotients.entries()) to.writeInt(4 * i, q);
        for (const [i, d] of divisors.entries()) to.writeInt(4 * (5 + i), x.modulo(d));
        to.writeInt(40, b.tile.plus(x));
      },
      { tile: 7 },
    );
    expect([...out.subarray(0, 11)]).toEqual([500, 333, 250, 200, 166, 0, 1, 0, 0, 4, 1007]);
  });

  it("counts in 8 bytes where pointers have them", () => {
    if (machine.target.name === "wasm") return;
    const out = new Int32Array(1);
    runOn(machine, { x: 2 ** 40 + 9, out }, (b, args) => {
      b.if(args.x.read(), ">", b.int(2 ** 40), () =>
        b.cursor(args.out).writeInt(0, args.x.read().minus(b.int(2 ** 40))),
      );
    });
    expect(out[0]).toBe(9);
  });

  it("repeats, branches and leaves", () => {
    const out = new Int32Array(8);
    const build = (b: Builder, args: { n: { read(): Int }; out: Parameters<Builder["cursor"]>[0] }): void => {
      const to = b.cursor(args.out);
      const counts = Array.from({ length: 6 }, () => b.variable(0));
      const [a, c, d, e, f, g] = counts;
      b.repeat(args.n.read(), () => {
        a.add(1);
        b.repeat(3, () => c.add(a));
      });
      b.repeat(0, () => d.add(1));
      b.repeat(1, () => d.add(10));
      b.each(5, (i) => e.add(i));
      b.forever((leave) => {
        f.add(1);
        b.if(
          f,
          ">",
          3,
          () => leave(f, ">=", 6),
          () => g.add(100),
        );
        b.repeat(2, () => g.add(1));
      });
      for (const [i, count] of counts.entries()) to.writeInt(4 * i, count);
    };
    for (const n of [4, 0, -2, 1]) {
      runOn(machine, { n, out }, build);
      const rounds = Math.max(0, n);
      expect([...out.subarray(0, 6)], `${n}`).toEqual([
        rounds,
        (3 * rounds * (rounds + 1)) / 2,
        10,
        10,
        6,
        300 + 10,
      ]);
    }
  });

  it.each(["==", "!=", "<", ">=", ">", "<="] as const)("compares with %s", (condition) => {
    const pairs = [
      [1, 2],
      [2, 1],
      [3, 3],
      [-1, 1],
      [0, 0],
      [5, 0],
      [-5, 0],
    ];
    const meaning = {
      "==": (x: number, y: number) => x === y,
      "!=": (x: number, y: number) => x !== y,
      "<": (x: number, y: number) => x < y,
      ">=": (x: number, y: number) => x >= y,
      ">": (x: number, y: number) => x > y,
      "<=": (x: number, y: number) => x <= y,
    }[condition];
    for (const [x, y] of pairs) {
      const out = new Int32Array(2);
      runOn(machine, { x, y, out }, (b, args) => {
        const to = b.cursor(args.out);
        const note = (at: number, n: number) => () => to.writeInt(at, b.int(n));
        b.if(args.x.read(), condition, args.y.read(), note(0, 1), note(0, 2));
        b.if(args.x.read(), condition, y, note(4, 1), note(4, 2));
      });
      const want = meaning(x, y) ? 1 : 2;
      expect([...out], `${x} ${condition} ${y}`).toEqual([want, want]);
    }
  });

  it("walks with cursors, and finds the tile and scratch memory", () => {
    const x = Float32Array.from({ length: 6 * L }, (_, i) => i);
    const out = new Float32Array(3 * L);
    runOn(
      machine,
      { x, step: 4 * L, out },
      (b, args) => {
        const p = b.cursor(args.x, b.tile.times(4 * L));
        const scratch = b.scratch(128);
        scratch.store(64, p.load());
        const q = p.copy(4 * L).advance(args.step.read());
        const to = b.cursor(args.out);
        to.store(0, b.scratch().load(192));
        to.advance(4 * L).store(0, q.load());
        to.store(4 * L, q.load(-8 * L));
      },
      { tile: 2 },
    );
    const at = (i: number): number[] => Array.from({ length: L }, (_, j) => i * L + j);
    expect([...out]).toEqual([...at(2), ...at(4), ...at(2)]);
  });

  it("adds to memory for all threads at once", () => {
    const x = Int32Array.of(5, 7);
    runOn(machine, { x }, (b, args) => {
      const p = b.cursor(args.x);
      const before = p.atomicAdd(4, b.int(10));
      p.atomicWrite(0, before.plus(p.atomicRead(4)));
    });
    expect([...x]).toEqual([24, 17]);
  });

  it("has constants in either branch, whichever has the loop", () => {
    for (const n of [0, 1, 2]) {
      const out = new Float32Array(2 * L);
      runOn(machine, { n, out }, (b, args) => {
        const to = b.cursor(args.out);
        const add = (): void => to.store(0, b.add(to.load(), b.f32(3)));
        b.if(args.n.read(), "==", 0, () => b.repeat(4, add), add);
        to.advance(4 * L);
        b.if(args.n.read(), "==", 1, add, () => b.repeat(4, add));
      });
      expect([out[0], out[L]]).toEqual([n === 0 ? 12 : 3, n === 1 ? 3 : 12]);
    }
  });

  it("has room for more constants than registers", () => {
    const n = 60;
    const x = Float32Array.from({ length: 5 * L }, (_, i) => i);
    const out = new Float32Array(5 * L);
    runOn(machine, { x, out, n: 5 }, (b, args) => {
      const [p, q] = [b.cursor(args.x), b.cursor(args.out)];
      const early = b.f32(0.5);
      b.repeat(args.n, () => {
        let v = b.add(p.load(), early);
        for (let i = 0; i < n; i++) v = b.add(v, b.f32(i));
        b.repeat(2, () => q.store(0, b.add(b.as("f32", b.add(b.as("i32", v), b.iota())), early)));
        for (const c of [p, q]) c.advance(4 * L);
      });
    });
    for (let i = 0; i < x.length; i++) {
      const sum = Float32Array.of(x[i] + 0.5 + (n * (n - 1)) / 2);
      const bits = new Int32Array(sum.buffer);
      bits[0] += i % L;
      expect(out[i]).toBe(Math.fround(sum[0] + 0.5));
    }
  });
});

describe("mistakes in programs", () => {
  const full = avx512({ vnni: true });

  it("names the program that needs too many registers", () => {
    const tooMany = (target: typeof full) =>
      program("greedy", target, ["x"], (b, { x }) => {
        const p = b.cursor(x);
        const all = Array.from({ length: 33 }, (_, i) => b.acc(p.load(4 * i)));
        for (const [i, v] of all.entries()) p.store(64 * i, v);
      });
    expect(() => lowerX64(tooMany(full))).toThrow(ProgramError);
    expect(() => lowerX64(tooMany(full))).toThrow(/'greedy' for avx512 needs more than 32 vector registers/);
    expect(() => lowerX64(tooMany(avx2()))).toThrow(/'greedy' for avx2 needs more than 16 vector registers/);
    expect(lowerWasm(tooMany(wasm())).length).toBeGreaterThan(100);
  });

  it("names the program that needs too many integers", () => {
    const greedy = program("pointers", full, ["x"], (b, { x }) => {
      const all = Array.from({ length: 15 }, () => x.read());
      for (const p of all) b.cursor(p).writeInt(0, b.tile);
    });
    expect(() => lowerX64(greedy)).toThrow(/'pointers' for avx512 needs more than 14 scalar registers/);
  });

  it("refuses values outside the loop that made them", () => {
    expect(() =>
      program("leak", full, ["x"], (b, { x }) => {
        let n: Int | undefined;
        b.repeat(3, () => {
          n = x.read();
        });
        b.cursor(x).writeInt(0, n!);
      }),
    ).toThrow(/'leak'.*outside the loop or branch that made it/);
  });

  it("refuses to leave a loop from another one", () => {
    expect(() =>
      program("lost", full, [], (b) => b.forever((leave) => b.repeat(2, () => leave(b.tile, "==", 0)))),
    ).toThrow(/only be left from its own body/);
  });

  it("refuses lanes that are not there, and what a target lacks", () => {
    expect(() => program("wide", avx2(), ["x"], (b, { x }) => b.cursor(x).load(0, 9))).toThrow(
      /9 lanes of a vector of 8/,
    );
    expect(() => program("none", avx2(), ["x"], (b, { x }) => b.cursor(x).load(0, 0))).toThrow(/0 lanes/);
    const half = program("half", avx2(), ["x"], (b, { x }) => {
      const v = b.cursor(x).loadBytes(0, "f16");
      b.cursor(x).store(0, b.mul(v, v));
    });
    expect(() => lowerX64(half)).toThrow(/'half' for avx2: no instruction for 'mulF16'/);
    expect(() => lowerWasm({ ...half, target: wasm() })).toThrow(
      /'half' for wasm: no instruction for 'mulF16'/,
    );
  });

  it("refuses vectors that would have to outlive a call", () => {
    const call = program("call", full, ["x"], (b, { x }) => {
      const p = b.cursor(x);
      const v = p.load();
      const n = x.read();
      b.emit(
        "call",
        [n, n, n, n].map(({ register }) => register),
      );
      p.store(0, v);
    });
    expect(() => lowerX64(call)).toThrow(/in use across a call/);
  });
});

describe("machine code", () => {
  it("is what one would write by hand", () => {
    const { bytes, entry, peak } = lowerX64(
      program("axpy", avx512(), ["x", "y"], (b, { x, y }) => {
        const [p, q] = [b.cursor(x), b.cursor(y)];
        b.repeat(100, () => {
          q.store(0, b.fma(p.load(), b.f32(2), q.load()));
          for (const c of [p, q]) c.advance(64);
        });
      }),
    );
    const text = disassemble(bytes.subarray(entry));
    expect(entry).toBe(64);
    expect(text).toEqual([
      "mov rsi,[rdi]",
      "mov rdi,[rdi+8]",
      "mov edx,64h",
      "vpbroadcastd zmm0,[rel 0FFFFFFFFFFFFFFC0h]",
      "vmovups zmm1,[rsi]",
      "vmovups zmm2,[rdi]",
      "vfmadd213ps zmm1,zmm0,zmm2",
      "vmovups [rdi],zmm1",
      "add rsi,40h",
      "add rdi,40h",
      "sub rdx,1",
      "jne short 0000000000000016h",
      "ret",
    ]);
    expect(peak).toEqual({ vector: 3, scalar: 3, tile: 0 });
  });
});
