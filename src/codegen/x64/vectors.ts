import type { BinaryOp, Instruction, Op, Register, ShiftOp, UnaryOp } from "../instruction.ts";
import { type Context, K1 } from "./context.ts";
import { EVEX, V, VEX, type VectorOpcode } from "./opcodes.ts";

/** Two-input operations that are one instruction: a in vvvv, b in rm. */
const BINARY: Partial<Record<BinaryOp, VectorOpcode>> = {
  addF32: V.vaddps,
  subF32: V.vsubps,
  mulF32: V.vmulps,
  divF32: V.vdivps,
  maxF32: V.vmaxps,
  minF32: V.vminps,
  addI32: V.vpaddd,
  subI32: V.vpsubd,
  mulI32: V.vpmulld,
  and: V.vpandd,
  or: V.vpord,
  xor: V.vpxord,
  addI16: V.vpaddw,
  subI16: V.vpsubw,
  addI8: V.vpaddb,
  subI8: V.vpsubb,
  dotI16: V.vpmaddwd,
  dotU8I8: V.vpmaddubsw,
  permuteI32: V.vpermps,
};

/** The same, of AVX-512 only and of AVX2 only. */
const BINARY_EVEX: Partial<Record<BinaryOp, VectorOpcode>> = { permuteI16: EVEX.vpermw, mulF16: EVEX.vmulph };
const BINARY_VEX: Partial<Record<BinaryOp, VectorOpcode>> = { signI8: VEX.vpsignb };

/** One-input operations that are one instruction: out in reg, input in rm. */
const UNARY: Partial<Record<UnaryOp, VectorOpcode>> = {
  sqrtF32: V.vsqrtps,
  i32ToF32: V.vcvtdq2ps,
  f32ToI32: V.vcvtps2dq,
  absI8: V.vpabsb,
  widenF16: V.vcvtph2ps,
  widenU16: V.vpmovzxwd,
  widenI8: V.vpmovsxbd,
  widenU8: V.vpmovzxbd,
};

const UNARY_EVEX: Partial<Record<UnaryOp, VectorOpcode>> = {
  narrowBf16: EVEX.vcvtneps2bf16,
  i16ToF16: EVEX.vcvtw2ph,
};

const SHIFTS: Partial<Record<ShiftOp, VectorOpcode>> = {
  shlI32: V.vpslld,
  shrI32: V.vpsrld,
  sarI32: V.vpsrad,
  shlI16: V.vpsllw,
  shrI16: V.vpsrlw,
  sarI16: V.vpsraw,
};

/** Comparisons: of floats with the predicate of vcmpps, of integers. */
const COMPARE: Partial<Record<Op, [opcode: VectorOpcode, predicate: number | undefined]>> = {
  lessF32: [V.vcmpps, 0x11],
  equalF32: [V.vcmpps, 0],
  greaterI32: [V.vpcmpgtd, undefined],
  equalI32: [V.vpcmpeqd, undefined],
};

/** Lowers the operations between vectors. False where `instruction` is not one of them. */
export function lowerVector(c: Context, instruction: Instruction): boolean {
  const { op, inputs, imm } = instruction;
  const [a, b] = inputs;
  const binary = find(c, op as BinaryOp, BINARY, BINARY_EVEX, BINARY_VEX);
  if (binary) {
    c.emit(binary, c.v(c.out(instruction)), c.v(a), c.v(b));
    return true;
  }
  const unary = find(c, op as UnaryOp, UNARY, UNARY_EVEX);
  if (unary) {
    c.emit(unary, c.v(c.out(instruction)), 0, c.v(a));
    return true;
  }
  const shift = SHIFTS[op as ShiftOp];
  if (shift) {
    c.emit(shift, undefined, c.v(c.out(instruction)), c.v(a), imm);
    return true;
  }
  return COMPARE[op] ? lowerCompare(c, instruction) : lowerSpecial(c, instruction);
}

