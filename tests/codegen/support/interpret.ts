import type { Instruction, Program, Register } from "../../../src/codegen/instruction.ts";
import { PARAMETERS, TILE_DOTS } from "../../../src/codegen/instruction.ts";
import {
  bfloat16ToNumber,
  float16ToNumber,
  numberToBfloat16,
  numberToFloat16,
  roundHalfEven,
} from "../../../src/tensor/dtype.ts";

/*
 * Runs vector programs in plain JavaScript, operation by operation: what each means, apart from any machine. Addresses
 * are offsets into one buffer. Used as the reference for lowerings, and for programs that no machine at hand can run.
 */

/** A vector register's bits under all their readings. */
class Bits {
  readonly u8: Uint8Array;
  readonly i8: Int8Array;
  readonly u16: Uint16Array;
  readonly i16: Int16Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly f32: Float32Array;

  constructor(bytes: number) {
    const buffer = new ArrayBuffer(bytes);
    this.u8 = new Uint8Array(buffer);
    this.i8 = new Int8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i16 = new Int16Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.f32 = new Float32Array(buffer);
  }
}

/** What a program calls: programs by their "addresses". */
export type Callees = (address: number) => Program;

const TILE_BYTES = 1024;

/** Palette 1, eight tiles of 16 rows of 64 bytes: what LDTILECFG reads. */
const FULL_TILES = Uint8Array.from({ length: 64 }, (_, i) => {
  if (i === 0) return 1;
  if (i >= 16 && i < 32) return i % 2 === 0 ? 64 : 0;
  return i >= 48 && i < 56 ? 16 : 0;
});

/** Calls a control operation's mate: the end of a loop, the else or end of a branch. */
type Jumps = Map<number, number>;

const saturate = (x: number, low: number, high: number): number => Math.min(high, Math.max(low, x));

/** Runs `program` with its three arguments on `memory`. */
export function interpret(
  program: Program,
  memory: ArrayBuffer,
  [block, tile, scratch]: readonly [number, number, number],
  callees?: Callees,
): void {
  new Interpreter(program, memory, callees).run([block, tile, scratch]);
}

class Interpreter {
  readonly #program: Program;
  readonly #lanes: number;
  readonly #bytes: number;
  readonly #memory: ArrayBuffer;
  readonly #view: DataView;
  readonly #u8: Uint8Array;
  readonly #vectors = new Map<Register, Bits>();
  readonly #scalars = new Map<Register, number>();
  readonly #tiles = new Map<Register, Bits>();
  /** Not set: touching a tile would end the process. */
  #configured = false;
  readonly #jumps: Jumps;
  /** Counts what has been asked of it. */
  #clock = 0;
  readonly #callees: Callees | undefined;

  constructor(program: Program, memory: ArrayBuffer, callees?: Callees) {
    this.#program = program;
    this.#lanes = program.target.lanes;
    this.#bytes = program.target.bytes;
    this.#memory = memory;
    this.#view = new DataView(memory);
    this.#u8 = new Uint8Array(memory);
    this.#jumps = jumpsOf(program);
    this.#callees = callees;
  }

  run(parameters: readonly number[]): void {
    const { instructions, registers } = this.#program;
    for (let i = 0; i < PARAMETERS; i++) this.#scalars.set(registers[i], parameters[i]);
    for (let at = 0; at < instructions.length; ) at = this.#step(instructions[at], at);
    if (this.#configured) throw new Error(`'${this.#program.name}' does not release its tiles`);
  }

  /** Does one instruction; gives the number of the next. */
  #step(o: Instruction, at: number): number {
    const jump = this.#control(o, at);
    if (jump !== undefined) return jump;
    if (!this.#scalar(o) && !this.#memoryOp(o) && !this.#tileOp(o)) this.#vector(o);
    return at + 1;
  }

  #s(register: Register): number {
    const n = this.#scalars.get(register);
    if (n === undefined) throw new Error("an integer is read before it is written");
    return n;
  }

