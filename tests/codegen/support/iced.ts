import { createRequire } from "node:module";
import type * as Iced from "iced-x86";

/** The module's CommonJS form loads three times as fast as by `import`. */
export const iced = createRequire(import.meta.url)("iced-x86") as typeof Iced;

/** Machine code as text, one instruction a line. */
export function disassemble(code: Uint8Array): string[] {
  const decoder = new iced.Decoder(64, code, iced.DecoderOptions.None);
  decoder.ip = 0n;
  const formatter = new iced.Formatter(iced.FormatterSyntax.Nasm);
  const lines: string[] = [];
  while (decoder.canDecode) {
    const instruction = decoder.decode();
    lines.push(formatter.format(instruction));
    instruction.free();
  }
  decoder.free();
  formatter.free();
  return lines;
}

const GENERAL = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");

/** The number of a register, as encodings have it. */
function registerNumber(register: Iced.Register): number {
  const name = iced.Register[register].toLowerCase();
  const vector = /^(?:[xyzt]mm|k)(\d+)$/.exec(name);
  if (vector) return Number(vector[1]);
  const wide = name.replace(/^e/, "r").replace(/^(r\d+)d$/, "$1");
  return GENERAL.indexOf(wide);
}

/** One instruction as iced reads it. */
export interface Decoded {
  mnemonic: string;
  /** Numbers of register operands, "memory", or immediates as text, in the assembler's order. */
  operands: (number | string)[];
  memory: { base: number; index: number; offset: number } | undefined;
  mask: number;
  zeroing: boolean;
  /** Bits of the widest vector register that it names. */
  width: number;
  /** The bytes that iced itself gives for what it read, in the shortest form. */
  encoded: string;
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Decodes exactly one instruction and encodes it again. */
export function decodeOne(code: Uint8Array): Decoded {
  const decoder = new iced.Decoder(64, code, iced.DecoderOptions.None);
  decoder.ip = 0n;
  const instruction = decoder.decode();
  const length = instruction.length;
  const operands: Decoded["operands"] = [];
  let memory: Decoded["memory"];
  let width = 0;
  for (let i = 0; i < instruction.opCount; i++) {
    const kind = instruction.opKind(i);
    if (kind === iced.OpKind.Register) {
      const register = instruction.opRegister(i);
      operands.push(registerNumber(register));
      const letter = iced.Register[register][0];
      width = Math.max(width, { X: 128, Y: 256, Z: 512 }[letter] ?? 0);
    } else if (kind === iced.OpKind.Memory) {
      operands.push("memory");
      const base = instruction.memoryBase;
      const offset = Number(BigInt.asIntN(64, instruction.memoryDisplacement));
      memory = {
        base: base === iced.Register.RIP ? -1 : registerNumber(base),
        index: instruction.memoryIndex === iced.Register.None ? -1 : registerNumber(instruction.memoryIndex),
        offset,
      };
      // Let the encoder choose the size of the displacement.
      if (base !== iced.Register.RIP) instruction.memoryDisplSize = offset === 0 ? 0 : 1;
    } else operands.push(`#${instruction.immediate(i)}`);
  }
  const encoder = new iced.Encoder(64);
  encoder.encode(instruction, 0n);
  const encoded = hex(encoder.takeBuffer());
  const decoded: Decoded = {
    mnemonic: iced.Mnemonic[instruction.mnemonic].toLowerCase(),
    operands,
    memory,
    mask: instruction.opMask === iced.Register.None ? 0 : registerNumber(instruction.opMask),
    zeroing: instruction.zeroingMasking,
    width,
    encoded,
  };
  instruction.free();
  encoder.free();
  decoder.free();
  if (length !== code.length)
    throw new Error(`${hex(code)}: ${length} bytes of ${code.length} are one instruction`);
  return decoded;
}