function find<K extends string>(
  c: Context,
  op: K,
  both: Partial<Record<K, VectorOpcode>>,
  evex: Partial<Record<K, VectorOpcode>>,
  vex: Partial<Record<K, VectorOpcode>> = {},
): VectorOpcode | undefined {
  return both[op] ?? (c.wide ? evex : vex)[op];
}

/** A mask is a vector, so AVX-512's mask registers are filled for a moment only. */
function lowerCompare(c: Context, instruction: Instruction): true {
  const [opcode, predicate] = COMPARE[instruction.op]!;
  const [a, b] = instruction.inputs;
  const out = c.v(c.out(instruction));
  if (!c.wide) c.emit(opcode, out, c.v(a), c.v(b), predicate);
  else {
    c.emit(opcode, K1, c.v(a), c.v(b), predicate);
    c.emit(EVEX.vpmovm2d, out, 0, K1);
  }
  return true;
}

function lowerSpecial(c: Context, instruction: Instruction): boolean {
  const { op, inputs, imm } = instruction;
  switch (op) {
    case "constant":
      lowerConstant(c, instruction);
      return true;
    case "copy":
      copy(c, c.out(instruction), inputs[0]);
      return true;
    case "andNot":
      // vpandn inverts its first operand.
      c.emit(V.vpandnd, c.v(c.out(instruction)), c.v(inputs[1]), c.v(inputs[0]));
      return true;
    case "roundF32":
      c.emit(V.vrndscaleps, c.v(c.out(instruction)), 0, c.v(inputs[0]), 0);
      return true;
    case "swap":
      lowerSwap(c, c.v(c.out(instruction)), c.v(inputs[0]), imm);
      return true;
    case "splat":
      lowerSplat(c, c.v(c.out(instruction)), c.g(inputs[0]));
      return true;
    case "fma":
      lowerFma(c, instruction, V.vfmadd213ps, V.vfmadd231ps);
      return true;
    case "fnma":
      lowerFma(c, instruction, V.vfnmadd213ps, V.vfnmadd231ps);
      return true;
    case "dot4":
      lowerDot(c, instruction, V.vpdpbusd);
      return true;
    case "dotBf16":
      lowerDot(c, instruction, EVEX.vdpbf16ps);
      return true;
    case "select":
      lowerSelect(c, instruction);
      return true;
    case "packBf16":
      // The instruction takes the upper half first.
      c.emit(EVEX.vcvtne2ps2bf16, c.v(c.out(instruction)), c.v(inputs[1]), c.v(inputs[0]));
      return true;
    case "narrowF16":
      c.emit(V.vcvtps2ph, c.v(inputs[0]), 0, c.v(c.out(instruction)), 0);
      return true;
    case "narrowU16":
      lowerNarrowU16(c, c.v(c.out(instruction)), c.v(inputs[0]));
      return true;
    case "narrowI8":
      lowerNarrowI8(c, c.v(c.out(instruction)), c.v(inputs[0]));
      return true;
    default:
      return false;
  }
}

function lowerConstant(c: Context, instruction: Instruction): void {
  const out = c.v(c.out(instruction));
  const { constant } = instruction;
  if (constant === undefined) throw c.error("a constant without a number");
  if (constant === 0) {
    // Writing the low 128 bits clears the rest; VEX cannot name registers from 16 on.
    if (out < 16) c.asm.vex(V.vpxord, 128, { reg: out, vvvv: out, rm: out });
    else c.emit(V.vpxord, out, out, out);
    return;
  }
  const from = { rip: c.pool.positionOf(constant) };
  c.emit(typeof constant === "number" ? V.vpbroadcastd : V.vmovups, out, 0, from);
}

function copy(c: Context, to: Register, from: Register): void {
  if (c.v(to) !== c.v(from)) c.emit(V.vmovaps, c.v(to), 0, c.v(from));
}

