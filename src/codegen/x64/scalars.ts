import { type Condition, type Instruction, TILE_DOTS } from "../instruction.ts";
import { CC, GPR, Label, type Memory } from "./assembler.ts";
import type { Context } from "./context.ts";
import { VEX } from "./opcodes.ts";

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
    case "div":
    case "rem":
      lowerDivision(c, op, out(), a(), c.g(inputs[1]));
      return true;
    default:
      return lowerScalarMemory(c, instruction);
  }
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

/** A loop or branch that is open. */
interface Open {
  readonly kind: "loop" | "branch";
  readonly top: Label;
  /** Behind it; of a branch, where it goes if the condition does not hold. */
  end: Label;
}

/** Lowers structure: loops, branches, calls. */
export class ControlLowering {
  readonly #c: Context;
  readonly #open: Open[] = [];

  constructor(c: Context) {
    this.#c = c;
  }

  /** False where `instruction` is not of that kind. */
  lower(instruction: Instruction, i: number): boolean {
    const { asm } = this.#c;
    switch (instruction.op) {
      case "loop":
      case "forever":
        this.#begin("loop");
        return true;
      case "endLoop":
        asm.subImm(this.#c.g(instruction.inputs[0]), 1);
        this.#end(CC["!="]);
        return true;
      case "endForever":
        this.#end();
        return true;
      case "break":
        asm.jump(this.#open.findLast(({ kind }) => kind === "loop")!.end, this.#compare(instruction));
        return true;
      case "if": {
        const cc = this.#compare(instruction);
        asm.jump(this.#begin("branch").end, cc ^ 1);
        return true;
      }
      case "else": {
        const branch = this.#open[this.#open.length - 1];
        const behind = new Label();
        asm.jump(behind);
        asm.bind(branch.end);
        branch.end = behind;
        return true;
      }
      case "endIf":
        asm.bind(this.#open.pop()!.end);
        return true;
      case "call":
        this.#call(instruction, i);
        return true;
      case "pause":
        asm.pause();
        return true;
      case "yield":
        this.#yield(instruction, i);
        return true;
      default:
        return false;
    }
  }

  #begin(kind: Open["kind"]): Open {
    const open = { kind, top: new Label(), end: new Label() };
    this.#c.asm.bind(open.top);
    this.#open.push(open);
    return open;
  }

  /** Back to the top of the loop, if the condition holds. */
  #end(cc?: number): void {
    const loop = this.#open.pop()!;
    this.#c.asm.jump(loop.top, cc);
    this.#c.asm.bind(loop.end);
  }

  /** Compares; gives the bits of the condition. */
  #compare({ condition, inputs, imm }: Instruction): number {
    const { asm } = this.#c;
    const a = this.#c.g(inputs[0]);
    if (inputs.length > 1) asm.cmp(a, this.#c.g(inputs[1]));
    else if (imm === 0) asm.test(a);
    else asm.cmpImm(a, imm);
    return CC[condition as Condition];
  }

  /** What is needed behind a call is kept on the stack, as the called program may overwrite everything. */
  #keeping(i: number, body: () => void): void {
    const { asm } = this.#c;
    const live = this.#c.allocation.liveAcross(i);
    const vector = live.find(({ kind }) => kind !== "scalar");
    if (vector) throw this.#c.error("a vector or tile is in use across a call");
    const numbers = live.map((register) => this.#c.g(register));
    for (const n of numbers) asm.push(n);
    body();
    for (const n of numbers.reverse()) asm.pop(n);
  }

  #call({ inputs }: Instruction, i: number): void {
    const { asm } = this.#c;
    this.#keeping(i, () => {
      // By way of the stack, as the arguments may lie in each other's places.
      for (const input of inputs) asm.push(this.#c.g(input));
      for (const to of [GPR.rdx, GPR.rsi, GPR.rdi, GPR.rax]) asm.pop(to);
      asm.call(GPR.rax);
    });
  }

  /** Calls a C function without arguments. */
  #yield({ inputs }: Instruction, i: number): void {
    const { asm } = this.#c;
    this.#keeping(i, () => {
      asm.mov(GPR.rax, this.#c.g(inputs[0]));
      asm.vzeroupper();
      // rbx is kept by C functions. They want rsp at a multiple of 16, and on Windows 32 bytes for themselves.
      asm.mov(GPR.rbx, GPR.rsp);
      asm.andImm(GPR.rsp, -16);
      asm.subImm(GPR.rsp, 32);
      asm.call(GPR.rax);
      asm.mov(GPR.rsp, GPR.rbx);
    });
  }
}

/** Lowers AMX. False where `instruction` is not of that kind. */
export function lowerTile(c: Context, instruction: Instruction): boolean {
  const { asm } = c;
  const { op, inputs, imm } = instruction;
  switch (op) {
    case "tileConfig":
      asm.vex(VEX.ldtilecfg, 128, { rm: c.memory(instruction) });
      return true;
    case "tileRelease":
      asm.tilerelease();
      return true;
    case "tileZero":
      asm.vex(VEX.tilezero, 128, { reg: c.v(c.out(instruction)) });
      return true;
    case "tileLoad":
      asm.vex(imm === 1 ? VEX.tileloaddt1 : VEX.tileloadd, 128, {
        reg: c.v(c.out(instruction)),
        rm: rows(c, instruction),
      });
      return true;
    case "tileStore":
      asm.vex(VEX.tilestored, 128, { reg: c.v(inputs[2]), rm: rows(c, instruction) });
      return true;
    case "tileDot": {
      const opcodes = {
        bf16: VEX.tdpbf16ps,
        ss: VEX.tdpbssd,
        su: VEX.tdpbsud,
        us: VEX.tdpbusd,
        uu: VEX.tdpbuud,
      };
      const out = c.out(instruction);
      if (c.v(out) !== c.v(inputs[2])) throw c.error("'tileDot' must add to a variable");
      asm.vex(opcodes[TILE_DOTS[imm]], 128, { reg: c.v(out), rm: c.v(inputs[0]), vvvv: c.v(inputs[1]) });
      return true;
    }
    default:
      return false;
  }
}

/** A tile's memory: rows that lie `inputs[1]` bytes apart. */
function rows(c: Context, { inputs, offset }: Instruction): Memory {
  return { base: c.g(inputs[0]), index: c.g(inputs[1]), offset };
}
