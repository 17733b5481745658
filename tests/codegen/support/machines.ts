import { setFlagsFromString } from "node:v8";
import { describe, it } from "vitest";
import type { Program } from "../../../src/codegen/instruction.ts";
import { type Builder, program } from "../../../src/codegen/ir.ts";
import type { Argument } from "../../../src/codegen/scalar.ts";
import { avx2, avx512, type Target, wasm } from "../../../src/codegen/target.ts";
import { exportName, PAGE_BYTES, wasmModule } from "../../../src/codegen/wasm/module.ts";
import { type NativeEngine, openEngine } from "../../../src/devices/native/engine.ts";
import type { Region } from "../../../src/devices/native/memory.ts";
import { interpret } from "./interpret.ts";

/** Something that runs vector programs: real or interpreted. */
export interface Machine {
  readonly name: string;
  readonly target: Target;
  /** Runs a program on `image`, in place. Pointers in it, at the given offsets, are offsets into it. */
  run(program: Program, image: Uint8Array, call: Call): void;
}

/** Offsets of the argument block and of scratch memory, and where in the image pointers are. */
export interface Call {
  block: number;
  tile: number;
  scratch: number;
  pointers: readonly number[];
}

/** A machine, or why it is not there. */
export type Candidate = Machine | { name: string; device: string; reason: string };

const IMAGE_BYTES = 8 * 2 ** 20;

function interpreted(name: string, target: Target): Machine {
  return {
    name: `interpreter, ${name}`,
    target,
    run(program, image, { block, tile, scratch }) {
      const memory = new ArrayBuffer(image.length);
      new Uint8Array(memory).set(image);
      interpret(program, memory, [block, tile, scratch]);
      image.set(new Uint8Array(memory));
    },
  };
}

let opened: NativeEngine | { reason: string } | undefined;
let region: Region | undefined;

/** The engine of this machine with everything that it has. */
export function engine(): NativeEngine | { reason: string } {
  opened ??= openEngine("");
  return opened;
}

function native(name: string, target: Target, has: (e: NativeEngine) => boolean): Candidate {
  const e = engine();
  if ("reason" in e) return { name: `native ${name}`, device: "native", reason: e.reason };
  if (!has(e)) return { name: `native ${name}`, device: name, reason: `${e.processor.name} has none` };
  const compiled = once((program) => e.callable(program));
  return {
    name: `native ${name}`,
    target,
    run(program, image, { block, tile, scratch, pointers }) {
      region ??= e.allocate(IMAGE_BYTES);
      const base = region.address;
      rebase(image, pointers, base);
      region.write(0, image);
      compiled(program)(base + block, tile, base + scratch);
      image.set(region.read(0, image.length));
      rebase(image, pointers, -base);
    },
  };
}

/** Remembers what was made of a program, as one is often run for many tiles. */
function once<T>(make: (program: Program) => T): (program: Program) => T {
  const made = new WeakMap<Program, T>();
  return (program) => {
    const known = made.get(program) ?? make(program);
    made.set(program, known);
    return known;
  };
}

function rebase(image: Uint8Array, pointers: readonly number[], base: number): void {
  const view = new DataView(image.buffer, image.byteOffset);
  for (const at of pointers) view.setBigInt64(at, view.getBigInt64(at, true) + BigInt(base), true);
}

/** Whether the engine knows relaxed SIMD. Node 20 has it behind a flag, which may still be set now. */
function hasRelaxed(): boolean {
  const probe = program("probe", wasm({ relaxed: true }), [], (b) => {
    const p = b.scratch();
    p.store(0, b.fma(p.load(), p.load(), p.load()));
  });
  const module = wasmModule([probe], { memory: { initial: 1, maximum: 1, shared: true }, tableBase: 0 });
  if (WebAssembly.validate(module as BufferSource)) return true;
  setFlagsFromString("--experimental-wasm-relaxed-simd");
  return WebAssembly.validate(module as BufferSource);
}

function webassembly(name: string, target: Target): Candidate {
  if (target.fma && !hasRelaxed())
    return { name: `wasm ${name}`, device: "wasm", reason: "this engine has no relaxed SIMD" };
  const pages = (2 * IMAGE_BYTES) / PAGE_BYTES;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const base = 4096;
  const compiled = once((program) => {
    const links = { memory: { initial: pages, maximum: pages, shared: true }, tableBase: 0 };
    const module = new WebAssembly.Module(wasmModule([program], links) as BufferSource);
    const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
    const instance = new WebAssembly.Instance(module, { env: { memory, table } });
    return instance.exports[exportName(0)] as (a: number, b: number, c: number) => void;
  });
  return {
    name: `wasm ${name}`,
    target,
    run(program, image, { block, tile, scratch, pointers }) {
      const bytes = new Uint8Array(memory.buffer, base, image.length);
      rebase(image, pointers, base);
      bytes.set(image);
      compiled(program)(base + block, tile, base + scratch);
      image.set(bytes);
      rebase(image, pointers, -base);
    },
  };
}

const FULL = { vnni: true, bf16: true, fp16: true, amx: true };

