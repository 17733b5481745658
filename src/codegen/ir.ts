import { Cursor, reinterpret } from "./cursor.ts";
import { Emitter } from "./emitter.ts";
import { bf16BitsToF32, f16BitsToF32, f32ToBf16Bits, f32ToF16Bits } from "./half.ts";
import {
  type BinaryOp,
  type Condition,
  type Op,
  PARAMETERS,
  type Program,
  type Register,
  type ShiftOp,
  type UnaryOp,
} from "./instruction.ts";
import { Argument, constantInt, Int, type Var, variable } from "./scalar.ts";
import type { Target } from "./target.ts";
import { Acc, additive, type Lanes, type LaneType, type Summable, Vec, vector } from "./vector.ts";

/** How often something is done: known now, or when the program runs. */
export type Count = number | Int | Argument;

const bitsOf = new DataView(new ArrayBuffer(4));

/** The bits of a 32-bit float, as a signed integer. */
export function f32Bits(x: number): number {
  bitsOf.setFloat32(0, x);
  return bitsOf.getInt32(0);
}

/**
 * Writes a vector program. TypeScript is its macro language: a `for` in TypeScript unrolls, `repeat` makes a loop.
 *
 * A `Vec` is a value and never changes; an `Acc` is a variable and changes by its methods. What a loop or branch makes
 * is unknown outside of it. Registers are given out later, without spills: a program that needs too many fails when it
 * is compiled, and says so. Constants cost nothing where there is no room for them.
 */
export class Builder extends Emitter {
  /** Lanes of 32 bits in a vector. */
  readonly lanes: number;
  /** Which piece of the work this call does. */
  readonly tile: Int;
  /** The argument block. */
  readonly argumentBlock: Int;
  readonly #scratch: Int;
  /** Loops that are open now; those that can be left by an object of their own. */
  readonly #loops: (object | "repeat")[] = [];

