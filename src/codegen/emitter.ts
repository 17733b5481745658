import {
  type Block,
  type Condition,
  type Constant,
  type Instruction,
  type Op,
  ProgramError,
  type Register,
  type RegisterKind,
} from "./instruction.ts";
import type { Target } from "./target.ts";

/** What an instruction may carry beside its registers. */
export interface Details {
  imm?: number;
  offset?: number;
  bytes?: number;
  condition?: Condition;
  constant?: Constant;
}

/** Takes down instructions and hands out virtual registers. The layer below `Builder`. */
export class Emitter {
  readonly name: string;
  readonly target: Target;
  readonly instructions: Instruction[] = [];
  readonly registers: Register[] = [];
  readonly #blocks: Block[] = [{ open: true }];
  readonly #constants = new Map<string, Register>();

  constructor(name: string, target: Target) {
    this.name = name;
    this.target = target;
  }

  /** A new virtual register, known until the block that is open now ends. */
  register(kind: RegisterKind): Register {
    return this.#add({ kind, index: this.registers.length, block: this.#blocks[this.#blocks.length - 1] });
  }

  /** The register that holds a constant. Equal constants share one. */
  constant(constant: Constant): Register {
    const key = String(constant);
    let register = this.#constants.get(key);
    if (!register) {
      register = this.#add({
        kind: "vector",
        index: this.registers.length,
        block: this.#blocks[0],
        constant,
      });
      this.#constants.set(key, register);
    }
    return register;
  }

  #add(register: Register): Register {
    this.registers.push(register);
    return register;
  }

  /** Takes down an instruction that gives no value. */
  emit(op: Op, inputs: readonly Register[] = [], details: Details = {}): void {
    this.#push(op, undefined, inputs, details);
  }

  /** Takes down an instruction that writes `out`, which may be one of its inputs. */
  emitTo(out: Register, op: Op, inputs: readonly Register[] = [], details: Details = {}): Register {
    if (out.constant !== undefined) throw this.error("a constant cannot be changed");
    this.#push(op, out, inputs, details);
    return out;
  }

  #push(op: Op, out: Register | undefined, inputs: readonly Register[], details: Details): void {
    for (const register of out ? [...inputs, out] : inputs)
      if (!register.block.open)
        throw this.error(`'${op}' uses a value outside the loop or branch that made it`);
    this.instructions.push({
      op,
      out,
      inputs,
      imm: details.imm ?? 0,
      offset: details.offset ?? 0,
      bytes: details.bytes ?? 0,
      condition: details.condition,
      constant: details.constant,
    });
  }

  /** Writes `body` as a loop or branch of its own: what is made inside is unknown outside. */
  block(body: () => void): void {
    const block = { open: true };
    this.#blocks.push(block);
    body();
    this.#blocks.pop();
    block.open = false;
  }

  error(message: string): ProgramError {
    return new ProgramError(`vector program '${this.name}' for ${this.target.name}: ${message}`, {
      where: this.name,
    });
  }
}
