import { finiteF16BitsToF32 } from "./half.ts";
import type { MemoryOp } from "./instruction.ts";
import type { Builder } from "./ir.ts";
import { Int, type Var } from "./scalar.ts";
import { type Lanes, type LaneType, Vec, vector } from "./vector.ts";

/** Where a prefetched line of memory is wanted. */
export type PrefetchInto = "L1" | "L2" | "write";

/** Lane types that fill 32 bits each or are raw bytes: what can be loaded and stored as it is. */
type Whole = Exclude<LaneType, "mask">;

/**
 * A pointer that walks through memory. Offsets are in bytes; nothing needs to be aligned. `lanes`, where given, limits
 * an access to the first lanes: memory behind them is not touched, and what is loaded there is zero.
 */
export class Cursor {
  readonly #b: Builder;
  readonly pointer: Var;

  constructor(b: Builder, pointer: Var) {
    this.#b = b;
    this.pointer = pointer;
  }

  /** Another cursor, `bytes` further on. */
  copy(bytes: Int | number = 0): Cursor {
    return this.#b.cursor(this.pointer, bytes);
  }

  advance(bytes: Int | number): this {
    this.pointer.add(bytes);
    return this;
  }

  load(offset = 0, lanes: number | Lanes = this.#b.lanes): Vec<"f32"> {
    return this.#load("f32", offset, lanes);
  }

  loadI32(offset = 0, lanes: number | Lanes = this.#b.lanes): Vec<"i32"> {
    return this.#load("i32", offset, lanes);
  }

  /** A whole vector of bytes, or of any other lanes that are as wide together. */
  loadBytes<T extends Whole = "bytes">(offset = 0, type: T = "bytes" as T): Vec<T> {
    return this.#load(type, offset, this.#b.lanes);
  }

  loadF16(offset = 0, lanes: number = this.#b.lanes): Vec<"f32"> {
    const b = this.#b;
    if (b.target.name !== "wasm") return this.#loadNarrow("f32", "loadF16", "widenF16", offset, lanes, 2);
    return b.f16BitsToF32(this.loadU16(offset, lanes));
  }

  /** As `loadF16`, of numbers that are neither infinite nor NaN: faster where there are no instructions for it. */
  loadFiniteF16(offset = 0, lanes: number = this.#b.lanes): Vec<"f32"> {
    const b = this.#b;
    if (b.target.name !== "wasm") return this.loadF16(offset, lanes);
    return finiteF16BitsToF32(b, this.loadU16(offset, lanes));
  }

  loadBf16(offset = 0, lanes: number = this.#b.lanes): Vec<"f32"> {
    return this.#b.bf16BitsToF32(this.loadU16(offset, lanes));
  }

  /** 16-bit integers, zero-extended. */
  loadU16(offset = 0, lanes: number = this.#b.lanes): Vec<"i32"> {
    return this.#loadNarrow("i32", "loadU16", "widenU16", offset, lanes, 2);
  }

  loadI8(offset = 0, lanes: number = this.#b.lanes): Vec<"i32"> {
    return this.#loadNarrow("i32", "loadI8", "widenI8", offset, lanes, 1);
  }

  loadU8(offset = 0, lanes: number = this.#b.lanes): Vec<"i32"> {
    return this.#loadNarrow("i32", "loadU8", "widenU8", offset, lanes, 1);
  }

  /** One f32 in every lane. */
  broadcast(offset = 0): Vec<"f32"> {
    return this.#read("f32", "broadcast32", offset);
  }

  broadcastI32(offset = 0): Vec<"i32"> {
    return this.#read("i32", "broadcast32", offset);
  }

  /** Four bytes, or one pair of bf16, repeated. */
  broadcastBytes<T extends Whole = "bytes">(offset = 0, type: T = "bytes" as T): Vec<T> {
    return this.#read(type, "broadcast32", offset);
  }

  broadcastF16(offset = 0): Vec<"f32"> {
    const b = this.#b;
    const halves = this.#read("i32", "broadcast16", offset);
    if (b.target.name !== "wasm") return vector(b, "f32", "widenF16", [halves.register]);
    return b.f16BitsToF32(b.and(halves, b.i32(0xffff)));
  }

  broadcastBf16(offset = 0): Vec<"f32"> {
    return this.#b.bf16BitsToF32(this.#read("i32", "broadcast16", offset));
  }

  store(offset: number, value: Vec<Whole>, lanes: number | Lanes = this.#b.lanes): void {
    const b = this.#b;
    const [pointer, register] = [this.pointer.register, value.register];
    if (typeof lanes === "number") this.#storeBytes(offset, value, b.checkLanes(lanes) * 4);
    else if (b.target.name === "wasm")
      b.emit("storeCount", [pointer, lanes.count.register, register], { offset });
    else b.emit("storeMasked", [pointer, lanes.mask.register, register], { offset });
  }

  /** Rounded to nearest, ties to even. */
  storeF16(offset: number, value: Vec<"f32">, lanes: number = this.#b.lanes): void {
    const b = this.#b;
    const halves =
      b.target.name === "wasm"
        ? vector(b, "f16", "narrowU16", [b.f32ToF16Bits(value).register])
        : vector(b, "f16", "narrowF16", [value.register]);
    this.#storeBytes(offset, halves, b.checkLanes(lanes) * 2);
  }