  constructor(name: string, target: Target) {
    super(name, target);
    this.lanes = target.lanes;
    const parameters = Array.from({ length: PARAMETERS }, () => new Int(this, this.register("scalar")));
    [this.argumentBlock, this.tile, this.#scratch] = parameters;
  }

  // Integers and pointers

  int(n: number): Int {
    return constantInt(this, n);
  }

  /** An integer that changes. */
  variable(start: Int | number): Var {
    return variable(this, start);
  }

  /** A walking pointer that starts at `from`, plus offsets in bytes. */
  cursor(from: Int | Argument, ...offsets: (Int | number)[]): Cursor {
    let at = from instanceof Argument ? from.read() : from;
    for (const offset of offsets) at = at.plus(offset);
    return new Cursor(this, this.variable(at));
  }

  /** Memory that belongs to the calling thread. */
  scratch(offset = 0): Cursor {
    return this.cursor(this.#scratch, offset);
  }

  #count(count: Int | Argument): Int {
    return count instanceof Argument ? count.read() : count;
  }

  /** The time on a clock that all threads have in common: 32 bits that begin anew every few seconds. x86 only. */
  clock(): Int {
    return new Int(this, this.emitTo(this.register("scalar"), "clock", []));
  }

  // Structure

  /** Does `body` `count` times (none, where it is zero or negative). */
  repeat(count: Count, body: () => void): void {
    if (typeof count !== "number") {
      const n = this.#count(count);
      this.if(n, ">", 0, () => this.#loop(this.variable(n), body));
    } else if (count === 1) this.block(body);
    else if (count > 1) this.#loop(this.variable(count), body);
  }

  #loop(counter: Var, body: () => void): void {
    this.emit("loop");
    this.#loops.push("repeat");
    this.block(body);
    this.#loops.pop();
    this.emitTo(counter.register, "endLoop", [counter.register]);
  }

  /** Does `body` for i = 0, 1, ... count - 1. */
  each(count: Count, body: (i: Int) => void): void {
    const i = this.variable(0);
    this.repeat(count, () => {
      body(i);
      i.add(1);
    });
  }

  /** Repeats `body` until it leaves: `leave` ends the loop where the condition holds. */
  forever(body: (leave: (a: Int, condition: Condition, b: Int | number) => void) => void): void {
    const loop = {};
    this.emit("forever");
    this.#loops.push(loop);
    this.block(() =>
      body((a, condition, b) => {
        if (this.#loops.at(-1) !== loop) throw this.error("a loop can only be left from its own body");
        this.#compare("break", a, condition, b);
      }),
    );
    this.#loops.pop();
    this.emit("endForever");
  }

  if(a: Int, condition: Condition, b: Int | number, then: () => void, otherwise?: () => void): void {
    this.#compare("if", a, condition, b);
    this.block(then);
    if (otherwise) {
      this.emit("else");
      this.block(otherwise);
    }
    this.emit("endIf");
  }

  #compare(op: "if" | "break", a: Int, condition: Condition, b: Int | number): void {
    if (typeof b === "number") this.emit(op, [a.register], { condition, imm: b });
    else this.emit(op, [a.register, b.register], { condition });
  }

  /**
   * Goes over `n` elements, a vector at a time: `body(i, lanes)` does the elements i .. i + lanes counted from where
   * the cursors stand, `advance(k)` moves the cursors on by k elements. The last vector may be a part of one.
   */
  elements(
    n: number,
    body: (i: number, lanes: number) => void,
    advance: (k: number) => void,
    unroll = 1,
  ): void {
    const step = this.lanes * unroll;
    this.repeat(Math.floor(n / step), () => {
      for (let u = 0; u < unroll; u++) body(u * this.lanes, this.lanes);
      advance(step);
    });
    const rest = n % step;
    for (let i = 0; i < rest; i += this.lanes) body(i, Math.min(this.lanes, rest - i));
    if (rest > 0) advance(rest);
  }

  // Constants and variables

  f32(x: number): Vec<"f32"> {
    return new Vec(this, "f32", this.constant(f32Bits(x)));
  }

  i32(n: number): Vec<"i32"> {
    return new Vec(this, "i32", this.constant(n | 0));
  }

  i16(n: number): Vec<"i16"> {
    return new Vec(this, "i16", this.constant((n & 0xffff) | (n << 16)));
  }

  bytes(n: number): Vec<"bytes"> {
    return new Vec(this, "bytes", this.constant(((n & 255) * 0x01010101) | 0));
  }

  /** One number for each lane. */
  lanesI32(numbers: readonly number[]): Vec<"i32"> {
    if (numbers.length !== this.lanes)
      throw this.error(`lanesI32: ${numbers.length} numbers for ${this.lanes} lanes`);
    return new Vec(this, "i32", this.constant(numbers.map((n) => n | 0)));
  }

  /** 0, 1, 2, ... */
  iota(): Vec<"i32"> {
    return this.lanesI32(Array.from({ length: this.lanes }, (_, i) => i));
  }

  /** A variable that starts as `v`. */
  acc<T extends LaneType>(v: Vec<T>): Acc<T> {
    return new Acc(this, v.type, this.register("vector")).set(v);
  }

  accF32(x = 0): Acc<"f32"> {
    return this.acc(this.f32(x));
  }

  accI32(n = 0): Acc<"i32"> {
    return this.acc(this.i32(n));
  }

  /** The integer in every lane. */
  splat(n: Int): Vec<"i32"> {
    return this.#vector("i32", "splat", n);
  }

  /** The same bits, read as other lanes. No instruction; a variable stays the same variable. */
  as<T extends LaneType>(type: T, v: Vec<LaneType>): Vec<T> {
    return reinterpret(type, v);
  }

  /** The first `count` lanes, for loads, stores and `select`. */
  firstLanes(count: Int): Lanes {
    return { count, mask: this.greater(this.splat(count), this.iota()) };
  }

  /** The first `n` lanes, known now. */
  firstLanesMask(n: number): Vec<"mask"> {
    return this.as("mask", this.lanesI32(Array.from({ length: this.lanes }, (_, i) => (i < n ? -1 : 0))));
  }

  // Arithmetic

  add<T extends Summable>(a: Vec<T>, b: Vec<T>): Vec<T> {
    return this.#vector(a.type, additive("add", a.type), a, b);
  }

  sub<T extends Summable>(a: Vec<T>, b: Vec<T>): Vec<T> {
    return this.#vector(a.type, additive("sub", a.type), a, b);
  }

  mul<T extends "f32" | "i32" | "f16">(a: Vec<T>, b: Vec<T>): Vec<T> {
    const ops: Record<"f32" | "i32" | "f16", BinaryOp> = { f32: "mulF32", i32: "mulI32", f16: "mulF16" };
    return this.#vector(a.type, ops[a.type], a, b);
  }

  div(a: Vec<"f32">, b: Vec<"f32">): Vec<"f32"> {
    return this.#vector("f32", "divF32", a, b);
  }

  /** a > b ? a : b */
  max(a: Vec<"f32">, b: Vec<"f32">): Vec<"f32"> {
    return this.#vector("f32", "maxF32", a, b);
  }

  /** a < b ? a : b */
  min(a: Vec<"f32">, b: Vec<"f32">): Vec<"f32"> {
    return this.#vector("f32", "minF32", a, b);
  }

  /** a * b + c */
  fma(a: Vec<"f32">, b: Vec<"f32">, c: Vec<"f32">): Vec<"f32"> {
    return this.target.fma ? this.#vector("f32", "fma", a, b, c) : this.add(this.mul(a, b), c);
  }

  /** c - a * b */
  fnma(a: Vec<"f32">, b: Vec<"f32">, c: Vec<"f32">): Vec<"f32"> {
    return this.target.fma ? this.#vector("f32", "fnma", a, b, c) : this.sub(c, this.mul(a, b));
  }

  sqrt(a: Vec<"f32">): Vec<"f32"> {
    return this.#vector("f32", "sqrtF32", a);
  }

  /** To the nearest integer, halves to the even one. */
  round(a: Vec<"f32">): Vec<"f32"> {
    return this.#vector("f32", "roundF32", a);
  }

  abs(a: Vec<"f32">): Vec<"f32"> {
    return this.and(a, this.as("f32", this.i32(0x7fffffff)));
  }

  negate(a: Vec<"f32">): Vec<"f32"> {
    return this.xor(a, this.as("f32", this.i32(0x80000000)));
  }

  toF32(a: Vec<"i32">): Vec<"f32"> {
    return this.#vector("f32", "i32ToF32", a);
  }

  /** To the nearest integer, halves to the even one. Outside of 32 bits the result is undefined. */
  toI32(a: Vec<"f32">): Vec<"i32"> {
    return this.#vector("i32", "f32ToI32", a);
  }

  // Bits

  and<T extends LaneType>(a: Vec<T>, b: Vec<T> | Vec<"mask">): Vec<T> {
    return this.#vector(a.type, "and", a, b);
  }

  or<T extends LaneType>(a: Vec<T>, b: Vec<T> | Vec<"mask">): Vec<T> {
    return this.#vector(a.type, "or", a, b);
  }

  xor<T extends LaneType>(a: Vec<T>, b: Vec<T> | Vec<"mask">): Vec<T> {
    return this.#vector(a.type, "xor", a, b);
  }

  /** a & ~b */
  andNot<T extends LaneType>(a: Vec<T>, b: Vec<T> | Vec<"mask">): Vec<T> {
    return this.#vector(a.type, "andNot", a, b);
  }

  shl<T extends "i32" | "i16">(a: Vec<T>, bits: number): Vec<T> {
    return this.#shift(a.type === "i32" ? "shlI32" : "shlI16", a, bits);
  }

  /** Zeros come in from above. */
  shr<T extends "i32" | "i16">(a: Vec<T>, bits: number): Vec<T> {
    return this.#shift(a.type === "i32" ? "shrI32" : "shrI16", a, bits);
  }

  /** The sign comes in from above. */
  sar<T extends "i32" | "i16">(a: Vec<T>, bits: number): Vec<T> {
    return this.#shift(a.type === "i32" ? "sarI32" : "sarI16", a, bits);
  }

  /** Exchanges the lanes whose numbers differ by `distance`, a power of two. */
  swap<T extends LaneType>(a: Vec<T>, distance: number): Vec<T> {
    return this.#shift("swap", a, distance);
  }

  /** Lanes of `table`, picked by the numbers in `indices`. x86 only. */
  permute<T extends LaneType>(indices: Vec<"i32">, table: Vec<T>): Vec<T> {
    return this.#vector(table.type, "permuteI32", indices, table);
  }

  // Comparisons

  /** a < b; false for NaN. */
  less(a: Vec<"f32">, b: Vec<"f32">): Vec<"mask"> {
    return this.#vector("mask", "lessF32", a, b);
  }

  /** a == b; false for NaN, of floats. */
  equal<T extends "f32" | "i32">(a: Vec<T>, b: Vec<T>): Vec<"mask"> {
    return this.#vector("mask", a.type === "f32" ? "equalF32" : "equalI32", a, b);
  }

  /** a > b, signed. */
  greater(a: Vec<"i32">, b: Vec<"i32">): Vec<"mask"> {
    return this.#vector("mask", "greaterI32", a, b);
  }

  /** Lanes of `a` where the mask is set, of `b` elsewhere. */
  select<T extends LaneType>(mask: Vec<"mask">, a: Vec<T>, b: Vec<T>): Vec<T> {
    return this.#vector(a.type, "select", mask, a, b);
  }

  // 16-bit floats in the low half of each lane

  f16BitsToF32(bits: Vec<"i32">): Vec<"f32"> {
    return f16BitsToF32(this, bits);
  }

  f32ToF16Bits(value: Vec<"f32">): Vec<"i32"> {
    return f32ToF16Bits(this, value);
  }

  bf16BitsToF32(bits: Vec<"i32">): Vec<"f32"> {
    return bf16BitsToF32(this, bits);
  }

  f32ToBf16Bits(value: Vec<"f32">): Vec<"i32"> {
    return f32ToBf16Bits(this, value);
  }

  // For the libraries built on this

  /** A vector operation whose inputs are vectors or integers. */
  operate<T extends LaneType>(type: T, op: Op, ...inputs: (Vec<LaneType> | Int)[]): Vec<T> {
    return this.#vector(type, op, ...inputs);
  }

  unary<T extends LaneType>(type: T, op: UnaryOp, a: Vec<LaneType>): Vec<T> {
    return this.#vector(type, op, a);
  }

  /** Throws where an access to `lanes` lanes makes no sense. */
  checkLanes(lanes: number): number {
    if (!Number.isInteger(lanes) || lanes < 1 || lanes > this.lanes)
      throw this.error(`${lanes} lanes of a vector of ${this.lanes}`);
    return lanes;
  }

  #shift<T extends LaneType>(op: ShiftOp, a: Vec<T>, imm: number): Vec<T> {
    return vector(this, a.type, op, [a.register], { imm });
  }

  #vector<T extends LaneType>(type: T, op: Op, ...inputs: { readonly register: Register }[]): Vec<T> {
    return vector(
      this,
      type,
      op,
      inputs.map((v) => v.register),
    );
  }

  /** The program as it stands. */
  finish(slots: readonly string[]): Program {
    const { name, target, instructions, registers } = this;
    return { name, target, instructions, registers, slots };
  }
}

/**
 * Builds a program.
 *
 * @param slots names of the arguments: pointers and counts, in the order of their 8-byte slots
 */
export function program<const S extends string>(
  name: string,
  target: Target,
  slots: readonly S[],
  build: (b: Builder, args: Readonly<Record<S, Argument>>) => void,
): Program {
  const b = new Builder(name, target);
  const args = {} as Record<S, Argument>;
  for (const [i, slot] of slots.entries()) args[slot] = new Argument(b, slot, b.argumentBlock, 8 * i);
  build(b, args);
  return b.finish(slots);
}
