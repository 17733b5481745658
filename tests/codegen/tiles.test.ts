import { describe, expect, it } from "vitest";
import { program } from "../../src/codegen/ir.ts";
import { avx512 } from "../../src/codegen/target.ts";
import { configureTiles, releaseTiles, Tile, tileConfig } from "../../src/codegen/tiles.ts";
import { lowerX64 } from "../../src/codegen/x64/lower.ts";
import { openEngine } from "../../src/devices/native/engine.ts";
import {
  checkMemory,
  productsIn,
  tileProducts,
  vectorProducts,
} from "../../src/devices/native/tile_check.ts";
import { bfloat16ToNumber, numberToBfloat16 } from "../../src/tensor/dtype.ts";
import { disassemble } from "./support/iced.ts";
import { candidates, type Machine, missing, Random, runProgram } from "./support/machines.ts";

const target = avx512({ vnni: true, bf16: true, fp16: true, amx: true });

/** z = x y + z, for one tile each, whose rows lie `stride` bytes apart. */
function multiply(kind: "bf16" | "ss" | "su" | "us" | "uu", stride: number) {
  return program("tile", target, ["config", "x", "y", "z"], (b, args) => {
    configureTiles(b, b.cursor(args.config));
    const step = b.int(stride);
    const [x, y] = [args.x, args.y].map((slot) => new Tile(b).load(b.cursor(slot), 0, step, slot === args.x));
    const z = new Tile(b).load(b.cursor(args.z), 0, step);
    z.dot(kind, x, y).store(b.cursor(args.z), 0, step);
    releaseTiles(b);
  });
}

function machinesWithTiles(): Machine[] {
  const machines = candidates().filter((c): c is Machine => "run" in c && c.target.amx);
  const engine = openEngine("");
  if ("reason" in engine || !engine.target.amx) {
    missing("native tiles", "amx", "this processor has no AMX");
    return machines;
  }
  const native = candidates().find((c): c is Machine => "run" in c && c.name.startsWith("native avx512"))!;
  return [...machines, { ...native, name: "native amx", target }];
}

