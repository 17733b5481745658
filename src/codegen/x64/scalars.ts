import type { Instruction } from "../instruction.ts";
import { CC, GPR } from "./assembler.ts";
import type { Context } from "./context.ts";

/** Lowers operations on integers. False where `instruction` is not one. */
export function lowerScalar(c: Context, instruction: Instruction): boolean {
  const { asm } = c;
  const { op, inputs, imm } = instruction;
  const out = (): number => c.g(c.out(instruction));
  const a = (): number => c.g(inputs[0]);
  switch (op) {
    case "int":
      asm.movImm(out(), imm);
      return true;
    case "move":
      asm.mov(out(), a());
      return true;
    case "add":
      if (out() === a()) asm.add(out(), c.g(inputs[1]));
      else asm.lea(out(), { base: a(), index: c.g(inputs[1]), offset: 0 });
      return true;
    case "addImm":
      if (out() === a()) asm.addImm(out(), imm);
      else asm.lea(out(), { base: a(), offset: imm });
      return true;
    case "sub":
      lowerSub(c, out(), a(), c.g(inputs[1]));
      return true;
    case "mul":
      lowerMul(c, out(), a(), c.g(inputs[1]));
      return true;
    case "mulImm":
      asm.imulImm(out(), a(), imm);
      return true;
    case "shlImm":
      asm.mov(out(), a());
      asm.shlImm(out(), imm);
      return true;
    case "shrImm":
      asm.mov(out(), a());
      asm.shrImm(out(), imm);
      return true;
    case "andImm":
      asm.mov(out(), a());
      asm.andImm(out(), imm);
      return true;
    case "min":
      lowerChoice(c, CC["<"], out(), a(), c.g(inputs[1]));
      return true;
    case "max":
      lowerChoice(c, CC[">"], out(), a(), c.g(inputs[1]));
      return true;
    case "clock":
      lowerClock(c, out());
      return true;
    case "div":
    case "rem":
      lowerDivision(c, op, out(), a(), c.g(inputs[1]));
      return true;
    default:
      return lowerScalarMemory(c, instruction);
  }
}

/** The counter counts some 3 in a nanosecond: its lowest bits are left out, so that 32 bits last for 20 s. */
const CLOCK_BITS_LEFT_OUT = 4;

function lowerClock({ asm }: Context, out: number): void {
  asm.push(GPR.rdx);
  asm.rdtsc();
  asm.shlImm(GPR.rdx, 32);
  asm.add(GPR.rax, GPR.rdx);
  asm.shrImm(GPR.rax, CLOCK_BITS_LEFT_OUT);
  asm.pop(GPR.rdx);
  asm.mov32(out, GPR.rax);
}

function lowerSub({ asm }: Context, out: number, a: number, b: number): void {
  if (out === a) {
    asm.sub(out, b);
    return;
  }
  // `out` may be b, so the difference is made in rax.
  asm.mov(GPR.rax, a);
  asm.sub(GPR.rax, b);
  asm.mov(out, GPR.rax);
}

function lowerMul({ asm }: Context, out: number, a: number, b: number): void {
  if (out === b) asm.imul(out, a);
  else {
    asm.mov(out, a);
    asm.imul(out, b);
  }
}

/** out = a if the comparison a, b holds, else b. */
function lowerChoice({ asm }: Context, cc: number, out: number, a: number, b: number): void {
  asm.cmp(a, b);
  if (out === b) asm.cmov(cc, out, a);
  else {
    asm.mov(out, a);
    asm.cmov(cc ^ 1, out, b);
  }
}

/** The instruction works on edx:eax, so rdx is put aside, and the divisor is read from the stack. */
function lowerDivision({ asm }: Context, op: "div" | "rem", out: number, a: number, b: number): void {
  asm.push(GPR.rdx);
  asm.push(b);
  asm.mov32(GPR.rax, a);
  asm.movImm(GPR.rdx, 0);
  asm.div32({ base: GPR.rsp, offset: 0 });
  if (op === "rem") asm.mov32(GPR.rax, GPR.rdx);
  asm.lea(GPR.rsp, { base: GPR.rsp, offset: 8 });
  asm.pop(GPR.rdx);
  asm.mov32(out, GPR.rax);
}

function lowerScalarMemory(c: Context, instruction: Instruction): boolean {
  const { asm } = c;
  const { op, inputs } = instruction;
  switch (op) {
    case "loadPointer":
      asm.load(c.g(c.out(instruction)), c.memory(instruction));
      return true;
    case "loadInt":
    case "atomicLoad":
      asm.load32(c.g(c.out(instruction)), c.memory(instruction));
      return true;
    case "storeInt":
    case "atomicStore":
      // Stores of one thread are seen by the others in their order.
      asm.store32(c.memory(instruction), c.g(inputs[1]));
      return true;
    case "atomicAdd":
      asm.mov32(GPR.rax, c.g(inputs[1]));
      asm.lockXadd32(c.memory(instruction), GPR.rax);
      asm.mov32(c.g(c.out(instruction)), GPR.rax);
      return true;
    default:
      return false;
  }
}
