import type { VectorOpcode } from "./opcodes.ts";

/** Numbers of the general registers. */
export const GPR = {
  rax: 0,
  rcx: 1,
  rdx: 2,
  rbx: 3,
  rsp: 4,
  rbp: 5,
  rsi: 6,
  rdi: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const;

/** Memory at base + index + offset, or at a position of the code itself (`rip`). */
export type Memory =
  | { readonly base: number; readonly index?: number; readonly offset: number }
  | { readonly rip: number };

/** A register's number, or memory. */
export type Operand = number | Memory;

/** Operands of a vector instruction, as the manual names their places in the encoding. */
export interface VectorOperands {
  /** ModRM.reg */
  readonly reg?: number;
  readonly vvvv?: number;
  /** ModRM.rm */
  readonly rm?: Operand;
  /** An immediate byte. */
  readonly imm?: number;
  /** A mask register k1 to k7, and whether masked lanes become zero (EVEX only). */
  readonly mask?: number;
  readonly zeroing?: boolean;
}

/** Bits of a vector register that an instruction works on. */
export type VectorLength = 128 | 256 | 512;

/** Conditional jumps and moves, by the low four bits of their opcodes. */
export const CC = { "==": 4, "!=": 5, "<": 12, ">=": 13, "<=": 14, ">": 15 } as const;

/** A place in the code that jumps can go to before it is known. */
export class Label {
  position = -1;
  /** Where 32-bit distances to it are to be filled in. */
  readonly fixups: number[] = [];
}

const INT8 = { min: -128, max: 127 };

function fitsByte(n: number): boolean {
  return n >= INT8.min && n <= INT8.max;
}

/** Writes x86-64 machine code. */
export class Assembler {
  #bytes = new Uint8Array(1024);
  #length = 0;

  /** Where the next instruction goes. */
  get position(): number {
    return this.#length;
  }

  /** The code so far, a copy. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  byte(...bytes: readonly number[]): void {
    this.#reserve(bytes.length);
    for (const b of bytes) this.#bytes[this.#length++] = b;
  }

  int32(n: number): void {
    this.byte(n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >> 24) & 255);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#length + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  // Jumps

  bind(label: Label): void {
    label.position = this.#length;
    for (const at of label.fixups) this.#patch(at, this.#length - (at + 4));
  }

  #patch(at: number, n: number): void {
    new DataView(this.#bytes.buffer).setInt32(at, n, true);
  }

  /** Jumps if the condition `cc` (four bits, see `CC`) holds; always, without one. */
  jump(label: Label, cc?: number): void {
    const near = label.position - (this.#length + 2);
    if (label.position >= 0 && fitsByte(near)) {
      this.byte(cc === undefined ? 0xeb : 0x70 | cc, near & 255);
      return;
    }
    if (cc === undefined) this.byte(0xe9);
    else this.byte(0x0f, 0x80 | cc);
    if (label.position < 0) label.fixups.push(this.#length);
    this.int32(label.position < 0 ? 0 : label.position - (this.#length + 4));
  }

  // Vector instructions

  /** An instruction under a VEX prefix: xmm, ymm, masks, tiles, registers 0 to 15. */
  vex(op: VectorOpcode, length: 128 | 256, operands: VectorOperands): void {
    const { reg = op.digit ?? 0, vvvv = 0, rm = 0, imm } = operands;
    const [x, b] = extensions(rm);
    const r = reg & 8 ? 0 : 0x80;
    const last = ((~vvvv & 15) << 3) | (length === 256 ? 4 : 0) | op.prefix;
    if (op.map === 1 && op.w === 0 && !x && !b) this.byte(0xc5, r | last, op.opcode);
    else this.byte(0xc4, r | (x ? 0 : 0x40) | (b ? 0 : 0x20) | op.map, (op.w << 7) | last, op.opcode);
    this.#operand(reg, rm, 1, imm === undefined ? 0 : 1);
    if (imm !== undefined) this.byte(imm & 255);
  }

  /** An instruction under an EVEX prefix: registers 0 to 31, masks. */
  evex(op: VectorOpcode, length: VectorLength, operands: VectorOperands): void {
    const { reg = op.digit ?? 0, vvvv = 0, rm = 0, imm, mask = 0, zeroing = false } = operands;
    const [x, b] = extensions(rm);
    const extended = typeof rm === "number" ? rm & 16 : x;
    this.byte(
      0x62,
      (reg & 8 ? 0 : 0x80) | (extended ? 0 : 0x40) | (b ? 0 : 0x20) | (reg & 16 ? 0 : 0x10) | op.map,
      (op.w << 7) | ((~vvvv & 15) << 3) | 4 | op.prefix,
      (zeroing ? 0x80 : 0) | { 128: 0, 256: 0x20, 512: 0x40 }[length] | (vvvv & 16 ? 0 : 8) | mask,
      op.opcode,
    );
    this.#operand(reg, rm, memoryUnit(op, length), imm === undefined ? 0 : 1);
    if (imm !== undefined) this.byte(imm & 255);
  }

  /**
   * ModRM, SIB and displacement.
   *
   * @param unit what an 8-bit displacement counts
   * @param tail bytes of the instruction behind the displacement
   */
  #operand(reg: number, rm: Operand, unit: number, tail: number): void {
    const field = (reg & 7) << 3;
    if (typeof rm === "number") {
      this.byte(0xc0 | field | (rm & 7));
    } else if ("rip" in rm) {
      this.byte(field | 5);
      this.int32(rm.rip - (this.#length + 4 + tail));
    } else {
      const { base, index, offset } = rm;
      const low = base & 7;
      const scaled = offset / unit;
      const short = Number.isInteger(scaled) && fitsByte(scaled);
      // Without a displacement, the number of rbp and r13 would mean something else.
      const mode = offset === 0 && low !== 5 ? 0 : short ? 0x40 : 0x80;
      if (index !== undefined) this.byte(mode | field | 4, ((index & 7) << 3) | low);
      else if (low === 4) this.byte(mode | field | 4, 0x24);
      else this.byte(mode | field | low);
      if (mode === 0x40) this.byte(scaled & 255);
      else if (mode === 0x80) this.int32(offset);
    }
  }

  // General registers, 64 bits wide unless said

  /** REX prefix, opcode bytes, operands. */
  #general(opcode: readonly number[], wide: boolean, reg: number, rm: Operand, tail = 0): void {
    const [x, b] = extensions(rm);
    const rex = (wide ? 8 : 0) | (reg & 8 ? 4 : 0) | (x ? 2 : 0) | (b ? 1 : 0);
    if (rex) this.byte(0x40 | rex);
    this.byte(...opcode);
    this.#operand(reg, rm, 1, tail);
  }

  mov(to: number, from: number): void {
    if (to !== from) this.#general([0x8b], true, to, from);
  }

  /** Also clears the upper half. */
  mov32(to: number, from: number): void {
    this.#general([0x8b], false, to, from);
  }

  /** A number of up to 53 bits. */
  movImm(to: number, n: number): void {
    if (n === 0) this.#general([0x33], false, to, to);
    else if (n > 0 && n < 2 ** 32) this.#short(0xb8, to, () => this.int32(n | 0));
    else if (n >= -(2 ** 31) && n < 0) {
      this.#general([0xc7], true, 0, to, 4);
      this.int32(n);
    } else this.movImm64(to, BigInt(n));
  }

  /** Any 64 bits. */
  movImm64(to: number, n: bigint): void {
    this.byte(0x48 | (to & 8 ? 1 : 0), 0xb8 | (to & 7));
    this.int32(Number(BigInt.asIntN(32, n)));
    this.int32(Number(BigInt.asIntN(32, n >> 32n)));
  }

  /** An instruction whose register is in its opcode byte. */
  #short(opcode: number, register: number, rest?: () => void): void {
    if (register & 8) this.byte(0x41);
    this.byte(opcode | (register & 7));
    rest?.();
  }

  load(to: number, from: Memory): void {
    this.#general([0x8b], true, to, from);
  }

  /** 32 bits, the upper half cleared. */
  load32(to: number, from: Memory): void {
    this.#general([0x8b], false, to, from);
  }

  store(to: Memory, from: number): void {
    this.#general([0x89], true, from, to);
  }

  store32(to: Memory, from: number): void {
    this.#general([0x89], false, from, to);
  }

  lea(to: number, from: Memory): void {
    this.#general([0x8d], true, to, from);
  }

  add(to: number, n: number): void {
    this.#general([0x03], true, to, n);
  }

  sub(to: number, n: number): void {
    this.#general([0x2b], true, to, n);
  }

  cmp(a: number, b: number): void {
    this.#general([0x3b], true, a, b);
  }

  /** A register with itself, for comparing with zero. */
  test(a: number): void {
    this.#general([0x85], true, a, a);
  }

  imul(to: number, n: number): void {
    this.#general([0x0f, 0xaf], true, to, n);
  }

  addImm(to: number, n: number): void {
    this.#immediate(0, to, n);
  }

  subImm(to: number, n: number): void {
    this.#immediate(5, to, n);
  }

  andImm(to: number, n: number): void {
    this.#immediate(4, to, n);
  }

  cmpImm(a: number, n: number): void {
    this.#immediate(7, a, n);
  }

  #immediate(digit: number, to: number, n: number): void {
    if (fitsByte(n)) {
      this.#general([0x83], true, digit, to, 1);
      this.byte(n & 255);
    } else if (to === GPR.rax) {
      this.byte(0x48, (digit << 3) | 5);
      this.int32(n);
    } else {
      this.#general([0x81], true, digit, to, 4);
      this.int32(n);
    }
  }

  /** Of the low half; clears the upper half. */
  orImm32(to: number, n: number): void {
    if (to === GPR.rax) this.byte(0x0d);
    else this.#general([0x81], false, 1, to, 4);
    this.int32(n);
  }

  imulImm(to: number, from: number, n: number): void {
    this.#general([fitsByte(n) ? 0x6b : 0x69], true, to, from, fitsByte(n) ? 1 : 4);
    if (fitsByte(n)) this.byte(n & 255);
    else this.int32(n);
  }

  shlImm(to: number, bits: number): void {
    this.#general([0xc1], true, 4, to, 1);
    this.byte(bits);
  }

  shrImm(to: number, bits: number): void {
    this.#general([0xc1], true, 5, to, 1);
    this.byte(bits);
  }

  /** eax = edx:eax / `by` (32 bits, unsigned), edx = the rest. */
  div32(by: Operand): void {
    this.#general([0xf7], false, 6, by);
  }

  cmov(cc: number, to: number, from: number): void {
    this.#general([0x0f, 0x40 | cc], true, to, from);
  }

  /** Adds 32 bits of a register to memory at once for all threads; the register gets what was there. */
  lockXadd32(to: Memory, register: number): void {
    this.byte(0xf0);
    this.#general([0x0f, 0xc1], false, register, to);
  }

  prefetch(level: "t0" | "t1" | "w", at: Memory): void {
    if (level === "w") this.#general([0x0f, 0x0d], false, 1, at);
    else this.#general([0x0f, 0x18], false, level === "t0" ? 1 : 2, at);
  }

  push(register: number): void {
    this.#short(0x50, register);
  }

  pop(register: number): void {
    this.#short(0x58, register);
  }

  call(register: number): void {
    this.#general([0xff], false, 2, register);
  }

  ret(): void {
    this.byte(0xc3);
  }

  pause(): void {
    this.byte(0xf3, 0x90);
  }

  syscall(): void {
    this.byte(0x0f, 0x05);
  }

  cpuid(): void {
    this.byte(0x0f, 0xa2);
  }

  /** edx:eax = the time-stamp counter. */
  rdtsc(): void {
    this.byte(0x0f, 0x31);
  }

  xgetbv(): void {
    this.byte(0x0f, 0x01, 0xd0);
  }

  /** The control word of floating-point arithmetic, to and from memory. */
  stmxcsr(to: Memory): void {
    this.#general([0x0f, 0xae], false, 3, to);
  }

  ldmxcsr(from: Memory): void {
    this.#general([0x0f, 0xae], false, 2, from);
  }

  vzeroupper(): void {
    this.byte(0xc5, 0xf8, 0x77);
  }

  /** Frees the tile registers' state. */
  tilerelease(): void {
    this.byte(0xc4, 0xe2, 0x78, 0x49, 0xc0);
  }
}

/** The fourth bits of an operand's index and base (or register). */
function extensions(rm: Operand): [x: number, b: number] {
  if (typeof rm === "number") return [0, rm & 8];
  if ("rip" in rm) return [0, 0];
  return [(rm.index ?? 0) & 8, rm.base & 8];
}

/** What EVEX's 8-bit displacements count. */
function memoryUnit({ memory }: VectorOpcode, length: VectorLength): number {
  if (typeof memory === "number") return memory;
  return length / 8 / { full: 1, half: 2, quarter: 4 }[memory];
}