describe("tiles", () => {
  it("become the instructions that they are named after", () => {
    const { bytes, entry } = lowerX64(multiply("us", 64));
    expect(disassemble(bytes.subarray(entry)).filter((line) => /tile|tdp/.test(line))).toEqual([
      "ldtilecfg [rsi]",
      "tileloaddt1 tmm0,[rdx+rsi]",
      "tileloadd tmm1,[rdx+rsi]",
      "tileloadd tmm2,[rdx+rsi]",
      "tdpbusd tmm2,tmm0,tmm1",
      "tilestored [rdi+rsi],tmm2",
      "tilerelease",
    ]);
  });

  it("are compared with vectors before they are used, on numbers that tell products apart", () => {
    const machine = candidates().find((c): c is Machine => c.name === "interpreter, avx512 with all")!;
    const [tiles, vectors] = [tileProducts, vectorProducts].map((of) => {
      const memory = checkMemory();
      runProgram(machine, of(target), { memory });
      return productsIn(memory);
    });
    expect(tiles).toEqual(vectors);
    expect(new Set(new Int32Array(tiles.bytes.buffer)).size).toBeGreaterThan(200);
    // Sums that other orders of adding would round to other numbers.
    expect(new Set(new Float32Array(tiles.pairs.buffer)).size).toBeGreaterThan(200);
  });

  it("are eight", () => {
    const greedy = program("nine", target, ["x"], (b, { x }) => {
      const at = b.cursor(x);
      const all = Array.from({ length: 9 }, () => new Tile(b).zero());
      for (const tile of all) tile.store(at, 0, b.int(64));
    });
    expect(() => lowerX64(greedy)).toThrow(/'nine' for avx512 needs more than 8 tile registers/);
    const none = { ...greedy, target: avx512() };
    expect(() => lowerX64(none)).toThrow(/needs more than 0 tile registers/);
  });

  for (const machine of machinesWithTiles()) {
    it(`multiply bytes of either kind: ${machine.name}`, () => {
      const random = new Random(4);
      for (const kind of ["ss", "su", "us", "uu"] as const) {
        const bytes = (): Uint8Array => Uint8Array.from({ length: 2048 }, () => random.bits());
        const [x, y, z] = [bytes(), bytes(), new Int32Array(512)];
        for (let i = 0; i < 512; i++) z[i] = i;
        multiplyOn(machine, kind, 128, { x, y, z });
        const as = (k: string, a: Uint8Array): ArrayLike<number> => (k === "s" ? new Int8Array(a.buffer) : a);
        const [p, q] = [as(kind[0], x), as(kind[1], y)];
        for (let m = 0; m < 16; m++)
          for (let n = 0; n < 16; n++) {
            let sum = 32 * m + n;
            for (let k = 0; k < 64; k++) sum += p[128 * m + k] * q[128 * (k >> 2) + 4 * n + (k & 3)];
            expect(z[32 * m + n]).toBe(sum);
          }
      }
    });

    it(`multiply pairs of bf16: ${machine.name}`, () => {
      const random = new Random(9);
      const numbers = (): Uint16Array =>
        Uint16Array.from({ length: 512 }, () => numberToBfloat16(random.float()));
      const [x, y, z] = [numbers(), numbers(), random.floats(256)];
      const before = z.slice();
      multiplyOn(machine, "bf16", 64, { x, y, z });
      for (let m = 0; m < 16; m++)
        for (let n = 0; n < 16; n++) {
          let sum = before[16 * m + n];
          for (let k = 0; k < 32; k++)
            sum += bfloat16ToNumber(x[32 * m + k]) * bfloat16ToNumber(y[32 * (k >> 1) + 2 * n + (k & 1)]);
          expect(Math.abs(z[16 * m + n] - sum)).toBeLessThan(1e-5);
        }
    });

    it(`add up the first and the second of pairs apart, and count denormal numbers as zero: ${machine.name}`, () => {
      const one = numberToBfloat16(1);
      const product = (pairs: [number, number][], start = 0): number => {
        const [x, y, z] = [new Uint16Array(512), new Uint16Array(512), new Float32Array(256)];
        for (const [k, pair] of pairs.entries())
          for (const i of [0, 1]) {
            x[32 * 3 + 2 * k + i] = numberToBfloat16(pair[i]);
            y[32 * k + 2 * 5 + i] = one;
          }
        z[16 * 3 + 5] = start;
        multiplyOn(machine, "bf16", 64, { x, y, z });
        return z[16 * 3 + 5];
      };
      const small = 2 ** -24;
      // Added to 1 one by one they vanish; the second numbers of the pairs meet before.
      expect(
        product([
          [1, small],
          [0, small],
        ]),
      ).toBe(1 + 2 * small);
      expect(
        product([
          [1, 0],
          [small, 0],
          [small, 0],
        ]),
      ).toBe(1);
      // The tile's own number comes last.
      expect(product([[small, small]], 1)).toBe(1 + 2 * small);
      expect(product([[2 ** -130, 0]])).toBe(0);
      expect(product([[2 ** -126, -(2 ** -126) * 1.5]])).toBe(0);
      expect(product([[2 ** -126, 2 ** -126]])).toBe(2 ** -125);
      expect(product([[0, 0]], 2 ** -130)).toBe(0);
    });
  }
});

type Numbers = Uint8Array | Uint16Array | Int32Array | Float32Array;

function multiplyOn(
  machine: Machine,
  kind: Parameters<typeof multiply>[0],
  stride: number,
  { x, y, z }: { x: Numbers; y: Numbers; z: Numbers },
): void {
  const built = multiply(kind, stride);
  runProgram(machine, built, { config: tileConfig(), x, y, z });
}
