import type { Condition, Instruction } from "../instruction.ts";
import { CC, GPR, Label } from "./assembler.ts";
import type { Context } from "./context.ts";

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
