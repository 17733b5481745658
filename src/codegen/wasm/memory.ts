import type { Instruction } from "../instruction.ts";
import { I, SIMD } from "./opcodes.ts";
import type { FunctionWriter } from "./writer.ts";

/** Lowers what moves vectors from and to memory. False where `o` is not of that kind. */
export function lowerMemory(w: FunctionWriter, o: Instruction): boolean {
  switch (o.op) {
    case "load":
      if (o.bytes === 16) read(w, o, SIMD.load);
      else loadPieces(w, o);
      break;
    case "broadcast32":
      read(w, o, SIMD.load32Splat);
      break;
    case "broadcast16":
      read(w, o, SIMD.load16Splat);
      break;
    case "loadU16":
      read(w, o, SIMD.load16x4U);
      break;
    case "loadI8":
      read(w, o, SIMD.load32Zero).simd(SIMD.extendLowI8ToI16).simd(SIMD.extendLowI16ToI32);
      break;
    case "loadU8":
      read(w, o, SIMD.load32Zero).simd(SIMD.extendLowU8ToU16).simd(SIMD.extendLowU16ToU32);
      break;
    case "store":
      if (o.bytes === 16) write(w, o, SIMD.store);
      else storePieces(w, o);
      return true;
    case "loadCount":
      loadCount(w, o);
      return true;
    case "storeCount":
      storeCount(w, o);
      return true;
    case "prefetch":
      return true;
    default:
      return false;
  }
  w.set(o);
  return true;
}

function read(w: FunctionWriter, o: Instruction, opcode: number, more = 0): FunctionWriter {
  const at = w.pointer(o, more);
  return w.simd(opcode).memory(at);
}

/** Stores the last input. */
function write(w: FunctionWriter, o: Instruction, opcode: number, more = 0): FunctionWriter {
  const at = w.pointer(o, more);
  return w
    .get(o.inputs[o.inputs.length - 1])
    .simd(opcode)
    .memory(at);
}

/** The first bytes as pieces of 8, 4, 2 and 1: the first one clears the rest. Leaves the vector on the stack. */
function loadPieces(w: FunctionWriter, o: Instruction): void {
  let at = 0;
  for (const size of [8, 4, 2, 1] as const) {
    if ((o.bytes & size) === 0) continue;
    if (at === 0 && size === 8) read(w, o, SIMD.load64Zero);
    else if (at === 0 && size === 4) read(w, o, SIMD.load32Zero);
    else {
      if (at === 0) w.constant(0);
      w.set(o);
      const from = w.pointer(o, at);
      w.get(o.out!).simd(SIMD.loadLane[size]).memory(from);
      w.code.byte(at / size);
    }
    at += size;
  }
}

function storePieces(w: FunctionWriter, o: Instruction): void {
  let at = 0;
  for (const size of [8, 4, 2, 1] as const) {
    if ((o.bytes & size) === 0) continue;
    storeLane(w, o, size, at);
    at += size;
  }
}

/** Stores `size` bytes from where they lie in the vector, to the same place in memory. */
function storeLane(w: FunctionWriter, o: Instruction, size: 1 | 2 | 4 | 8, at: number): void {
  write(w, o, SIMD.storeLane[size], at);
  w.code.byte(at / size);
}

function loadCount(w: FunctionWriter, o: Instruction): void {
  w.constant(0);
  w.set(o);
  byCount(w, o, {
    4: () => {
      read(w, o, SIMD.load);
      w.set(o);
    },
    2: () => {
      read(w, o, SIMD.load64Zero);
      w.set(o);
    },
    3: () => {
      const at = w.pointer(o, 8);
      w.get(o.out!).simd(SIMD.loadLane[4]).memory(at);
      w.code.byte(2);
      w.set(o);
    },
    1: () => {
      read(w, o, SIMD.load32Zero);
      w.set(o);
    },
  });
}

function storeCount(w: FunctionWriter, o: Instruction): void {
  byCount(w, o, {
    4: () => write(w, o, SIMD.store),
    2: () => storeLane(w, o, 8, 0),
    3: () => storeLane(w, o, 4, 8),
    1: () => storeLane(w, o, 4, 0),
  });
}

/** Branches on the count, which is `inputs[1]`. For three lanes, `2` is done and then `3`. */
function byCount(w: FunctionWriter, o: Instruction, body: Record<1 | 2 | 3 | 4, () => void>): void {
  const count = o.inputs[1];
  const bit = (n: number, then: () => void, otherwise?: () => void): void => {
    w.get(count).number(n);
    w.code.byte(I.and);
    w.branch(then, otherwise);
  };
  w.get(count).number(4);
  w.code.byte(I.ge);
  w.branch(body[4], () => {
    w.get(count).number(0);
    w.code.byte(I.gt);
    w.branch(() =>
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
