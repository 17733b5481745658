import type { BinaryOp, ScalarOp, ShiftOp, UnaryOp } from "../instruction.ts";

/** Plain instructions. */
export const I = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  callIndirect: 0x11,
  drop: 0x1a,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  load: 0x28,
  store: 0x36,
  i32Const: 0x41,
  i64Const: 0x42,
  eqz: 0x45,
  eq: 0x46,
  ne: 0x47,
  lt: 0x48,
  gt: 0x4a,
  le: 0x4c,
  ge: 0x4e,
  add: 0x6a,
  sub: 0x6b,
  mul: 0x6c,
  divU: 0x6e,
  remU: 0x70,
  and: 0x71,
  shl: 0x74,
  shrU: 0x76,
} as const;

export const TYPE = { i32: 0x7f, v128: 0x7b, nothing: 0x40 } as const;

/** Instructions behind the prefix of threads. */
export const ATOMIC = { prefix: 0xfe, wait32: 0x01, load: 0x10, store: 0x17, add: 0x1e } as const;

/** Instructions behind the prefix of vectors. */
export const SIMD = {
  prefix: 0xfd,
  load: 0,
  load16x4U: 0x04,
  load16Splat: 0x08,
  load32Splat: 0x09,
  store: 0x0b,
  const: 0x0c,
  shuffle: 0x0d,
  splatI32: 0x11,
  loadLane: { 1: 0x54, 2: 0x55, 4: 0x56, 8: 0x57 },
  storeLane: { 1: 0x58, 2: 0x59, 4: 0x5a, 8: 0x5b },
  load32Zero: 0x5c,
  load64Zero: 0x5d,
  nearest: 0x6a,
  bitselect: 0x52,
  narrowI16ToI8: 0x65,
  narrowI32ToI16: 0x85,
  narrowI32ToU16: 0x86,
  extendLowI8ToI16: 0x87,
  extendLowU8ToU16: 0x89,
  extendLowI16ToI32: 0xa7,
  extendLowU16ToU32: 0xa9,
  truncateToI32: 0xf8,
  pseudoMin: 0xea,
  pseudoMax: 0xeb,
  relaxedMadd: 0x105,
  relaxedNmadd: 0x106,
  relaxedDot: 0x112,
  relaxedDotAdd: 0x113,
} as const;

/** Operations that are one vector instruction with the same inputs in the same order. */
export const DIRECT: Partial<Record<BinaryOp | UnaryOp, number>> = {
  addF32: 0xe4,
  subF32: 0xe5,
  mulF32: 0xe6,
  divF32: 0xe7,
  lessF32: 0x43,
  equalF32: 0x41,
  addI32: 0xae,
  subI32: 0xb1,
  mulI32: 0xb5,
  greaterI32: 0x3b,
  equalI32: 0x37,
  and: 0x4e,
  andNot: 0x4f,
  or: 0x50,
  xor: 0x51,
  addI16: 0x8e,
  subI16: 0x91,
  addI8: 0x6e,
  subI8: 0x71,
  absI8: 0x60,
  dotI16: 0xba,
  sqrtF32: 0xe3,
  i32ToF32: 0xfa,
};

export const SHIFT: Partial<Record<ShiftOp, number>> = {
  shlI32: 0xab,
  sarI32: 0xac,
  shrI32: 0xad,
  shlI16: 0x8b,
  sarI16: 0x8c,
  shrI16: 0x8d,
};

/** Operations on integers that are one instruction; those with a number take it as a second input. */
export const SCALAR: Partial<Record<ScalarOp, number>> = {
  add: I.add,
  sub: I.sub,
  mul: I.mul,
  div: I.divU,
  rem: I.remU,
  addImm: I.add,
  mulImm: I.mul,
  shlImm: I.shl,
  shrImm: I.shrU,
  andImm: I.and,
};