  /** A vector's bits, to be read. */
  #v(register: Register): Bits {
    const { constant } = register;
    if (constant !== undefined) return this.#constantBits(constant);
    const bits = this.#vectors.get(register);
    if (!bits) throw new Error("a vector is read before it is written");
    return bits;
  }

  #constantBits(constant: number | readonly number[]): Bits {
    const bits = new Bits(this.#bytes);
    if (typeof constant === "number") bits.i32.fill(constant);
    else bits.i32.set(constant);
    return bits;
  }

  #control(o: Instruction, at: number): number | undefined {
    switch (o.op) {
      case "loop":
      case "forever":
      case "endIf":
      case "pause":
      case "yield":
        return at + 1;
      case "endLoop": {
        const left = this.#s(o.inputs[0]) - 1;
        this.#scalars.set(o.inputs[0], left);
        return left !== 0 ? this.#jumps.get(at)! + 1 : at + 1;
      }
      case "endForever":
        return this.#jumps.get(at)! + 1;
      case "break":
        return this.#holds(o) ? this.#jumps.get(at)! + 1 : at + 1;
      case "if":
        return this.#holds(o) ? at + 1 : this.#jumps.get(at)! + 1;
      case "else":
        return this.#jumps.get(at)! + 1;
      case "call": {
        const [address, ...parameters] = o.inputs.map((r) => this.#s(r));
        const callee = this.#callees?.(address);
        if (!callee) throw new Error("nothing to call");
        new Interpreter(callee, this.#memory, this.#callees).run(parameters);
        return at + 1;
      }
      default:
        return undefined;
    }
  }

  #holds({ condition, inputs, imm }: Instruction): boolean {
    const a = this.#s(inputs[0]);
    const b = inputs.length > 1 ? this.#s(inputs[1]) : imm;
    switch (condition) {
      case "==":
        return a === b;
      case "!=":
        return a !== b;
      case "<":
        return a < b;
      case ">=":
        return a >= b;
      case ">":
        return a > b;
      default:
        return a <= b;
    }
  }

  #scalar(o: Instruction): boolean {
    const [a, b] = o.inputs
      .filter(({ kind }) => kind === "scalar")
      .map((r) => this.#scalars.get(r) ?? Number.NaN);
    const set = (n: number): true => {
      this.#scalars.set(o.out!, n);
      return true;
    };
    const at = a + o.offset;
    switch (o.op) {
      case "int":
        return set(o.imm);
      case "clock":
        return set(this.#clock++);
      case "move":
        return set(a);
      case "add":
        return set(a + b);
      case "sub":
        return set(a - b);
      case "mul":
        return set(a * b);
      case "addImm":
        return set(a + o.imm);
      case "mulImm":
        return set(a * o.imm);
      case "shlImm":
        return set(a * 2 ** o.imm);
      case "shrImm":
        return set(Math.floor(a / 2 ** o.imm));
      case "andImm":
        return set(a & o.imm);
      case "min":
        return set(Math.min(a, b));
      case "max":
        return set(Math.max(a, b));
      case "div":
        return set(Math.floor(a / b));
      case "rem":
        return set(a % b);
      case "loadInt":
      case "atomicLoad":
        return set(this.#view.getUint32(at, true));
      case "loadPointer":
        return set(Number(this.#view.getBigInt64(at, true)));
      case "storeInt":
      case "atomicStore":
        this.#view.setUint32(at, b, true);
        return true;
      case "atomicAdd":
        set(this.#view.getUint32(at, true));
        this.#view.setUint32(at, this.#s(o.out!) + b, true);
        return true;
      default:
        return false;
    }
  }

  #memoryOp(o: Instruction): boolean {
    const lanes = this.#lanes;
    if (o.op === "prefetch") return true;
    const stored = o.op.startsWith("store") ? this.#v(o.inputs[o.inputs.length - 1]) : undefined;
    if (stored) {
      const at = this.#s(o.inputs[0]) + o.offset;
      if (o.op === "store") this.#u8.set(stored.u8.subarray(0, o.bytes), at);
      else
        for (let i = 0; i < lanes; i++)
          if (this.#lane(o, i)) this.#view.setInt32(at + 4 * i, stored.i32[i], true);
      return true;
    }
    if (!/^(load|broadcast)/.test(o.op)) return false;
    const at = this.#s(o.inputs[0]) + o.offset;
    const out = new Bits(this.#bytes);
    const each = (read: (i: number) => number, to: Float32Array | Int32Array): void => {
      for (let i = 0; i < lanes; i++) to[i] = read(i);
    };
    switch (o.op) {
      case "load":
        out.u8.set(this.#u8.subarray(at, at + o.bytes));
        break;
      case "loadMasked":
      case "loadCount":
        for (let i = 0; i < lanes; i++)
          if (this.#lane(o, i)) out.i32[i] = this.#view.getInt32(at + 4 * i, true);
        break;
      case "broadcast32":
        out.i32.fill(this.#view.getInt32(at, true));
        break;
      case "broadcast16":
        out.u16.fill(this.#view.getUint16(at, true));
        break;
      case "loadF16":
        each((i) => float16ToNumber(this.#view.getUint16(at + 2 * i, true)), out.f32);
        break;
      case "loadU16":
        each((i) => this.#view.getUint16(at + 2 * i, true), out.i32);
        break;
      case "loadI8":
        each((i) => this.#view.getInt8(at + i), out.i32);
        break;
      case "loadU8":
        each((i) => this.#view.getUint8(at + i), out.i32);
        break;
      default:
        return false;
    }
    this.#vectors.set(o.out!, out);
    return true;
  }

  /** Whether a masked access touches lane `i`. */
  #lane(o: Instruction, i: number): boolean {
    const limit = o.inputs[1];
    return limit.kind === "scalar" ? i < this.#s(limit) : this.#v(limit).i32[i] < 0;
  }

  #tileOp(o: Instruction): boolean {
    if (!o.op.startsWith("tile")) return false;
    if (o.op === "tileConfig") {
      const at = this.#s(o.inputs[0]) + o.offset;
      if (this.#u8.subarray(at, at + 64).some((byte, i) => byte !== FULL_TILES[i]))
        throw new Error("tiles are configured for other sizes than those of programs");
      this.#configured = true;
      return true;
    }
    if (!this.#configured) throw new Error(`'${o.op}' without a configuration of tiles`);
    if (o.op === "tileRelease") {
      this.#configured = false;
      this.#tiles.clear();
      return true;
    }
    if (o.op === "tileZero") this.#tiles.set(o.out!, new Bits(TILE_BYTES));
    if (o.op === "tileLoad" || o.op === "tileStore") {
      const [at, stride] = [this.#s(o.inputs[0]) + o.offset, this.#s(o.inputs[1])];
      const bits = o.op === "tileLoad" ? new Bits(TILE_BYTES) : this.#tiles.get(o.inputs[2])!;
      for (let row = 0; row < 16; row++) {
        const [inTile, inMemory] = [
          bits.u8.subarray(64 * row, 64 * row + 64),
          this.#u8.subarray(at + row * stride, at + row * stride + 64),
        ];
        if (o.op === "tileLoad") inTile.set(inMemory);
        else inMemory.set(inTile);
      }
      if (o.op === "tileLoad") this.#tiles.set(o.out!, bits);
    }
    if (o.op === "tileDot") this.#tileDot(o);
    return true;
  }

  #tileDot(o: Instruction): void {
    const [a, b, c] = o.inputs.map((r) => this.#tiles.get(r)!);
    const kind = TILE_DOTS[o.imm];
    if (kind === "bf16") {
      dotBrainTiles(a, b, c);
      return;
    }
    for (let m = 0; m < 16; m++)
      for (let n = 0; n < 16; n++) {
        let sum = c.i32[16 * m + n];
        const x = kind[0] === "s" ? a.i8 : a.u8;
        const y = kind[1] === "s" ? b.i8 : b.u8;
        for (let k = 0; k < 64; k++) sum += x[64 * m + k] * y[64 * (k >> 2) + 4 * n + (k & 3)];
        c.i32[16 * m + n] = sum;
      }
  }

  #vector(o: Instruction): void {
    const out = new Bits(this.#bytes);
    if (o.op === "constant") out.u8.set(this.#constantBits(o.constant!).u8);
    else if (o.op === "splat") out.i32.fill(this.#s(o.inputs[0]) | 0);
    else
      compute(
        o,
        out,
        o.inputs.map((r) => this.#v(r)),
        this.#lanes,
      );
    this.#vectors.set(o.out!, out);
  }
}

/** All-ones where it holds. */
const mask = (b: boolean): number => (b ? -1 : 0);

/** Unlike Math.min and Math.max, this lets a NaN decide as processors do. */
const either = (first: boolean, a: number, b: number): number => (first ? a : b);

/** Two products of u8 and s8. */
const bytePair = (a: Bits, b: Bits, i: number): number =>
  a.u8[2 * i] * b.i8[2 * i] + a.u8[2 * i + 1] * b.i8[2 * i + 1];

/** Denormal numbers count as zero, as inputs and as results. */
const flushed = (x: number): number => (Math.abs(x) < 2 ** -126 ? 0 * x : x);

/**
 * TDPBF16PS as Intel's manual has it: the products of the first numbers of the pairs and those of the second are added
 * up apart, by multiply-adds of one rounding; then both sums, and what the tile held.
 */
function dotBrainTiles(a: Bits, b: Bits, c: Bits): void {
  const [x, y] = [a, b].map(({ u16 }) => Float32Array.from(u16, (bits) => flushed(bfloat16ToNumber(bits))));
  for (let m = 0; m < 16; m++)
    for (let n = 0; n < 16; n++) {
      const sums = [0, 0];
      for (let k = 0; k < 16; k++)
        // The product is exact in double precision; whether the sum is rounded twice is next to never seen.
        for (const i of [0, 1])
          sums[i] = flushed(Math.fround(sums[i] + x[32 * m + 2 * k + i] * y[32 * k + 2 * n + i]));
      const sum = flushed(Math.fround(sums[0] + sums[1]));
      c.f32[16 * m + n] = flushed(Math.fround(flushed(c.f32[16 * m + n]) + sum));
    }
}

const brainProduct = (a: Bits, b: Bits, i: number): number =>
  bfloat16ToNumber(a.u16[i]) * bfloat16ToNumber(b.u16[i]);

/** What an operation gives for the `i`-th number of its result, and how wide such a number is. */
type Meaning = [
  "f32" | "i32" | "i16" | "i8",
  (i: number, a: Bits, b: Bits, c: Bits, imm: number, lanes: number) => number,
];

/** The operations between vectors. */
const MEANINGS: Partial<Record<Instruction["op"], Meaning>> = {
  addF32: ["f32", (i, a, b) => a.f32[i] + b.f32[i]],
  subF32: ["f32", (i, a, b) => a.f32[i] - b.f32[i]],
  mulF32: ["f32", (i, a, b) => a.f32[i] * b.f32[i]],
  divF32: ["f32", (i, a, b) => a.f32[i] / b.f32[i]],
  maxF32: ["f32", (i, a, b) => either(a.f32[i] > b.f32[i], a.f32[i], b.f32[i])],
  minF32: ["f32", (i, a, b) => either(a.f32[i] < b.f32[i], a.f32[i], b.f32[i])],
  sqrtF32: ["f32", (i, a) => Math.sqrt(a.f32[i])],
  roundF32: ["f32", (i, a) => roundHalfEven(a.f32[i])],
  // The product of two f32 is exact in double precision.
  fma: ["f32", (i, a, b, c) => a.f32[i] * b.f32[i] + c.f32[i]],
  fnma: ["f32", (i, a, b, c) => c.f32[i] - a.f32[i] * b.f32[i]],
  lessF32: ["i32", (i, a, b) => mask(a.f32[i] < b.f32[i])],
  equalF32: ["i32", (i, a, b) => mask(a.f32[i] === b.f32[i])],
  greaterI32: ["i32", (i, a, b) => mask(a.i32[i] > b.i32[i])],
  equalI32: ["i32", (i, a, b) => mask(a.i32[i] === b.i32[i])],
  addI32: ["i32", (i, a, b) => a.i32[i] + b.i32[i]],
  subI32: ["i32", (i, a, b) => a.i32[i] - b.i32[i]],
  mulI32: ["i32", (i, a, b) => Math.imul(a.i32[i], b.i32[i])],
  and: ["i32", (i, a, b) => a.i32[i] & b.i32[i]],
  or: ["i32", (i, a, b) => a.i32[i] | b.i32[i]],
  xor: ["i32", (i, a, b) => a.i32[i] ^ b.i32[i]],
  andNot: ["i32", (i, a, b) => a.i32[i] & ~b.i32[i]],
  addI16: ["i16", (i, a, b) => a.i16[i] + b.i16[i]],
  subI16: ["i16", (i, a, b) => a.i16[i] - b.i16[i]],
  addI8: ["i8", (i, a, b) => a.i8[i] + b.i8[i]],
  subI8: ["i8", (i, a, b) => a.i8[i] - b.i8[i]],
  absI8: ["i8", (i, a) => Math.abs(a.i8[i])],
  signI8: ["i8", (i, a, b) => a.i8[i] * Math.sign(b.i8[i])],
  dotI16: ["i32", (i, a, b) => a.i16[2 * i] * b.i16[2 * i] + a.i16[2 * i + 1] * b.i16[2 * i + 1]],
  dotU8I8: ["i16", (i, a, b) => saturate(bytePair(a, b, i), -32768, 32767)],
  dotU7I8: ["i16", (i, a, b) => bytePair(a, b, i)],
  dot4: ["i32", (i, a, b, c) => c.i32[i] + bytePair(a, b, 2 * i) + bytePair(a, b, 2 * i + 1)],
  dotBf16: [
    "f32",
    (i, a, b, c) => Math.fround(c.f32[i] + brainProduct(a, b, 2 * i + 1)) + brainProduct(a, b, 2 * i),
  ],
  select: ["i32", (i, a, b, c) => (a.i32[i] & b.i32[i]) | (~a.i32[i] & c.i32[i])],
  i32ToF32: ["f32", (i, a) => a.i32[i]],
  f32ToI32: ["i32", (i, a) => roundHalfEven(a.f32[i])],
  shlI32: ["i32", (i, a, _b, _c, imm) => a.i32[i] << imm],
  shrI32: ["i32", (i, a, _b, _c, imm) => a.i32[i] >>> imm],
  sarI32: ["i32", (i, a, _b, _c, imm) => a.i32[i] >> imm],
  shlI16: ["i16", (i, a, _b, _c, imm) => a.i16[i] << imm],
  shrI16: ["i16", (i, a, _b, _c, imm) => a.u16[i] >>> imm],
  sarI16: ["i16", (i, a, _b, _c, imm) => a.i16[i] >> imm],
  swap: ["i32", (i, a, _b, _c, imm) => a.i32[i ^ imm]],
  copy: ["i32", (i, a) => a.i32[i]],
  widenF16: ["f32", (i, a) => float16ToNumber(a.u16[i])],
  widenU16: ["i32", (i, a) => a.u16[i]],
  widenI8: ["i32", (i, a) => a.i8[i]],
  widenU8: ["i32", (i, a) => a.u8[i]],
  narrowF16: ["i16", (i, a, _b, _c, _imm, lanes) => (i < lanes ? numberToFloat16(a.f32[i]) : 0)],
  narrowBf16: ["i16", (i, a, _b, _c, _imm, lanes) => (i < lanes ? numberToBfloat16(a.f32[i]) : 0)],
  narrowU16: ["i16", (i, a, _b, _c, _imm, lanes) => (i < lanes ? a.i32[i] : 0)],
  narrowI8: ["i8", (i, a, _b, _c, _imm, lanes) => (i < lanes ? saturate(a.i32[i], -128, 127) : 0)],
  packBf16: ["i16", (i, a, b, _c, _imm, lanes) => numberToBfloat16(i < lanes ? a.f32[i] : b.f32[i - lanes])],
  permuteI16: ["i16", (i, a, b, _c, _imm, lanes) => b.i16[a.u16[i] & (2 * lanes - 1)]],
  permuteI32: ["i32", (i, a, b, _c, _imm, lanes) => b.i32[a.u32[i] & (lanes - 1)]],
  mulF16: ["i16", (i, a, b) => numberToFloat16(float16ToNumber(a.u16[i]) * float16ToNumber(b.u16[i]))],
  i16ToF16: ["i16", (i, a) => numberToFloat16(a.i16[i])],
};

function compute(o: Instruction, out: Bits, [a, b, c]: readonly Bits[], lanes: number): void {
  const meaning = MEANINGS[o.op];
  if (!meaning) throw new Error(`'${o.op}' is unknown`);
  const [kind, f] = meaning;
  const to = out[kind];
  for (let i = 0; i < to.length; i++) to[i] = f(i, a, b, c, o.imm, lanes);
}

const known = new WeakMap<Program, Jumps>();

/** Found once, as a program often runs for many tiles of work. */
function jumpsOf(program: Program): Jumps {
  const jumps = known.get(program) ?? findJumps(program.instructions);
  known.set(program, jumps);
  return jumps;
}

/** For each end, break, if and else, the instruction that it jumps to (to be done is the one behind). */
function findJumps(instructions: readonly Instruction[]): Jumps {
  const jumps: Jumps = new Map();
  const open: { start: number; loop: boolean; breaks: number[] }[] = [];
  for (const [i, { op }] of instructions.entries()) {
    if (op === "loop" || op === "forever") open.push({ start: i, loop: true, breaks: [] });
    else if (op === "if") open.push({ start: i, loop: false, breaks: [] });
    else if (op === "break") open.findLast(({ loop }) => loop)!.breaks.push(i);
    else if (op === "else") {
      jumps.set(open[open.length - 1].start, i);
      open[open.length - 1].start = i;
    } else if (op === "endIf") jumps.set(open.pop()!.start, i);
    else if (op === "endLoop" || op === "endForever") {
      const { start, breaks } = open.pop()!;
      jumps.set(i, start);
      for (const at of breaks) jumps.set(at, i);
    }
  }
  return jumps;
}
