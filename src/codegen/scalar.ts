import type { Emitter } from "./emitter.ts";
import type { Register, ScalarOp } from "./instruction.ts";

/** log2 of a power of two, -1 of any other number. */
function exponentOf(n: number): number {
  const e = Math.log2(n);
  return n > 0 && Number.isInteger(e) ? e : -1;
}

/** An integer of the running program, as wide as a pointer. Operations give new ones. */
export class Int {
  readonly emitter: Emitter;
  readonly register: Register;

  constructor(emitter: Emitter, register: Register) {
    this.emitter = emitter;
    this.register = register;
  }

  plus(n: Int | number): Int {
    if (typeof n !== "number") return this.#op("add", n);
    return n === 0 ? this : this.#imm("addImm", n);
  }

  minus(n: Int | number): Int {
    return typeof n === "number" ? this.plus(-n) : this.#op("sub", n);
  }

  times(n: Int | number): Int {
    if (typeof n !== "number") return this.#op("mul", n);
    if (n === 1) return this;
    const e = exponentOf(n);
    return e > 0 ? this.#imm("shlImm", e) : this.#imm("mulImm", n);
  }

  /** Divides numbers of 32 bits, not negative, downwards. Slow, unless `n` is a power of two known now. */
  dividedBy(n: Int | number): Int {
    if (typeof n !== "number") return this.#op("div", n);
    const e = exponentOf(n);
    if (e === 0) return this;
    return e > 0 ? this.#imm("shrImm", e) : this.#op("div", constantInt(this.emitter, n));
  }

  /** The rest of `dividedBy`. */
  modulo(n: Int | number): Int {
    if (typeof n !== "number") return this.#op("rem", n);
    return exponentOf(n) >= 0 ? this.#imm("andImm", n - 1) : this.#op("rem", constantInt(this.emitter, n));
  }

  /** The smaller one, signed. */
  min(n: Int | number): Int {
    return this.#op("min", typeof n === "number" ? constantInt(this.emitter, n) : n);
  }

  /** The larger one, signed. */
  max(n: Int | number): Int {
    return this.#op("max", typeof n === "number" ? constantInt(this.emitter, n) : n);
  }

  #op(op: ScalarOp, n: Int): Int {
    const { emitter } = this;
    return new Int(emitter, emitter.emitTo(emitter.register("scalar"), op, [this.register, n.register]));
  }

  #imm(op: ScalarOp, imm: number): Int {
    const { emitter } = this;
    return new Int(emitter, emitter.emitTo(emitter.register("scalar"), op, [this.register], { imm }));
  }
}

/** An integer that changes. */
export class Var extends Int {
  set(n: Int | number): this {
    if (typeof n === "number") this.emitter.emitTo(this.register, "int", [], { imm: n });
    else this.emitter.emitTo(this.register, "move", [n.register]);
    return this;
  }

  add(n: Int | number): this {
    const { emitter, register } = this;
    if (typeof n !== "number") emitter.emitTo(register, "add", [register, n.register]);
    else if (n !== 0) emitter.emitTo(register, "addImm", [register], { imm: n });
    return this;
  }
}

/** A number known now, in a register. */
export function constantInt(emitter: Emitter, n: number): Int {
  return new Int(emitter, emitter.emitTo(emitter.register("scalar"), "int", [], { imm: n }));
}

/** A new variable that starts as `n`. */
export function variable(emitter: Emitter, n: Int | number): Var {
  return new Var(emitter, emitter.register("scalar")).set(n);
}

/** One 8-byte slot of the argument block: a pointer or a count. It takes no register until it is read. */
export class Argument {
  readonly emitter: Emitter;
  readonly name: string;
  readonly #block: Int;
  readonly #offset: number;

  constructor(emitter: Emitter, name: string, block: Int, offset: number) {
    this.emitter = emitter;
    this.name = name;
    this.#block = block;
    this.#offset = offset;
  }

  /** Its value: an instruction at each call, so that a rarely used one need not occupy a register all the time. */
  read(): Int {
    const { emitter } = this;
    const details = { offset: this.#offset };
    return new Int(
      emitter,
      emitter.emitTo(emitter.register("scalar"), "loadPointer", [this.#block.register], details),
    );
  }
}
