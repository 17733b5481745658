import type { BinaryOp, Instruction, ShiftOp } from "../instruction.ts";
import { DIRECT, SHIFT, SIMD } from "./opcodes.ts";
import type { FunctionWriter } from "./writer.ts";

/** Lowers the operations between vectors. False where `o` is not one of them. */
export function lowerVector(w: FunctionWriter, o: Instruction): boolean {
  return lowerDirect(w, o) || lowerSpecial(w, o);
}

function lowerDirect(w: FunctionWriter, o: Instruction): boolean {
  const direct = DIRECT[o.op as BinaryOp];
  const shift = SHIFT[o.op as ShiftOp];
  if (direct !== undefined) w.get(...o.inputs).simd(direct);
  else if (shift !== undefined)
    w.get(...o.inputs)
      .number(o.imm)
      .simd(shift);
  else return false;
  w.set(o);
  return true;
}

function lowerSpecial(w: FunctionWriter, o: Instruction): boolean {
  const [a, b, c] = o.inputs;
  switch (o.op) {
    case "constant":
      w.constant(o.constant!);
      break;
    case "copy":
      w.get(a);
      break;
    case "maxF32":
      // pmax(x, y) = x < y ? y : x
      w.get(b, a).simd(SIMD.pseudoMax);
      break;
    case "minF32":
      w.get(b, a).simd(SIMD.pseudoMin);
      break;
    case "roundF32":
      w.get(a).simd(SIMD.nearest);
      break;
    case "f32ToI32":
      w.get(a).simd(SIMD.nearest).simd(SIMD.truncateToI32);
      break;
    case "fma":
      w.get(a, b, c).simd(SIMD.relaxedMadd);
      break;
    case "fnma":
      w.get(a, b, c).simd(SIMD.relaxedNmadd);
      break;
    case "dotU7I8":
      // The instruction has the signed numbers first.
      w.get(b, a).simd(SIMD.relaxedDot);
      break;
    case "dot4":
      w.get(b, a, c).simd(SIMD.relaxedDotAdd);
      break;
    case "select":
      w.get(b, c, a).simd(SIMD.bitselect);
      break;
    case "splat":
      w.get(a).simd(SIMD.splatI32);
      break;
    case "swap":
      w.get(a, a).simd(SIMD.shuffle);
      for (let i = 0; i < 16; i++) w.code.byte((((i >> 2) ^ o.imm) << 2) | (i & 3));
      break;
    case "widenU16":
      w.get(a).simd(SIMD.extendLowU16ToU32);
      break;
    case "widenI8":
      w.get(a).simd(SIMD.extendLowI8ToI16).simd(SIMD.extendLowI16ToI32);
      break;
    case "widenU8":
      w.get(a).simd(SIMD.extendLowU8ToU16).simd(SIMD.extendLowU16ToU32);
      break;
    case "narrowU16":
      w.get(a, a).simd(SIMD.narrowI32ToU16);
      break;
    case "narrowI8":
      w.get(a, a).simd(SIMD.narrowI32ToI16);
      w.set(o);
      w.get(o.out!, o.out!).simd(SIMD.narrowI16ToI8);
      break;
    default:
      return false;
  }
  w.set(o);
  return true;
}