/** Every way to run a program that there could be here. */
export function candidates(): Candidate[] {
  return [
    interpreted("avx512 with all", avx512(FULL)),
    interpreted("avx512 plain", avx512()),
    interpreted("avx2", avx2()),
    interpreted("avx2 with vnni", avx2({ vnni: true })),
    interpreted("wasm fixed", wasm()),
    interpreted("wasm relaxed", wasm({ relaxed: true })),
    native("avx512 vnni bf16", avx512({ vnni: true, bf16: true }), ({ processor: p }) => p.vnni && p.bf16),
    native("avx512 vnni", avx512({ vnni: true }), ({ processor: p }) => p.vnni),
    native("avx512", avx512(), ({ processor: p }) => p.avx512),
    native("avx2", avx2(), ({ processor: p }) => p.avx2),
    native("avx2 vnni", avx2({ vnni: true }), ({ processor: p }) => p.avxVnni),
    webassembly("fixed", wasm()),
    webassembly("relaxed", wasm({ relaxed: true, sums16: false })),
    webassembly("relaxed, 16-bit sums", wasm({ relaxed: true })),
  ];
}

/** What must not be missing: REQUIRE_DEVICES=native,wasm, or a set of instructions such as avx512 or amx */
export const required = new Set((process.env.REQUIRE_DEVICES ?? "").split(",").filter(Boolean));

/** A suite for each machine. One that is not there is skipped with its reason, or fails where it is required. */
export function describeMachines(suite: (machine: Machine) => void): void {
  for (const candidate of candidates()) {
    if ("run" in candidate) describe(candidate.name, () => suite(candidate));
    else missing(candidate.name, candidate.device, candidate.reason);
  }
}

/** A test that is skipped for a reason, or fails where its device is required. */
export function missing(name: string, device: string, reason: string): void {
  if (!required.has(device)) it.skip(`${name}: ${reason}`, () => {});
  else
    it(name, () => {
      throw new Error(`REQUIRE_DEVICES has ${device}, but: ${reason}`);
    });
}

type Buffer = Float32Array | Int32Array | Int16Array | Uint16Array | Uint8Array | Int8Array;

/** What a program is given: buffers, which it may change, and counts. */
export type Arguments<S extends string> = Readonly<Record<S, Buffer | number>>;

const GUARD = 64;
const GUARD_BYTE = 0xa5;
const SCRATCH_BYTES = 2 ** 16;

/**
 * Builds a program and runs it once. Buffers lie at odd places, and what is around them is checked to be untouched.
 *
 * @param more tile (0) and bytes of scratch memory
 */
export function runOn<const S extends string>(
  machine: Machine,
  args: Arguments<S>,
  build: (b: Builder, slots: Readonly<Record<S, Argument>>) => void,
  more: { tile?: number; scratch?: number } = {},
): void {
  const names = Object.keys(args) as S[];
  runProgram(machine, program("test", machine.target, names, build), args, more);
}

/** Runs a program once, on buffers whose surroundings are checked. */
export function runProgram<const S extends string>(
  machine: Machine,
  built: Program,
  args: Arguments<S>,
  more: { tile?: number; scratch?: number } = {},
): void {
  const names = Object.keys(args) as S[];
  const places: { buffer: Buffer; at: number }[] = [];
  const values: number[] = [];
  const pointers: number[] = [];
  let at = Math.ceil((8 * names.length) / 64) * 64;
  const scratch = at;
  at += more.scratch ?? SCRATCH_BYTES;
  for (const [i, name] of names.entries()) {
    const arg = args[name];
    if (typeof arg === "number") {
      values.push(arg);
      continue;
    }
    // Aligned to the element only, and differently each time.
    at = Math.ceil((at + GUARD) / 64) * 64 + (2 * i + 1) * arg.BYTES_PER_ELEMENT;
    places.push({ buffer: arg, at });
    pointers.push(8 * i);
    values.push(at);
    at += arg.byteLength + GUARD;
  }
  const image = new Uint8Array(Math.ceil(at / 64) * 64 + GUARD).fill(GUARD_BYTE);
  const view = new DataView(image.buffer);
  for (const [i, value] of values.entries()) view.setBigInt64(8 * i, BigInt(value), true);
  for (const { buffer, at } of places)
    image.set(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength), at);
  machine.run(built, image, { block: 0, tile: more.tile ?? 0, scratch, pointers });
  for (const { buffer, at } of places) {
    const bytes = image.subarray(at, at + buffer.byteLength);
    new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength).set(bytes);
    const around = [
      image.subarray(at - GUARD, at),
      image.subarray(at + buffer.byteLength, at + buffer.byteLength + GUARD),
    ];
    for (const guard of around)
      if (guard.some((byte) => byte !== GUARD_BYTE)) throw new Error("memory around a buffer was changed");
  }
}

/** Random numbers that are the same each time. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** 32 random bits. */
  bits(): number {
    let s = this.#state;
    s = (s ^ (s << 13)) >>> 0;
    s = (s ^ (s >>> 17)) >>> 0;
    s = (s ^ (s << 5)) >>> 0;
    this.#state = s;
    return s;
  }

  /** An integer in [low, high]. */
  int(low: number, high: number): number {
    return low + (this.bits() % (high - low + 1));
  }

  /** About normal, of magnitude `scale`. */
  float(scale = 1): number {
    return Math.fround(
      ((this.bits() / 2 ** 32 + this.bits() / 2 ** 32 + this.bits() / 2 ** 32) * 2 - 3) * scale,
    );
  }

  floats(n: number, scale = 1): Float32Array {
    return Float32Array.from({ length: n }, () => this.float(scale));
  }
}
