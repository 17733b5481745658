import type { Instruction, MemoryOp } from "../instruction.ts";
import { GPR, type Memory, type Operand } from "./assembler.ts";
import { type Context, K1 } from "./context.ts";
import { EVEX, V, VEX, type VectorOpcode } from "./opcodes.ts";

/** Loads that are one instruction. */
const LOADS: Partial<Record<MemoryOp, VectorOpcode>> = {
  // Of vbroadcastss Zen 4 does half as many of 64 bytes, and takes the time from shifts and dot products.
  broadcast32: V.vpbroadcastd,
  broadcast16: V.vpbroadcastw,
  loadF16: V.vcvtph2ps,
  loadU16: V.vpmovzxwd,
  loadI8: V.vpmovsxbd,
  loadU8: V.vpmovzxbd,
};

/** Lowers what moves vectors from and to memory. False where `instruction` is not of that kind. */
export function lowerMemory(c: Context, instruction: Instruction): boolean {
  const { op, inputs, bytes, imm } = instruction;
  const load = LOADS[op as MemoryOp];
  if (load) {
    c.emit(load, c.v(c.out(instruction)), 0, c.memory(instruction));
    return true;
  }
  switch (op) {
    case "load":
      lowerLoad(c, c.v(c.out(instruction)), c.memory(instruction), bytes);
      return true;
    case "store":
      lowerStore(c, c.v(inputs[1]), c.memory(instruction), bytes);
      return true;
    case "loadMasked":
      lowerMasked(c, instruction, c.v(c.out(instruction)), true);
      return true;
    case "storeMasked":
      lowerMasked(c, instruction, c.v(inputs[2]), false);
      return true;
    case "prefetch":
      c.asm.prefetch(imm === 1 ? "t0" : imm === 2 ? "t1" : "w", c.memory(instruction) as Memory);
      return true;
    default:
      return false;
  }
}

/** 64, 32 and 16 bytes are whole registers. */
function lengthOf(c: Context, bytes: number): 512 | 256 | 128 | undefined {
  if (bytes === 64 && c.wide) return 512;
  return bytes === 32 ? 256 : bytes === 16 ? 128 : undefined;
}

function lowerLoad(c: Context, out: number, from: Memory, bytes: number): void {
  const length = lengthOf(c, bytes);
  if (length) c.emit(V.vmovups, out, 0, from, undefined, length);
  else if (c.wide) partial(c, bytes, V.vmovups, EVEX.vmovdqu8, out, from, true);
  else loadPieces(c, out, from, bytes);
}

function lowerStore(c: Context, value: number, to: Memory, bytes: number): void {
  const length = lengthOf(c, bytes);
  if (length) c.emit(V.vmovupsStore, value, 0, to, undefined, length);
  else if (c.wide) partial(c, bytes, V.vmovupsStore, EVEX.vmovdqu8Store, value, to, false);
  else storePieces(c, value, to, bytes);
}

/** The first bytes of a register by a mask of lanes, or of bytes. */
function partial(
  c: Context,
  bytes: number,
  byLanes: VectorOpcode,
  byBytes: VectorOpcode,
  reg: number,
  rm: Operand,
  zeroing: boolean,
): void {
  const { asm } = c;
  const operands = { reg, rm, mask: K1, zeroing };
  if (bytes % 4 === 0) {
    asm.movImm(GPR.rax, 2 ** (bytes / 4) - 1);
    asm.vex(VEX.kmovw, 128, { reg: K1, rm: GPR.rax });
    asm.evex(byLanes, 512, operands);
  } else {
    asm.movImm64(GPR.rax, (1n << BigInt(bytes)) - 1n);
    asm.vex(VEX.kmovq, 128, { reg: K1, rm: GPR.rax });
    asm.evex(byBytes, 512, operands);
  }
}

/** Up to 15 bytes as pieces of 8, 4, 2 and 1: [place, size]. */
function pieces(c: Context, bytes: number): [at: number, size: 8 | 4 | 2 | 1][] {
  if (bytes >= 16) throw c.error(`${bytes} bytes cannot be put together from pieces`);
  const list: [number, 8 | 4 | 2 | 1][] = [];
  let at = 0;
  for (const size of [8, 4, 2, 1] as const) {
    if ((bytes & size) === 0) continue;
    list.push([at, size]);
    at += size;
  }
  return list;
}

function behind(memory: Memory, bytes: number): Memory {
  return "rip" in memory ? { rip: memory.rip + bytes } : { ...memory, offset: memory.offset + bytes };
}

function loadPieces(c: Context, out: number, from: Memory, bytes: number): void {
  const { asm } = c;
  const list = pieces(c, bytes);
  // The first piece clears the rest of the register.
  if (list[0][1] <= 2) asm.vex(V.vpxord, 128, { reg: out, vvvv: out, rm: out });
  for (const [at, size] of list) {
    const rm = behind(from, at);
    if (size === 8) asm.vex(VEX.vmovq, 128, { reg: out, rm });
    else if (size === 4 && at === 0) asm.vex(VEX.vmovd, 128, { reg: out, rm });
    else {
      const insert = { 4: VEX.vpinsrd, 2: VEX.vpinsrw, 1: VEX.vpinsrb }[size];
      asm.vex(insert, 128, { reg: out, vvvv: out, rm, imm: at / size });
    }
  }
}

function storePieces(c: Context, value: number, to: Memory, bytes: number): void {
  const { asm } = c;
  for (const [at, size] of pieces(c, bytes)) {
    const rm = behind(to, at);
    if (size === 8) asm.vex(VEX.vmovqStore, 128, { reg: value, rm });
    else if (size === 4 && at === 0) asm.vex(VEX.vmovdStore, 128, { reg: value, rm });
    else {
      const extract = { 4: VEX.vpextrd, 2: VEX.vpextrw, 1: VEX.vpextrb }[size];
      asm.vex(extract, 128, { reg: value, rm, imm: at / size });
    }
  }
}

function lowerMasked(c: Context, instruction: Instruction, value: number, load: boolean): void {
  const mask = c.v(instruction.inputs[1]);
  const rm = c.memory(instruction);
  if (c.wide) {
    c.emit(EVEX.vpmovd2m, K1, 0, mask);
    const opcode = load ? V.vmovups : V.vmovupsStore;
    c.asm.evex(opcode, 512, { reg: value, rm, mask: K1, zeroing: load });
  } else c.emit(load ? VEX.vmaskmovps : VEX.vmaskmovpsStore, value, mask, rm);
}
