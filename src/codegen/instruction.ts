import { LlavaError } from "../base/errors.ts";
import type { Target } from "./target.ts";

/** A vector program is wrong: a mistake in a kernel of this library, never of its user. */
export class ProgramError extends LlavaError {}

/** Kinds of virtual registers: vectors, integers and pointers, AMX tiles. */
export type RegisterKind = "vector" | "scalar" | "tile";

/** The innermost loop or branch that something was written in. */
export interface Block {
  open: boolean;
}

/** What a vector constant holds: the same 32 bits in every lane, or one number for each lane. */
export type Constant = number | readonly number[];

/** A virtual register. */
export interface Register {
  readonly kind: RegisterKind;
  /** Its number in the program. */
  readonly index: number;
  /** Where it is known: it must not be used after this block has ended. */
  readonly block: Block;
  /** A number that never changes, and so has no instruction of its own until `placeConstants` gives it one. */
  readonly constant?: Constant;
}

/** Comparisons of integers, signed. */
export type Condition = "==" | "!=" | "<" | ">=" | ">" | "<=";

/** Vector operations with two vector inputs `a`, `b`. */
export type BinaryOp =
  | "addF32"
  | "subF32"
  | "mulF32"
  | "divF32"
  /** a > b ? a : b, so that a NaN in `b` stays. */
  | "maxF32"
  /** a < b ? a : b, so that a NaN in `b` stays. */
  | "minF32"
  | "lessF32"
  | "equalF32"
  | "addI32"
  | "subI32"
  | "mulI32"
  | "greaterI32"
  | "equalI32"
  | "and"
  | "or"
  | "xor"
  /** a & ~b */
  | "andNot"
  | "addI16"
  | "subI16"
  | "addI8"
  | "subI8"
  /** Pairs of i16 products, added: i32 lanes. */
  | "dotI16"
  /** Pairs of products of u8 in `a` and s8 in `b`, added with saturation: i16 lanes. x86 only. */
  | "dotU8I8"
  /** As `dotU8I8`, where `a` is below 128; the sum must not exceed 16 bits. Relaxed WebAssembly only. */
  | "dotU7I8"
  /** s8 of `a` with the sign of `b`, zero where `b` is zero. AVX2 only. */
  | "signI8"
  /** f32 of `a` then of `b` as bf16. AVX-512 BF16 only. */
  | "packBf16"
  /** Halves of `b` picked by the numbers in `a`. AVX-512 only. */
  | "permuteI16"
  /** Lanes of `b` picked by the numbers in `a`. x86 only. */
  | "permuteI32"
  /** AVX-512 FP16 only. */
  | "mulF16";

/** Vector operations with one vector input. */
export type UnaryOp =
  | "sqrtF32"
  /** To the nearest integer, halves to the even one. */
  | "roundF32"
  | "i32ToF32"
  /** To the nearest integer, halves to the even one. */
  | "f32ToI32"
  | "absI8"
  /** The first half, quarter of the register, widened to all lanes. */
  | "widenF16"
  | "widenU16"
  | "widenI8"
  | "widenU8"
  /** All lanes, narrowed to the first half, quarter of the register; what is behind it is undefined. */
  | "narrowF16"
  | "narrowBf16"
  /** Keeps the low 16 bits; the upper ones must be zero. */
  | "narrowU16"
  /** With saturation. */
  | "narrowI8"
  /** i16 lanes to f16 lanes. AVX-512 FP16 only. */
  | "i16ToF16"
  | "copy";

/** Vector operations with one vector input and a number (`imm`). */
export type ShiftOp =
  | "shlI32"
  | "shrI32"
  | "sarI32"
  | "shlI16"
  | "shrI16"
  | "sarI16"
  /** Exchanges the lanes whose numbers differ by `imm`, a power of two. */
  | "swap";

/** Vector operations with three vector inputs `a`, `b`, `c`. */
export type TernaryOp =
  /** a * b + c */
  | "fma"
  /** c - a * b */
  | "fnma"
  /** c + four products of u8 in `a` and s8 in `b`: i32 lanes. In WebAssembly `a` is below 128. */
  | "dot4"
  /** c + two products of bf16 in `a` and `b`: f32 lanes. */
  | "dotBf16"
  /** a ? b : c, where lanes of the mask `a` are all ones or all zeros. */
  | "select";