  /** Rounded to nearest, ties to even. */
  storeBf16(offset: number, value: Vec<"f32">, lanes: number = this.#b.lanes): void {
    const b = this.#b;
    const halves = b.target.bf16
      ? vector(b, "bf16", "narrowBf16", [value.register])
      : vector(b, "bf16", "narrowU16", [b.f32ToBf16Bits(value).register]);
    this.#storeBytes(offset, halves, b.checkLanes(lanes) * 2);
  }

  /** Integers of 16 bits, which have no more. */
  storeU16(offset: number, value: Vec<"i32">, lanes: number = this.#b.lanes): void {
    const b = this.#b;
    const halves = vector(b, "i16", "narrowU16", [value.register]);
    this.#storeBytes(offset, halves, b.checkLanes(lanes) * 2);
  }

  /** Integers as signed bytes, limited to [-128, 127]. */
  storeI8(offset: number, value: Vec<"i32">, lanes: number = this.#b.lanes): void {
    const b = this.#b;
    this.#storeBytes(offset, vector(b, "bytes", "narrowI8", [value.register]), b.checkLanes(lanes));
  }

  /** Asks for the line of memory at `offset`, which need not exist. */
  prefetch(offset: number, into: PrefetchInto = "L1"): void {
    if (this.#b.target.name === "wasm") return;
    const imm = { L1: 1, L2: 2, write: 3 }[into];
    this.#b.emit("prefetch", [this.pointer.register], { offset, imm });
  }

  /** 32 bits, not negative. */
  readInt(offset = 0): Int {
    return this.#readInt("loadInt", offset);
  }

  /** 8 bytes. */
  readPointer(offset = 0): Int {
    return this.#readInt("loadPointer", offset);
  }

  /** 32 bits. */
  writeInt(offset: number, value: Int): void {
    this.#b.emit("storeInt", [this.pointer.register, value.register], { offset });
  }

  /** 32 bits that other threads write. */
  atomicRead(offset = 0): Int {
    return this.#readInt("atomicLoad", offset);
  }

  /** 32 bits that other threads read. */
  atomicWrite(offset: number, value: Int): void {
    this.#b.emit("atomicStore", [this.pointer.register, value.register], { offset });
  }

  /** Adds to 32 bits at once for all threads; gives what they were before. */
  atomicAdd(offset: number, value: Int): Int {
    const b = this.#b;
    const out = b.register("scalar");
    return new Int(b, b.emitTo(out, "atomicAdd", [this.pointer.register, value.register], { offset }));
  }

  #readInt(op: MemoryOp, offset: number): Int {
    const b = this.#b;
    return new Int(b, b.emitTo(b.register("scalar"), op, [this.pointer.register], { offset }));
  }

  #read<T extends LaneType>(type: T, op: MemoryOp, offset: number): Vec<T> {
    return vector(this.#b, type, op, [this.pointer.register], { offset });
  }

  #load<T extends LaneType>(type: T, offset: number, lanes: number | Lanes): Vec<T> {
    const b = this.#b;
    const pointer = this.pointer.register;
    if (typeof lanes === "number") return this.#loadBytes(type, offset, b.checkLanes(lanes) * 4);
    if (b.target.name === "wasm")
      return vector(b, type, "loadCount", [pointer, lanes.count.register], { offset });
    return vector(b, type, "loadMasked", [pointer, lanes.mask.register], { offset });
  }

  #loadNarrow<T extends LaneType>(
    type: T,
    whole: MemoryOp,
    widen: "widenF16" | "widenU16" | "widenI8" | "widenU8",
    offset: number,
    lanes: number,
    size: number,
  ): Vec<T> {
    const b = this.#b;
    if (b.checkLanes(lanes) === b.lanes) return this.#read(type, whole, offset);
    return vector(b, type, widen, [this.#loadBytes("bytes", offset, lanes * size).register]);
  }

  /** AVX2 has masks for whole lanes only, and needs a register for them; up to 16 bytes are put together instead. */
  #masked(bytes: number): boolean {
    return this.#b.target.name === "avx2" && bytes > 16 && bytes < 32;
  }

  #loadBytes<T extends LaneType>(type: T, offset: number, bytes: number): Vec<T> {
    const b = this.#b;
    const pointer = this.pointer.register;
    if (!this.#masked(bytes)) return vector(b, type, "load", [pointer], { offset, bytes });
    return vector(b, type, "loadMasked", [pointer, b.firstLanesMask(bytes / 4).register], { offset });
  }

  #storeBytes(offset: number, value: Vec<LaneType>, bytes: number): void {
    const b = this.#b;
    const [pointer, register] = [this.pointer.register, value.register];
    if (!this.#masked(bytes)) b.emit("store", [pointer, register], { offset, bytes });
    else b.emit("storeMasked", [pointer, b.firstLanesMask(bytes / 4).register, register], { offset });
  }
}

/** The vector that `value`'s bits are, read as other lanes. No instruction. */
export function reinterpret<T extends LaneType>(type: T, value: Vec<LaneType>): Vec<T> {
  return new Vec(value.emitter, type, value.register);
}
