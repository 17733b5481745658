import type { Instruction, ScalarOp } from "../instruction.ts";
import { ATOMIC, I, SCALAR } from "./opcodes.ts";
import type { FunctionWriter } from "./writer.ts";

/** Lowers operations on integers. False where `o` is not one. */
export function lowerScalar(w: FunctionWriter, o: Instruction): boolean {
  const [a, b] = o.inputs;
  const opcode = SCALAR[o.op as ScalarOp];
  if (opcode !== undefined) {
    w.get(...o.inputs);
    if (o.inputs.length === 1) w.number(o.imm);
    w.code.byte(opcode);
  } else if (o.op === "int") w.number(o.imm);
  else if (o.op === "move") w.get(a);
  else if (o.op === "min" || o.op === "max") {
    w.get(a, b, a, b);
    w.code.byte(o.op === "min" ? I.lt : I.gt).byte(I.select);
  } else return false;
  w.set(o);
  return true;
}

/** Lowers what moves integers from and to memory. False where `o` is not of that kind. */
export function lowerScalarMemory(w: FunctionWriter, o: Instruction): boolean {
  switch (o.op) {
    case "loadInt":
    case "loadPointer": {
      // Of a pointer's 8 bytes the first 4 are enough.
      const at = w.pointer(o);
      w.code.byte(I.load);
      w.memory(at, 2).set(o);
      return true;
    }
    case "storeInt": {
      const at = w.pointer(o);
      w.get(o.inputs[1]).code.byte(I.store);
      w.memory(at, 2);
      return true;
    }
    case "atomicLoad":
      atomic(w, o, ATOMIC.load).set(o);
      return true;
    case "atomicStore":
      atomic(w, o, ATOMIC.store);
      return true;
    case "atomicAdd":
      atomic(w, o, ATOMIC.add).set(o);
      return true;
    default:
      return false;
  }
}

function atomic(w: FunctionWriter, o: Instruction, opcode: number): FunctionWriter {
  const at = w.pointer(o);
  w.get(...o.inputs.slice(1))
    .code.byte(ATOMIC.prefix)
    .byte(opcode);
  return w.memory(at, 2);
}
