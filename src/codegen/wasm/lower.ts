import { type Allocation, allocate } from "../allocate.ts";
import { placeConstants } from "../constants.ts";
import {
  type BinaryOp,
  type Condition,
  type Constant,
  type Instruction,
  PARAMETERS,
  type Program,
  ProgramError,
  type Register,
  type ScalarOp,
  type ShiftOp,
} from "../instruction.ts";
import { Bytes } from "./bytes.ts";
import { ATOMIC, DIRECT, I, SCALAR, SHIFT, SIMD, TYPE } from "./opcodes.ts";

/** How many local variables a function may have of each kind; more than any program needs. */
const LOCALS = 10_000;

const CONDITIONS: Record<Condition, number> = {
  "==": I.eq,
  "!=": I.ne,
  "<": I.lt,
  ">": I.gt,
  "<=": I.le,
  ">=": I.ge,
};

/** A thread that lets others run sleeps for so long, in nanoseconds, on a word that nobody changes. */
const YIELD_NS = 20_000;

/** Compiles a program to the body of a WebAssembly function of type (i32, i32, i32) -> (). */
export function lowerWasm(source: Program): Uint8Array {
  const program = placeConstants(source, Number.POSITIVE_INFINITY);
  const allocation = allocate(program, { vector: LOCALS, scalar: LOCALS, tile: 0 });
  return new Lowering(program, allocation).body();
}

/** An open structure: how many of WebAssembly's blocks it is made of. */
type Open = "loop" | "branch";

class Lowering {
  readonly #program: Program;
  readonly #allocation: Allocation;
  readonly #code = new Bytes();
  readonly #open: Open[] = [];

  constructor(program: Program, allocation: Allocation) {
    this.#program = program;
    this.#allocation = allocation;
  }

  body(): Uint8Array {
    for (const instruction of this.#program.instructions) this.#lower(instruction);
    const { scalar, vector } = this.#allocation.peak;
    const body = new Bytes().unsigned(2);
    // The first scalars are the parameters.
    body.unsigned(Math.max(0, scalar - PARAMETERS)).byte(TYPE.i32);
    body.unsigned(vector).byte(TYPE.v128);
    return body.append(this.#code.view()).byte(I.end).finish();
  }

  /** The number of a register's local variable: scalars come first. */
  #local({ kind, index }: Register): number {
    const number = this.#allocation.numbers[index];
    return kind === "scalar" ? number : Math.max(PARAMETERS, this.#allocation.peak.scalar) + number;
  }

  #get(...registers: readonly Register[]): this {
    for (const register of registers) this.#code.byte(I.localGet).unsigned(this.#local(register));
    return this;
  }

  #set({ out, op }: Instruction): void {
    if (!out) throw this.#error(`'${op}' without a result`);
    this.#code.byte(I.localSet).unsigned(this.#local(out));
  }

