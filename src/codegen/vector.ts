import type { Emitter } from "./emitter.ts";
import type { BinaryOp, Op, Register } from "./instruction.ts";
import type { Int } from "./scalar.ts";

/** How the bits of a vector are read: lanes of 32, 16 or 8 bits. Lanes of a mask are all ones or all zeros. */
export type LaneType = "f32" | "i32" | "i16" | "bytes" | "bf16" | "f16" | "mask";

/** A vector. Its type exists for the compiler and for choosing the instruction; the machine sees only bits. */
export class Vec<T extends LaneType> {
  readonly emitter: Emitter;
  readonly type: T;
  readonly register: Register;

  constructor(emitter: Emitter, type: T, register: Register) {
    this.emitter = emitter;
    this.type = type;
    this.register = register;
  }
}

/** The first `count` lanes (any number of them, known when the program runs). */
export interface Lanes {
  readonly count: Int;
  readonly mask: Vec<"mask">;
}

/** Lane types with addition. */
export type Summable = "f32" | "i32" | "i16" | "bytes";

const ADD = { f32: "addF32", i32: "addI32", i16: "addI16", bytes: "addI8" } as const;
const SUB = { f32: "subF32", i32: "subI32", i16: "subI16", bytes: "subI8" } as const;

/** The instruction that adds or subtracts lanes of a type. */
export function additive(op: "add" | "sub", type: Summable): BinaryOp {
  return (op === "add" ? ADD : SUB)[type];
}

/** A new vector: what `op` gives. */
export function vector<T extends LaneType>(
  emitter: Emitter,
  type: T,
  op: Op,
  inputs: readonly Register[],
  details: { imm?: number; offset?: number; bytes?: number } = {},
): Vec<T> {
  return new Vec(emitter, type, emitter.emitTo(emitter.register("vector"), op, inputs, details));
}

/** A vector that changes: its methods, and only they, alter it in place. */
export class Acc<T extends LaneType> extends Vec<T> {
  set(v: Vec<T>): this {
    const { constant } = v.register;
    if (constant === undefined) return this.#to("copy", v);
    this.emitter.emitTo(this.register, "constant", [], { constant });
    return this;
  }

  add(this: Acc<Summable>, v: Vec<T>): this {
    return this.#with(additive("add", this.type), v) as this;
  }

  sub(this: Acc<Summable>, v: Vec<T>): this {
    return this.#with(additive("sub", this.type), v) as this;
  }

  mul(this: Acc<"f32">, v: Vec<"f32">): this {
    return this.#with("mulF32", v) as this;
  }

  /** this > v ? this : v */
  max(this: Acc<"f32">, v: Vec<"f32">): this {
    return this.#with("maxF32", v) as this;
  }

  min(this: Acc<"f32">, v: Vec<"f32">): this {
    return this.#with("minF32", v) as this;
  }

  or(v: Vec<T>): this {
    return this.#with("or", v);
  }

  xor(v: Vec<T>): this {
    return this.#with("xor", v);
  }

  /** this += a * b */
  fma(this: Acc<"f32">, a: Vec<"f32">, b: Vec<"f32">): this {
    return this.#product("fma", "addF32", a, b) as this;
  }

  /** this -= a * b */
  fnma(this: Acc<"f32">, a: Vec<"f32">, b: Vec<"f32">): this {
    return this.#product("fnma", "subF32", a, b) as this;
  }

  #product(fused: "fma" | "fnma", split: "addF32" | "subF32", a: Vec<"f32">, b: Vec<"f32">): this {
    if (this.emitter.target.fma) return this.#to(fused, a, b, this);
    return this.#to(split, this, vector(this.emitter, "f32", "mulF32", [a.register, b.register]));
  }

  #with(op: BinaryOp, v: Vec<LaneType>): this {
    return this.#to(op, this, v);
  }

  #to(op: Op, ...inputs: Vec<LaneType>[]): this {
    this.emitter.emitTo(
      this.register,
      op,
      inputs.map((v) => v.register),
    );
    return this;
  }
}
