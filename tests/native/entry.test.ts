import { describe, expect, it } from "vitest";
import { program } from "../../src/codegen/ir.ts";
import { Assembler, GPR } from "../../src/codegen/x64/assembler.ts";
import { type Abi, entryCode } from "../../src/codegen/x64/entry.ts";
import { V } from "../../src/codegen/x64/opcodes.ts";
import { CodeMemory } from "../../src/devices/native/code.ts";
import type { NativeEngine } from "../../src/devices/native/engine.ts";
import { withEngine } from "./support.ts";

/** What each system's callers expect to find unchanged. */
const KEPT: Record<Abi, number[]> = {
  sysv: [GPR.rbx, GPR.rbp, GPR.r12, GPR.r13, GPR.r14, GPR.r15],
  win64: [GPR.rbx, GPR.rbp, GPR.r12, GPR.r13, GPR.r14, GPR.r15, GPR.rdi, GPR.rsi],
};
const VECTORS: Record<Abi, number[]> = { sysv: [], win64: [6, 7, 8, 9, 10, 11, 12, 13, 14, 15] };
const [IN, OUT] = [0, 512];
/** How this system's own functions are called. */
const HOST: Abi = process.platform === "win32" ? "win64" : "sysv";
const ARGUMENTS: Record<Abi, number[]> = {
  sysv: [GPR.rdi, GPR.rsi, GPR.rdx, GPR.rcx],
  win64: [GPR.rcx, GPR.rdx, GPR.r8, GPR.r9],
};

/**
 * `void caller(entry, program, buffer)`, called as on this system: fills every register that is to be kept with numbers from the buffer, calls the
 * entry function as a C function of that system would, and writes the registers to the buffer's second part.
 */
function callerCode(abi: Abi): Uint8Array {
  const asm = new Assembler();
  const own = KEPT[HOST];
  const ownVectors = VECTORS[HOST];
  const at = (offset: number) => ({ base: GPR.r11, offset });
  const onStack = (i: number) => ({ base: GPR.rsp, offset: 16 * i });
  const [entry, callee, buffer] = ARGUMENTS[HOST];
  for (const register of own) asm.push(register);
  asm.subImm(GPR.rsp, 16 * ownVectors.length);
  for (const [i, v] of ownVectors.entries()) asm.vex(V.vmovupsStore, 128, { reg: v, rm: onStack(i) });
  asm.push(buffer);
  asm.mov(GPR.rax, entry);
  asm.mov(GPR.r11, buffer);
  // program, then three arguments: the end of the buffer, 7, and the buffer.
  asm.mov(GPR.r10, callee);
  const [p, x, y, z] = ARGUMENTS[abi];
  asm.mov(p, GPR.r10);
  asm.lea(x, at(1024));
  asm.movImm(y, 7);
  asm.mov(z, GPR.r11);
  for (const [i, v] of VECTORS[abi].entries()) asm.vex(V.vmovups, 128, { reg: v, rm: at(IN + 128 + 16 * i) });
  for (const [i, register] of KEPT[abi].entries()) asm.load(register, at(IN + 8 * i));
  asm.subImm(GPR.rsp, 32);
  asm.call(GPR.rax);
  asm.addImm(GPR.rsp, 32);
  asm.pop(GPR.r11);
  for (const [i, v] of VECTORS[abi].entries())
    asm.vex(V.vmovupsStore, 128, { reg: v, rm: at(OUT + 128 + 16 * i) });
  for (const [i, register] of KEPT[abi].entries()) asm.store(at(OUT + 8 * i), register);
  for (const [i, v] of ownVectors.entries()) asm.vex(V.vmovups, 128, { reg: v, rm: onStack(i) });
  asm.addImm(GPR.rsp, 16 * ownVectors.length);
  for (const register of own.toReversed()) asm.pop(register);
  asm.ret();
  return asm.finish();
}

/** A program that overwrites every register it can, and writes its arguments to its first one. */
function greedy(engine: NativeEngine) {
  return program("greedy", engine.target, [], (b) => {
    const out = b.cursor(b.argumentBlock);
    out.writeInt(0, b.tile);
    out.writeInt(4, b.scratch().pointer.minus(b.argumentBlock));
    const integers = Array.from({ length: 11 }, (_, i) => b.int(i + 100));
    let sum = b.tile;
    for (const n of integers) sum = sum.plus(n);
    out.writeInt(8, sum);
    const vectors = Array.from({ length: engine.target.registers }, (_, i) => b.accI32(1000 + i));
    for (const v of vectors) out.store(64, v);
  });
}

withEngine((engine) => {
  const { koffi } = engine.system;

  // Also for the other system: nothing but registers and the stack is different.
  describe.each(HOST === "win64" ? (["win64"] as const) : (["sysv", "win64"] as const))("%s", (abi) => {
    it("keeps the registers that callers expect to be kept", () => {
      const code = new CodeMemory(engine.system);
      const [entry, caller, callee] = [
        code.place(entryCode(abi)),
        code.place(callerCode(abi)),
        engine.compile(greedy(engine)),
      ];
      const buffer = new Uint8Array(2048);
      const kept = 128 + 16 * VECTORS[abi].length;
      for (let i = 0; i < kept; i++) buffer[IN + i] = (i * 7 + 1) & 255;
      const call = koffi.decode(BigInt(caller), koffi.proto("void", ["uintptr_t", "uintptr_t", "void *"]));
      call(entry, callee, buffer);
      const words = 8 * KEPT[abi].length;
      expect([...buffer.subarray(OUT, OUT + words)]).toEqual([...buffer.subarray(IN, IN + words)]);
      expect([...buffer.subarray(OUT + 128, OUT + kept)]).toEqual([...buffer.subarray(IN + 128, IN + kept)]);
      // The program saw its arguments.
      expect(new DataView(buffer.buffer).getInt32(1024, true)).toBe(7);
      expect(new DataView(buffer.buffer).getInt32(1028, true)).toBe(-1024);
      expect(new DataView(buffer.buffer).getInt32(1032, true)).toBe(7 + 11 * 105);
      code.free();
    });
  });

  it("takes denormal numbers as zero inside, and only there", () => {
    const region = engine.allocate(4096);
    const x = region.array(Float32Array, 0, 16);
    x.fill(1e-30);
    const square = engine.callable(
      program("square", engine.target, [], (b) => {
        const p = b.cursor(b.argumentBlock);
        p.store(0, b.mul(p.load(), b.f32(1e-12)));
      }),
    );
    square(region.address, 0, 0);
    expect(x[0]).toBe(0);
    const small = Math.fround(1e-30);
    expect(Math.fround(small * Math.fround(1e-12))).toBeGreaterThan(0);
    expect(Number.MIN_VALUE * 1).toBe(Number.MIN_VALUE);
    region.free();
  });
});