  #number(n: number): this {
    this.#code.byte(I.i32Const).signed(n);
    return this;
  }

  #simd(opcode: number): this {
    this.#code.byte(SIMD.prefix).unsigned(opcode);
    return this;
  }

  /** The pointer of a memory operation, and what is to be added to it by the instruction. */
  #pointer({ inputs, offset }: Instruction, more = 0): number {
    this.#get(inputs[0]);
    const at = offset + more;
    if (at >= 0) return at;
    this.#number(at);
    this.#code.byte(I.add);
    return 0;
  }

  /** Alignment (as a power of two, only a hint but for atomics) and offset. */
  #memory(offset: number, alignment = 0): this {
    this.#code.byte(alignment).unsigned(offset);
    return this;
  }

  #error(message: string): ProgramError {
    const { name, target } = this.#program;
    return new ProgramError(`vector program '${name}' for ${target.name}: ${message}`, { where: name });
  }

  #lower(instruction: Instruction): void {
    const known =
      this.#direct(instruction) ||
      this.#vector(instruction) ||
      this.#vectorMemory(instruction) ||
      this.#scalar(instruction) ||
      this.#scalarMemory(instruction) ||
      this.#control(instruction);
    if (!known) throw this.#error(`no instruction for '${instruction.op}'`);
  }

  #direct(o: Instruction): boolean {
    const direct = DIRECT[o.op as BinaryOp];
    const shift = SHIFT[o.op as ShiftOp];
    if (direct !== undefined) this.#get(...o.inputs).#simd(direct);
    else if (shift !== undefined)
      this.#get(...o.inputs)
        .#number(o.imm)
        .#simd(shift);
    else return false;
    this.#set(o);
    return true;
  }

  #vector(o: Instruction): boolean {
    const [a, b, c] = o.inputs;
    switch (o.op) {
      case "constant":
        this.#constant(o.constant!);
        break;
      case "copy":
        this.#get(a);
        break;
      case "maxF32":
        // pmax(x, y) = x < y ? y : x
        this.#get(b, a).#simd(SIMD.pseudoMax);
        break;
      case "minF32":
        this.#get(b, a).#simd(SIMD.pseudoMin);
        break;
      case "roundF32":
        this.#get(a).#simd(SIMD.nearest);
        break;
      case "f32ToI32":
        this.#get(a).#simd(SIMD.nearest).#simd(SIMD.truncateToI32);
        break;
      case "fma":
        this.#get(a, b, c).#simd(SIMD.relaxedMadd);
        break;
      case "fnma":
        this.#get(a, b, c).#simd(SIMD.relaxedNmadd);
        break;
      case "dotU7I8":
        // The instruction has the signed numbers first.
        this.#get(b, a).#simd(SIMD.relaxedDot);
        break;
      case "dot4":
        this.#get(b, a, c).#simd(SIMD.relaxedDotAdd);
        break;
      case "select":
        this.#get(b, c, a).#simd(SIMD.bitselect);
        break;
      case "splat":
        this.#get(a).#simd(SIMD.splatI32);
        break;
      case "swap":
        this.#get(a, a).#simd(SIMD.shuffle);
        for (let i = 0; i < 16; i++) this.#code.byte((((i >> 2) ^ o.imm) << 2) | (i & 3));
        break;
      case "widenU16":
        this.#get(a).#simd(SIMD.extendLowU16ToU32);
        break;
      case "widenI8":
        this.#get(a).#simd(SIMD.extendLowI8ToI16).#simd(SIMD.extendLowI16ToI32);
        break;
      case "widenU8":
        this.#get(a).#simd(SIMD.extendLowU8ToU16).#simd(SIMD.extendLowU16ToU32);
        break;
      case "narrowU16":
        this.#get(a, a).#simd(SIMD.narrowI32ToU16);
        break;
      case "narrowI8":
        this.#get(a, a).#simd(SIMD.narrowI32ToI16);
        this.#set(o);
        this.#get(o.out!, o.out!).#simd(SIMD.narrowI16ToI8);
        break;
      default:
        return false;
    }
    this.#set(o);
    return true;
  }

  #constant(constant: Constant): void {
    this.#simd(SIMD.const);
    for (let i = 0; i < 4; i++) this.#code.int32(typeof constant === "number" ? constant : constant[i]);
  }

  #vectorMemory(o: Instruction): boolean {
    switch (o.op) {
      case "load":
        if (o.bytes === 16) this.#read(o, SIMD.load);
        else this.#loadPieces(o);
        break;
      case "broadcast32":
        this.#read(o, SIMD.load32Splat);
        break;
      case "broadcast16":
        this.#read(o, SIMD.load16Splat);
        break;
      case "loadU16":
        this.#read(o, SIMD.load16x4U);
        break;
      case "loadI8":
        this.#read(o, SIMD.load32Zero).#simd(SIMD.extendLowI8ToI16).#simd(SIMD.extendLowI16ToI32);
        break;
      case "loadU8":
        this.#read(o, SIMD.load32Zero).#simd(SIMD.extendLowU8ToU16).#simd(SIMD.extendLowU16ToU32);
        break;
      case "store":
        if (o.bytes === 16) this.#write(o, SIMD.store);
        else this.#storePieces(o);
        return true;
      case "loadCount":
        this.#loadCount(o);
        return true;
      case "storeCount":
        this.#storeCount(o);
        return true;
      case "prefetch":
        return true;
      default:
        return false;
    }
    this.#set(o);
    return true;
  }

  #read(o: Instruction, opcode: number, more = 0): this {
    const at = this.#pointer(o, more);
    return this.#simd(opcode).#memory(at);
  }

  /** Stores the last input. */
  #write(o: Instruction, opcode: number, more = 0): this {
    const at = this.#pointer(o, more);
    return this.#get(o.inputs[o.inputs.length - 1])
      .#simd(opcode)
      .#memory(at);
  }

  /** The first bytes as pieces of 8, 4, 2 and 1: the first one clears the rest. Leaves the vector on the stack. */
  #loadPieces(o: Instruction): void {
    let at = 0;
    for (const size of [8, 4, 2, 1] as const) {
      if ((o.bytes & size) === 0) continue;
      if (at === 0 && size === 8) this.#read(o, SIMD.load64Zero);
      else if (at === 0 && size === 4) this.#read(o, SIMD.load32Zero);
      else {
        if (at === 0) this.#constant(0);
        this.#set(o);
        const from = this.#pointer(o, at);
        this.#get(o.out!).#simd(SIMD.loadLane[size]).#memory(from);
        this.#code.byte(at / size);
      }
      at += size;
    }
  }

  #storePieces(o: Instruction): void {
    let at = 0;
    for (const size of [8, 4, 2, 1] as const) {
      if ((o.bytes & size) === 0) continue;
      this.#storeLane(o, size, at);
      at += size;
    }
  }

  /** Stores `size` bytes from where they lie in the vector, to the same place in memory. */
  #storeLane(o: Instruction, size: 1 | 2 | 4 | 8, at: number): void {
    this.#write(o, SIMD.storeLane[size], at);
    this.#code.byte(at / size);
  }

  #loadCount(o: Instruction): void {
    this.#constant(0);
    this.#set(o);
    this.#byCount(o, {
      4: () => {
        this.#read(o, SIMD.load);
        this.#set(o);
      },
      2: () => {
        this.#read(o, SIMD.load64Zero);
        this.#set(o);
      },
      3: () => {
        const at = this.#pointer(o, 8);
        this.#get(o.out!).#simd(SIMD.loadLane[4]).#memory(at);
        this.#code.byte(2);
        this.#set(o);
      },
      1: () => {
        this.#read(o, SIMD.load32Zero);
        this.#set(o);
      },
    });
  }

  #storeCount(o: Instruction): void {
    this.#byCount(o, {
      4: () => this.#write(o, SIMD.store),
      2: () => this.#storeLane(o, 8, 0),
      3: () => this.#storeLane(o, 4, 8),
      1: () => this.#storeLane(o, 4, 0),
    });
  }

  /** Branches on the count, which is `inputs[1]`. For three lanes, `2` is done and then `3`. */
  #byCount(o: Instruction, body: Record<1 | 2 | 3 | 4, () => void>): void {
    const count = o.inputs[1];
    const bit = (n: number, then: () => void, otherwise?: () => void): void => {
      this.#get(count).#number(n);
      this.#code.byte(I.and);
      this.#branch(then, otherwise);
    };
    this.#get(count).#number(4);
    this.#code.byte(I.ge);
    this.#branch(body[4], () => {
      this.#get(count).#number(0);
      this.#code.byte(I.gt);
      this.#branch(() =>
        bit(
          2,
          () => {
            body[2]();
            bit(1, body[3]);
          },
          body[1],
        ),
      );
    });
  }

  /** A branch on what is on the stack. */
  #branch(then: () => void, otherwise?: () => void): void {
    this.#code.byte(I.if).byte(TYPE.nothing);
    then();
    if (otherwise) {
      this.#code.byte(I.else);
      otherwise();
    }
    this.#code.byte(I.end);
  }

  #scalar(o: Instruction): boolean {
    const [a, b] = o.inputs;
    const opcode = SCALAR[o.op as ScalarOp];
    if (opcode !== undefined) {
      this.#get(...o.inputs);
      if (o.inputs.length === 1) this.#number(o.imm);
      this.#code.byte(opcode);
    } else if (o.op === "int") this.#number(o.imm);
    else if (o.op === "move") this.#get(a);
    else if (o.op === "min" || o.op === "max") {
      this.#get(a, b, a, b);
      this.#code.byte(o.op === "min" ? I.lt : I.gt).byte(I.select);
    } else return false;
    this.#set(o);
    return true;
  }

  #scalarMemory(o: Instruction): boolean {
    switch (o.op) {
      case "loadInt":
      case "loadPointer": {
        // Of a pointer's 8 bytes the first 4 are enough.
        const at = this.#pointer(o);
        this.#code.byte(I.load);
        this.#memory(at, 2).#set(o);
        return true;
      }
      case "storeInt": {
        const at = this.#pointer(o);
        this.#get(o.inputs[1]).#code.byte(I.store);
        this.#memory(at, 2);
        return true;
      }
      case "atomicLoad":
        this.#atomic(o, ATOMIC.load).#set(o);
        return true;
      case "atomicStore":
        this.#atomic(o, ATOMIC.store);
        return true;
      case "atomicAdd":
        this.#atomic(o, ATOMIC.add).#set(o);
        return true;
      default:
        return false;
    }
  }

  #atomic(o: Instruction, opcode: number): this {
    const at = this.#pointer(o);
    this.#get(...o.inputs.slice(1))
      .#code.byte(ATOMIC.prefix)
      .byte(opcode);
    return this.#memory(at, 2);
  }

  #control(o: Instruction): boolean {
    const code = this.#code;
    switch (o.op) {
      case "loop":
      case "forever":
        // The block around the loop is what is left by a break.
        code.byte(I.block).byte(TYPE.nothing).byte(I.loop).byte(TYPE.nothing);
        this.#open.push("loop");
        return true;
      case "endLoop":
        this.#get(o.inputs[0]).#number(-1);
        code.byte(I.add).byte(I.localTee).unsigned(this.#local(o.inputs[0]));
        code.byte(I.brIf).unsigned(0);
        this.#endLoop();
        return true;
      case "endForever":
        code.byte(I.br).unsigned(0);
        this.#endLoop();
        return true;
      case "break": {
        this.#compare(o);
        // Out of the branches since the loop began, the loop, and its block.
        const branches = this.#open.length - 1 - this.#open.lastIndexOf("loop");
        code.byte(I.brIf).unsigned(branches + 1);
        return true;
      }
      case "if":
        this.#compare(o);
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
        this.#get(...parameters, callee);
        code.byte(I.callIndirect).unsigned(0).unsigned(0);
        return true;
      }
      case "pause":
        return true;
      case "yield":
        // Waits on the first word of memory, whose number is 0 and which nobody changes.
        this.#number(0).#number(0);
        code.byte(I.i64Const).signed(YIELD_NS);
        code.byte(ATOMIC.prefix).byte(ATOMIC.wait32);
        this.#memory(0, 2);
        code.byte(I.drop);
        return true;
      default:
        return false;
    }
  }

  #endLoop(): void {
    this.#code.byte(I.end).byte(I.end);
    this.#open.pop();
  }

  #compare({ inputs, condition, imm }: Instruction): void {
    this.#get(...inputs);
    if (inputs.length === 1) this.#number(imm);
    this.#code.byte(CONDITIONS[condition!]);
  }
}