function lowerSwap(c: Context, out: number, a: number, distance: number): void {
  const lanes = c.program.target.lanes;
  // Pairs within 128 bits: the order of four lanes as two bits each.
  if (distance === 1) c.emit(V.vshufps, out, a, a, 0b10_11_00_01);
  else if (distance === 2) c.emit(V.vshufps, out, a, a, 0b01_00_11_10);
  else if (distance === 4 && !c.wide) c.emit(VEX.vperm2f128, out, a, a, 1);
  else if (distance === 4) c.emit(EVEX.vshuff32x4, out, a, a, 0b10_11_00_01);
  else if (distance === 8 && c.wide) c.emit(EVEX.vshuff32x4, out, a, a, 0b01_00_11_10);
  else throw c.error(`lanes of ${lanes} cannot be swapped over ${distance}`);
}

function lowerSplat(c: Context, out: number, from: number): void {
  if (c.wide) c.emit(EVEX.vpbroadcastdGeneral, out, 0, from);
  else {
    c.asm.vex(VEX.vmovd, 128, { reg: out, rm: from });
    c.asm.vex(V.vpbroadcastd, 256, { reg: out, rm: out });
  }
}

/** The processor overwrites a factor or the summand; which, is chosen so that nothing need be copied if possible. */
function lowerFma(c: Context, instruction: Instruction, form213: VectorOpcode, form231: VectorOpcode): void {
  const out = c.out(instruction);
  const [a, b, sum] = instruction.inputs;
  const [d, x, y, s] = [out, a, b, sum].map((register) => c.v(register));
  if (d === s) c.emit(form231, d, x, y);
  else if (d === x) c.emit(form213, d, y, s);
  else if (d === y) c.emit(form213, d, x, s);
  else {
    copy(c, out, sum);
    c.emit(form231, d, x, y);
  }
}

/** Dot products only add to what they overwrite. */
function lowerDot(c: Context, instruction: Instruction, opcode: VectorOpcode): void {
  const out = c.out(instruction);
  const [a, b, sum] = instruction.inputs;
  if (c.v(out) !== c.v(sum) && (c.v(out) === c.v(a) || c.v(out) === c.v(b)))
    throw c.error(`'${instruction.op}' must add to a variable`);
  copy(c, out, sum);
  c.emit(opcode, c.v(out), c.v(a), c.v(b));
}

function lowerSelect(c: Context, instruction: Instruction): void {
  const out = c.out(instruction);
  const [mask, a, b] = instruction.inputs;
  if (!c.wide) {
    c.emit(VEX.vblendvps, c.v(out), c.v(b), c.v(a), c.v(mask) << 4);
    return;
  }
  // vpternlogd overwrites its first input: any of the three may be it, with a table of its own.
  const [d, m, x, y] = [out, mask, a, b].map((register) => c.v(register));
  if (d === x) c.emit(EVEX.vpternlogd, d, m, y, selectTable(1, 0, 2));
  else if (d === y) c.emit(EVEX.vpternlogd, d, m, x, selectTable(1, 2, 0));
  else {
    copy(c, out, mask);
    c.emit(EVEX.vpternlogd, d, x, y, selectTable(0, 1, 2));
  }
}

/** Truth table of mask ? a : b, where the three are the operands of those numbers. */
function selectTable(mask: number, a: number, b: number): number {
  let table = 0;
  for (let row = 0; row < 8; row++) {
    const bit = (operand: number): number => (row >> (2 - operand)) & 1;
    table |= (bit(mask) ? bit(a) : bit(b)) << row;
  }
  return table;
}

function lowerNarrowU16(c: Context, out: number, a: number): void {
  if (c.wide) c.emit(EVEX.vpmovdw, a, 0, out);
  else {
    // Within each 128 bits; then the two quarters that count are brought together.
    c.emit(VEX.vpackusdw, out, a, a);
    c.emit(VEX.vpermq, out, 0, out, 0b10_00);
  }
}

function lowerNarrowI8(c: Context, out: number, a: number): void {
  if (c.wide) c.emit(EVEX.vpmovsdb, a, 0, out);
  else {
    c.emit(VEX.vpackssdw, out, a, a);
    c.emit(VEX.vpacksswb, out, out, out);
    c.emit(VEX.vpermq, out, 0, out, 0b10_00);
    c.emit(VEX.vpshufd, out, 0, out, 0b10_00);
  }
}
