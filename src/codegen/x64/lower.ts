import { type Allocation, allocate } from "../allocate.ts";
import { placeConstants } from "../constants.ts";
import type { Program } from "../instruction.ts";
import { Assembler } from "./assembler.ts";
import { Context, SCALARS } from "./context.ts";
import { ControlLowering } from "./control.ts";
import { lowerMemory } from "./memory.ts";
import { ConstantPool } from "./pool.ts";
import { lowerScalar } from "./scalars.ts";
import { lowerTile } from "./tiles.ts";
import { lowerVector } from "./vectors.ts";

/** Machine code that may lie anywhere in memory, at a multiple of 64 bytes. */
export interface MachineCode {
  /** Constants, then instructions. */
  readonly bytes: Uint8Array;
  /** Where the instructions begin. */
  readonly entry: number;
  /** The most registers in use at once. */
  readonly peak: Allocation["peak"];
}

/**
 * Compiles a program for AVX-512 or AVX2. The code takes its three arguments in rdi, rsi and rdx, overwrites every
 * register, and needs no stack but for calls: `entry.ts` stands between it and C.
 *
 * @throws ProgramError where the program needs more registers than there are, or an operation that the target lacks
 */
export function lowerX64(source: Program): MachineCode {
  const { target } = source;
  const vectors = target.name === "avx512" ? 32 : 16;
  const program = placeConstants(source, vectors);
  const allocation = allocate(program, { vector: vectors, scalar: SCALARS.length, tile: target.amx ? 8 : 0 });
  const pool = new ConstantPool(program.instructions, target.bytes);
  const asm = new Assembler();
  asm.byte(...pool.bytes);
  const context = new Context(program, asm, pool, allocation);
  const control = new ControlLowering(context);
  for (const [i, instruction] of program.instructions.entries()) {
    const known =
      lowerVector(context, instruction) ||
      lowerMemory(context, instruction) ||
      lowerScalar(context, instruction) ||
      lowerTile(context, instruction) ||
      control.lower(instruction, i);
    if (!known) throw context.error(`no instruction for '${instruction.op}'`);
  }
  asm.ret();
  return { bytes: asm.finish(), entry: pool.bytes.length, peak: allocation.peak };
}
