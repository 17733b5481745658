import type { Allocation } from "../allocate.ts";
import { type Instruction, type Program, ProgramError, type Register } from "../instruction.ts";
import { type Assembler, GPR, type Memory, type Operand, type VectorLength } from "./assembler.ts";
import type { VectorOpcode } from "./opcodes.ts";
import type { ConstantPool } from "./pool.ts";

/**
 * General registers that programs use, in the order of the allocator's numbers: the first three are the parameters.
 * rax is the lowering's own, and so is the mask register k1.
 */
export const SCALARS: readonly number[] = [
  GPR.rdi,
  GPR.rsi,
  GPR.rdx,
  GPR.rcx,
  GPR.r8,
  GPR.r9,
  GPR.r10,
  GPR.r11,
  GPR.rbx,
  GPR.rbp,
  GPR.r12,
  GPR.r13,
  GPR.r14,
  GPR.r15,
];

/** The mask register that lowerings may use within one operation. */
export const K1 = 1;

/** What the parts of the lowering share: where registers are, and how to write for the target. */
export class Context {
  readonly program: Program;
  readonly asm: Assembler;
  readonly pool: ConstantPool;
  readonly allocation: Allocation;
  /** The target has EVEX, 512-bit vectors and mask registers. */
  readonly wide: boolean;

  constructor(program: Program, asm: Assembler, pool: ConstantPool, allocation: Allocation) {
    this.program = program;
    this.asm = asm;
    this.pool = pool;
    this.allocation = allocation;
    this.wide = program.target.name === "avx512";
  }

  /** The number of a vector's or tile's machine register. */
  v(register: Register): number {
    return this.allocation.numbers[register.index];
  }

  /** The number of an integer's machine register. */
  g(register: Register): number {
    return SCALARS[this.allocation.numbers[register.index]];
  }

  /** The register that an operation writes. */
  out({ op, out }: Instruction): Register {
    if (!out) throw this.error(`'${op}' without a result`);
    return out;
  }

  /** The memory that an operation is about. */
  memory({ inputs, offset }: Instruction): Memory {
    return { base: this.g(inputs[0]), offset };
  }

  get vectorLength(): VectorLength {
    return this.wide ? 512 : 256;
  }

  /** An instruction that VEX and EVEX have alike: reg, vvvv, rm. */
  emit(
    op: VectorOpcode,
    reg: number | undefined,
    vvvv: number,
    rm: Operand,
    imm?: number,
    length: VectorLength = this.vectorLength,
  ): void {
    const operands = { reg, vvvv, rm, imm };
    if (this.wide) this.asm.evex(op, length, operands);
    else if (length !== 512) this.asm.vex(op, length, operands);
  }

  error(message: string): ProgramError {
    const { name, target } = this.program;
    return new ProgramError(`vector program '${name}' for ${target.name}: ${message}`, { where: name });
  }
}
