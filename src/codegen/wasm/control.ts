import type { Instruction } from "../instruction.ts";
import { ATOMIC, I, TYPE } from "./opcodes.ts";
import type { FunctionWriter } from "./writer.ts";

/** A thread that lets others run sleeps for so long, in nanoseconds, on a word that nobody changes. */
const YIELD_NS = 20_000;

/** Lowers structure: loops, branches, calls. */
export class ControlLowering {
  readonly #writer: FunctionWriter;
  /** What is open, the innermost last. */
  readonly #open: ("loop" | "branch")[] = [];

  constructor(writer: FunctionWriter) {
    this.#writer = writer;
  }

  /** False where `o` is not of that kind. */
  lower(o: Instruction): boolean {
    const w = this.#writer;
    const { code } = w;
    switch (o.op) {
      case "loop":
      case "forever":
        // The block around the loop is what is left by a break.
        code.byte(I.block).byte(TYPE.nothing).byte(I.loop).byte(TYPE.nothing);
        this.#open.push("loop");
        return true;
      case "endLoop":
        w.get(o.inputs[0]).number(-1);
        code.byte(I.add).byte(I.localTee).unsigned(w.local(o.inputs[0]));
        code.byte(I.brIf).unsigned(0);
        this.#endLoop();
        return true;
      case "endForever":
        code.byte(I.br).unsigned(0);
        this.#endLoop();
        return true;
      case "break": {
        w.compare(o);
        // Out of the branches since the loop began, the loop, and its block.
        const branches = this.#open.length - 1 - this.#open.lastIndexOf("loop");
        code.byte(I.brIf).unsigned(branches + 1);
        return true;
      }
      case "if":
        w.compare(o);
        code.byte(I.if).byte(TYPE.nothing);
        this.#open.push("branch");
        return true;
      case "else":
        code.byte(I.else);
        return true;
      case "endIf":
        code.byte(I.end);
        this.#open.pop();
        return true;
      case "call": {
        const [callee, ...parameters] = o.inputs;
        w.get(...parameters, callee);
        code.byte(I.callIndirect).unsigned(0).unsigned(0);
        return true;
      }
      case "pause":
        return true;
      case "yield":
        // Waits on the first word of memory, whose number is 0 and which nobody changes.
        w.number(0).number(0);
        code.byte(I.i64Const).signed(YIELD_NS);
        code.byte(ATOMIC.prefix).byte(ATOMIC.wait32);
        w.memory(0, 2);
        code.byte(I.drop);
        return true;
      default:
        return false;
    }
  }

  #endLoop(): void {
    this.#writer.code.byte(I.end).byte(I.end);
    this.#open.pop();
  }
}
