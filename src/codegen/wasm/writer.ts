import type { Allocation } from "../allocate.ts";
import {
  type Condition,
  type Constant,
  type Instruction,
  PARAMETERS,
  type Program,
  ProgramError,
  type Register,
} from "../instruction.ts";
import { Bytes } from "./bytes.ts";
import { I, SIMD, TYPE } from "./opcodes.ts";

const CONDITIONS: Record<Condition, number> = {
  "==": I.eq,
  "!=": I.ne,
  "<": I.lt,
  ">": I.gt,
  "<=": I.le,
  ">=": I.ge,
};

/** Writes one function: what the parts of the lowering share. */
export class FunctionWriter {
  readonly #program: Program;
  readonly #allocation: Allocation;
  readonly code = new Bytes();

  constructor(program: Program, allocation: Allocation) {
    this.#program = program;
    this.#allocation = allocation;
  }

  /** The whole function: its local variables, its code. */
  finish(): Uint8Array {
    const { scalar, vector } = this.#allocation.peak;
    const body = new Bytes().unsigned(2);
    // The first scalars are the parameters.
    body.unsigned(Math.max(0, scalar - PARAMETERS)).byte(TYPE.i32);
    body.unsigned(vector).byte(TYPE.v128);
    return body.append(this.code.view()).byte(I.end).finish();
  }

  /** The number of a register's local variable: scalars come first. */
  local({ kind, index }: Register): number {
    const number = this.#allocation.numbers[index];
    return kind === "scalar" ? number : Math.max(PARAMETERS, this.#allocation.peak.scalar) + number;
  }

  /** Puts local variables on the stack. */
  get(...registers: readonly Register[]): this {
    for (const register of registers) this.code.byte(I.localGet).unsigned(this.local(register));
    return this;
  }

  /** Takes the operation's result from the stack. */
  set({ out, op }: Instruction): void {
    if (!out) throw this.error(`'${op}' without a result`);
    this.code.byte(I.localSet).unsigned(this.local(out));
  }

  /** Puts an integer on the stack. */
  number(n: number): this {
    this.code.byte(I.i32Const).signed(n);
    return this;
  }

  /** A vector instruction. */
  simd(opcode: number): this {
    this.code.byte(SIMD.prefix).unsigned(opcode);
    return this;
  }

  /** The pointer of a memory operation, and what is to be added to it by the instruction. */
  pointer({ inputs, offset }: Instruction, more = 0): number {
    this.get(inputs[0]);
    const at = offset + more;
    if (at >= 0) return at;
    this.number(at);
    this.code.byte(I.add);
    return 0;
  }

  /** Alignment (as a power of two, only a hint but for atomics) and offset. */
  memory(offset: number, alignment = 0): this {
    this.code.byte(alignment).unsigned(offset);
    return this;
  }

  error(message: string): ProgramError {
    const { name, target } = this.#program;
    return new ProgramError(`vector program '${name}' for ${target.name}: ${message}`, { where: name });
  }

  /** Puts a vector on the stack. */
  constant(constant: Constant): void {
    this.simd(SIMD.const);
    for (let i = 0; i < 4; i++) this.code.int32(typeof constant === "number" ? constant : constant[i]);
  }

  /** A branch on what is on the stack. */
  branch(then: () => void, otherwise?: () => void): void {
    this.code.byte(I.if).byte(TYPE.nothing);
    then();
    if (otherwise) {
      this.code.byte(I.else);
      otherwise();
    }
    this.code.byte(I.end);
  }

  /** Puts a condition on the stack. */
  compare({ inputs, condition, imm }: Instruction): void {
    this.get(...inputs);
    if (inputs.length === 1) this.number(imm);
    this.code.byte(CONDITIONS[condition!]);
  }
}