/** Operations that read or write memory at the pointer `inputs[0]` + `offset`. */
export type MemoryOp =
  /** The first `bytes` bytes; the rest is zero. */
  | "load"
  /** Lanes where the mask `inputs[1]` is set; the others are zero and their memory is not touched. x86 only. */
  | "loadMasked"
  /** The first `inputs[1]` lanes (at most all); the others are zero and not touched. WebAssembly only. */
  | "loadCount"
  /** 32 or 16 bits, repeated. */
  | "broadcast32"
  | "broadcast16"
  | "loadF16"
  | "loadU16"
  | "loadI8"
  | "loadU8"
  /** The first `bytes` bytes of the vector `inputs[1]`. */
  | "store"
  /** [pointer, mask, vector] x86 only. */
  | "storeMasked"
  /** [pointer, count, vector] WebAssembly only. */
  | "storeCount"
  /** `imm`: 1, 2 for that level of cache, 3 to write. */
  | "prefetch"
  | "loadInt"
  | "loadPointer"
  | "storeInt"
  | "atomicLoad"
  | "atomicStore"
  /** Adds `inputs[1]` to 32 bits of memory at once for all threads, and gives what they were before. */
  | "atomicAdd";

/** Integers as wide as a pointer. */
export type ScalarOp =
  | "int"
  | "move"
  | "add"
  | "sub"
  | "mul"
  | "addImm"
  | "mulImm"
  | "shlImm"
  | "shrImm"
  | "andImm"
  | "min"
  | "max"
  /** Time, in counts of a clock that runs the same for all threads: 32 bits, of a fixed rate, from any start. x86 only. */
  | "clock"
  /** Of 32 bits, unsigned. */
  | "div"
  | "rem";

/** Structure. `inputs` of a condition: one or two integers; with one, the other is `imm`. */
export type ControlOp =
  | "loop"
  /** Counts `out` = `inputs[0]` down, and goes back to `loop` until it is zero. */
  | "endLoop"
  | "forever"
  | "endForever"
  | "break"
  | "if"
  | "else"
  | "endIf"
  /** Calls another program: [program, arguments, tile, scratch]. No vector may be in use across it. */
  | "call"
  | "pause"
  /** Lets other threads run: [the system's function for it (x86)]. */
  | "yield";

/** AMX. `imm` of `tileDot`: a `TileDot`. */
export type TileOp = "tileConfig" | "tileRelease" | "tileZero" | "tileLoad" | "tileStore" | "tileDot";

/** Kinds of products of `tileDot`: bf16 pairs into f32, or bytes (s signed, u unsigned; first, second) into i32. */
export const TILE_DOTS = ["bf16", "ss", "su", "us", "uu"] as const;
export type TileDot = (typeof TILE_DOTS)[number];

export type Op =
  | BinaryOp
  | UnaryOp
  | ShiftOp
  | TernaryOp
  | MemoryOp
  | ScalarOp
  | ControlOp
  | TileOp
  /** Every lane becomes the integer `inputs[0]`. */
  | "splat"
  /** `out` = `constant`. */
  | "constant";

/** One operation: nearly always one instruction of the machine. */
export interface Instruction {
  readonly op: Op;
  readonly out: Register | undefined;
  readonly inputs: readonly Register[];
  readonly imm: number;
  readonly offset: number;
  readonly bytes: number;
  readonly condition: Condition | undefined;
  readonly constant: Constant | undefined;
}

/** A finished vector program: `fn(arguments, tile, scratch)`. */
export interface Program {
  readonly name: string;
  readonly target: Target;
  readonly instructions: readonly Instruction[];
  /** All virtual registers; `registers[i].index` is `i`. The first three are the arguments. */
  readonly registers: readonly Register[];
  /** Names of the 8-byte slots of the argument block, in order. */
  readonly slots: readonly string[];
}

/** The first registers of every program. */
export const PARAMETERS = 3;
