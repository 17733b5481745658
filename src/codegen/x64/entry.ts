import { Assembler, GPR } from "./assembler.ts";
import { V } from "./opcodes.ts";

/** Systems differ in which registers a function must keep, and where its arguments are. */
export type Abi = "sysv" | "win64";

/** Flush denormal results to zero, take denormal inputs as zero: bits 15 and 6 of the control word. */
const FLUSH_DENORMALS = 0x8040;

const KEPT: Record<Abi, readonly number[]> = {
  sysv: [GPR.rbx, GPR.rbp, GPR.r12, GPR.r13, GPR.r14, GPR.r15],
  win64: [GPR.rbx, GPR.rbp, GPR.r12, GPR.r13, GPR.r14, GPR.r15, GPR.rdi, GPR.rsi],
};

const ARGUMENTS: Record<Abi, readonly number[]> = {
  sysv: [GPR.rdi, GPR.rsi, GPR.rdx, GPR.rcx],
  win64: [GPR.rcx, GPR.rdx, GPR.r8, GPR.r9],
};

/** Vector registers that Windows wants kept (their low 128 bits). */
const KEPT_VECTORS: Record<Abi, readonly number[]> = {
  sysv: [],
  win64: [6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
};

/**
 * The one piece of code that knows how C functions are called: `void entry(program, a, b, c)` runs a program with three
 * arguments, keeps what the caller expects to be kept, and lets denormal numbers count as zero meanwhile, since they
 * can be a hundred times slower.
 */
export function entryCode(abi: Abi): Uint8Array {
  const asm = new Assembler();
  const kept = KEPT[abi];
  const vectors = KEPT_VECTORS[abi];
  // The caller's control word, ours, then the vectors.
  const frame = 16 + 16 * vectors.length;
  const slot = (i: number) => ({ base: GPR.rsp, offset: 16 + 16 * i });
  for (const register of kept) asm.push(register);
  asm.subImm(GPR.rsp, frame);
  for (const [i, register] of vectors.entries()) asm.vex(V.vmovupsStore, 128, { reg: register, rm: slot(i) });
  asm.stmxcsr({ base: GPR.rsp, offset: 0 });
  asm.load32(GPR.rax, { base: GPR.rsp, offset: 0 });
  asm.orImm32(GPR.rax, FLUSH_DENORMALS);
  asm.store32({ base: GPR.rsp, offset: 8 }, GPR.rax);
  asm.ldmxcsr({ base: GPR.rsp, offset: 8 });
  for (const register of ARGUMENTS[abi]) asm.push(register);
  for (const register of [GPR.rdx, GPR.rsi, GPR.rdi, GPR.rax]) asm.pop(register);
  asm.call(GPR.rax);
  asm.vzeroupper();
  asm.ldmxcsr({ base: GPR.rsp, offset: 0 });
  for (const [i, register] of vectors.entries()) asm.vex(V.vmovups, 128, { reg: register, rm: slot(i) });
  asm.addImm(GPR.rsp, frame);
  for (const register of [...kept].reverse()) asm.pop(register);
  asm.ret();
  return asm.finish();
}

/**
 * `void cpuid(uint32_t *io)`: asks the processor about leaf `io[0]`, subleaf `io[1]`; leaves eax, ebx, ecx, edx in
 * `io[0..3]`.
 */
export function cpuidCode(abi: Abi): Uint8Array {
  const asm = new Assembler();
  asm.push(GPR.rbx);
  asm.mov(GPR.r8, ARGUMENTS[abi][0]);
  const word = (i: number) => ({ base: GPR.r8, offset: 4 * i });
  asm.load32(GPR.rax, word(0));
  asm.load32(GPR.rcx, word(1));
  asm.cpuid();
  for (const [i, register] of [GPR.rax, GPR.rbx, GPR.rcx, GPR.rdx].entries()) asm.store32(word(i), register);
  asm.pop(GPR.rbx);
  asm.ret();
  return asm.finish();
}

/** `void xgetbv(uint32_t *io)`: the register states that the system saves (xcr0) into `io[0..1]`. */
export function xgetbvCode(abi: Abi): Uint8Array {
  const asm = new Assembler();
  asm.mov(GPR.r8, ARGUMENTS[abi][0]);
  asm.movImm(GPR.rcx, 0);
  asm.xgetbv();
  asm.store32({ base: GPR.r8, offset: 0 }, GPR.rax);
  asm.store32({ base: GPR.r8, offset: 4 }, GPR.rdx);
  asm.ret();
  return asm.finish();
}

/** `void syscall2(int64_t *io)`: Linux system call `io[0]` with two arguments `io[1]`, `io[2]`; the result in `io[0]`. */
export function linuxSyscallCode(): Uint8Array {
  const asm = new Assembler();
  asm.mov(GPR.r8, GPR.rdi);
  const word = (i: number) => ({ base: GPR.r8, offset: 8 * i });
  asm.load(GPR.rax, word(0));
  asm.load(GPR.rdi, word(1));
  asm.load(GPR.rsi, word(2));
  asm.syscall();
  asm.store(word(0), GPR.rax);
  asm.ret();
  return asm.finish();
}
