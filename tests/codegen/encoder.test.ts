import { describe, expect, it } from "vitest";
import {
  Assembler,
  CC,
  GPR,
  Label,
  type Memory,
  type VectorLength,
} from "../../src/codegen/x64/assembler.ts";
import { EVEX, V, VEX, type VectorOpcode } from "../../src/codegen/x64/opcodes.ts";
import { decodeOne, disassemble, hex } from "./support/iced.ts";

/** Where an instruction's operands go: r = ModRM.reg, v = vvvv, m = ModRM.rm (register or memory), i = immediate. */
type Form = "rvm" | "rm" | "mr" | "vmi" | "rvmi" | "rmi" | "mri" | "rvms" | "mvr" | "m" | "r" | "rmv";

const IMMEDIATE: Partial<Record<string, Form>> = {
  vcmpps: "rvmi",
  vshufps: "rvmi",
  vrndscaleps: "rmi",
  vcvtps2ph: "mri",
  vpternlogd: "rvmi",
  vshuff32x4: "rvmi",
  vperm2f128: "rvmi",
  vpermq: "rmi",
  vpshufd: "rmi",
  vblendvps: "rvms",
  vpinsrb: "rvmi",
  vpinsrw: "rvmi",
  vpinsrd: "rvmi",
  vpextrb: "mri",
  vpextrw: "mri",
  vpextrd: "mri",
  vmaskmovpsStore: "mvr",
  vpmovdw: "mr",
  vpmovsdb: "mr",
  ldtilecfg: "m",
  tilezero: "r",
};
const TWO =
  /^v(sqrtps|cvt(?!ne2)|pabsb|movaps|movups$|movdqu8$|broadcast|pbroadcast|pmovz|pmovs|pmovm2d|pmovd2m|movd$|movq$)|^kmov|^tileload/;

function formOf(name: string, op: VectorOpcode): Form {
  const known = IMMEDIATE[name];
  if (known) return known;
  if (op.digit !== undefined) return "vmi";
  if (name.endsWith("Store") || name === "tilestored") return "mr";
  if (name.startsWith("tdp")) return "rmv";
  return TWO.test(name) ? "rm" : "rvm";
}

/** What iced calls it: VEX has names of its own for some. */
function mnemonicOf(name: string, evex: boolean): string {
  const plain = name.replace(/(Store|General)$/, "");
  const vex: Record<string, string> = {
    vpandd: "vpand",
    vpandnd: "vpandn",
    vpord: "vpor",
    vpxord: "vpxor",
    vrndscaleps: "vroundps",
  };
  return evex ? plain : (vex[plain] ?? plain);
}

/** Instructions whose ModRM.rm is memory only, or a register only. */
const MEMORY_ONLY = /^(tileload|tilestored|ldtilecfg|vmaskmov|vmov.*Store)/;
const REGISTER_ONLY = /^(kmov|tdp|tilezero|vpmovm2d|vpmovd2m|vmovaps|vpbroadcastdGeneral)/;
/** These address rows, and so always have an index. */
const ROWS = /^tile(load|store)/;

const OFFSETS = [
  0, 1, -1, 2, 4, 8, 12, 16, 32, 64, 96, 120, 124, 127, 128, -128, -129, 254, 256, 508, 512, 1016, 1024, 2032,
  2048, 4064, 4096, 8128, 8192, -64, -512, -4096, -8192, -8256, 1_000_000, -2_000_000_000,
];

/** The instructions that try every base with every offset: one for each unit of short displacements. The rest sample. */
const THOROUGH = new Set([
  "vaddps",
  "vcvtph2ps",
  "vpmovsxbd",
  "vpbroadcastd",
  "vpbroadcastw",
  "vpinsrb",
  "vmovq",
  "tileloadd",
]);

function memories(name: string): Memory[] {
  const index = ROWS.test(name);
  const list: Memory[] = [];
  for (let base = 0; base < 16; base++)
    for (const [i, offset] of OFFSETS.entries()) {
      if (!THOROUGH.has(name) && (base * OFFSETS.length + i) % 11 !== name.length % 11) continue;
      // Every base with every offset, and an index now and then: any register but rsp.
      const at = (base * 7 + i * 3) % 16;
      if (!index && i % 3) list.push({ base, offset });
      else list.push({ base, index: at === 4 ? 5 : at, offset });
    }
  return list;
}

interface Operands {
  reg?: number;
  vvvv?: number;
  rm: number | Memory;
  imm?: number;
  mask?: number;
  zeroing?: boolean;
}

/** The operands in the assembler's order. */
function expectedOperands(form: Form, o: Operands): (number | string)[] {
  const m = typeof o.rm === "number" ? o.rm : "memory";
  const [r, v, i] = [o.reg ?? 0, o.vvvv ?? 0, `#${o.imm ?? 0}`];
  const orders: Record<Form, (number | string)[]> = {
    rvm: [r, v, m],
    rm: [r, m],
    mr: [m, r],
    vmi: [v, m, i],
    rvmi: [r, v, m, i],
    rmi: [r, m, i],
    mri: [m, r, i],
    rvms: [r, v, m, (o.imm ?? 0) >> 4],
    mvr: [m, v, r],
    m: [m],
    r: [r],
    rmv: [r, m, v],
  };
  return orders[form];
}

function check(name: string, op: VectorOpcode, evex: boolean, length: VectorLength, o: Operands): void {
  const form = formOf(name, op);
  const asm = new Assembler();
  if (evex) asm.evex(op, length, o);
  else asm.vex(op, length as 128 | 256, o);
  const code = asm.finish();
  const decoded = decodeOne(code);
  const { rm } = o;
  expect(decoded, `${name} ${JSON.stringify(o)} ${hex(code)}`).toEqual({
    encoded: hex(code),
    mnemonic: mnemonicOf(name, evex),
    operands: expectedOperands(form, o),
    mask: o.mask ?? 0,
    zeroing: o.zeroing ?? false,
    memory:
      typeof rm !== "number" && "base" in rm
        ? { base: rm.base, index: rm.index ?? -1, offset: rm.offset }
        : undefined,
    width: NO_WIDTH.test(name) ? expect.any(Number) : length,
  });
}

/** Where no register is as wide as the operation. */
const NO_WIDTH = /^(k|t|ldt|vpextr|vpmovd2m|vcvtneps2bf16|vmov[dq])/;

/** Registers in an order that puts unequal ones side by side. */
function registersFor(evex: boolean, limit: number): number[] {
  const all = evex
    ? [0, 17, 5, 31, 8, 22, 15, 4, 26, 13, 1, 30, 12, 7, 19, 24]
    : [0, 9, 5, 15, 2, 12, 7, 8, 13, 4, 1, 10];
  return all.filter((n) => n < limit);
}

function checkAll(name: string, op: VectorOpcode, evex: boolean): number {
  const form = formOf(name, op);
  const mask = /^(vcmpps|vpcmp)/.test(name) && evex;
  const tile = /^t/.test(name);
  const regLimit = mask || tile || name.startsWith("kmov") || name === "vpmovd2m" ? 8 : 32;
  const rmLimit = tile || name === "vpmovm2d" ? 8 : name === "vpbroadcastdGeneral" ? 16 : 32;
  const lengths: VectorLength[] = evex
    ? /^(vshuff|vpermps)/.test(name)
      ? [256, 512]
      : [128, 256, 512]
    : /^(vpins|vpext|vmovd|vmovq|kmov|t|ldt)/.test(name)
      ? [128]
      : /^vperm/.test(name)
        ? [256]
        : [128, 256];
  const imms =
    form === "vmi"
      ? [0, 1, 13, 31]
      : form === "rvms"
        ? [0x30, 0xf0]
        : /i/.test(form)
          ? [0, 0x1b, 0xb1]
          : [undefined];
  const regs = registersFor(evex, regLimit);
  const rms = registersFor(evex, rmLimit);
  const vs = form.includes("v") ? registersFor(evex, tile ? 8 : 32) : [undefined];
  let count = 0;
  const one = (length: VectorLength, i: number, rm: number | Memory, more: Partial<Operands> = {}): void => {
    const reg = form === "vmi" || form === "m" ? undefined : regs[(i * 5 + 1) % regs.length];
    const vvvv = vs[(i * 3 + 2) % vs.length];
    check(name, op, evex, length, { reg, vvvv, rm, imm: imms[i % imms.length], ...more });
    count++;
  };
  // Three equal tiles are not allowed, so their registers are picked to differ.
  if (name.startsWith("tdp")) {
    for (let r = 0; r < 8; r++) check(name, op, false, 128, { reg: r, rm: (r + 3) % 8, vvvv: (r + 5) % 8 });
    return 8;
  }
  for (const length of lengths) {
    if (!MEMORY_ONLY.test(name))
      for (let i = 0; i < 24; i++) one(length, i, name === "tilezero" ? 0 : rms[i % rms.length]);
    // VEX shifts by a number have no memory form.
    if (!REGISTER_ONLY.test(name) && (evex || form !== "vmi"))
      for (const [i, memory] of memories(name).entries()) one(length, i, memory);
    if (evex && (!REGISTER_ONLY.test(name) || name === "vmovaps"))
      for (let k = 1; k < 8; k++) {
        // A masked store keeps what is there, and so cannot clear it; nor can a comparison.
        const zeroing = !mask && !name.endsWith("Store") && k % 2 === 1;
        if (MEMORY_ONLY.test(name)) one(length, k, { base: k, offset: 64 * k }, { mask: k });
        else one(length, k, rms[k % rms.length], { mask: k, zeroing });
      }
  }
  return count;
}

describe("vector instructions, byte for byte as iced-x86 writes them", () => {
  it.each(Object.entries(V))("%s", (name, op) => {
    expect(checkAll(name, op, true)).toBeGreaterThan(90);
    expect(checkAll(name, op, false)).toBeGreaterThan(40);
  });

  it.each(Object.entries(EVEX))("%s (EVEX)", (name, op) => {
    expect(checkAll(name, op, true)).toBeGreaterThan(50);
  });

  it.each(Object.entries(VEX))("%s (VEX)", (name, op) => {
    expect(checkAll(name, op, false)).toBeGreaterThan(7);
  });

  it("reads constants relative to the end of the instruction, behind an immediate too", () => {
    for (const imm of [undefined, 3]) {
      const asm = new Assembler();
      for (let i = 0; i < 64; i++) asm.byte(0);
      asm.evex(imm === undefined ? V.vmovups : V.vshufps, 512, {
        reg: 20,
        vvvv: imm && 9,
        rm: { rip: 16 },
        imm,
      });
      // iced is shown the instruction alone, and so counts from there.
      expect(decodeOne(asm.finish().subarray(64)).memory).toEqual({ base: -1, index: -1, offset: 16 - 64 });
    }
  });
});

/** Pairs of what is written and what iced reads. */
function lines(write: (asm: Assembler) => void): string[] {
  const asm = new Assembler();
  write(asm);
  return disassemble(asm.finish());
}

const NAMES = Object.keys(GPR) as (keyof typeof GPR)[];
const low = (name: string): string => (/^r\d/.test(name) ? `${name}d` : name.replace("r", "e"));

describe("general instructions", () => {
  it.each(NAMES.map((name, i) => [name, NAMES[(i * 5 + 3) % 16]] as const))("%s with %s", (a, b) => {
    const [x, y] = [GPR[a], GPR[b]];
    const text = lines((asm) => {
      asm.mov(x, y);
      asm.mov32(x, y);
      asm.add(x, y);
      asm.sub(x, y);
      asm.cmp(x, y);
      asm.test(x);
      asm.imul(x, y);
      asm.imulImm(x, y, 7);
      asm.imulImm(x, y, 300);
      asm.shlImm(x, 5);
      asm.shrImm(x, 63);
      asm.cmov(CC["<"], x, y);
      asm.push(x);
      asm.pop(y);
      asm.call(x);
      asm.div32(x);
    });
    expect(text).toEqual([
      `mov ${a},${b}`,
      `mov ${low(a)},${low(b)}`,
      `add ${a},${b}`,
      `sub ${a},${b}`,
      `cmp ${a},${b}`,
      `test ${a},${a}`,
      `imul ${a},${b}`,
      `imul ${a},${b},7`,
      `imul ${a},${b},12Ch`,
      `shl ${a},5`,
      `shr ${a},3Fh`,
      `cmovl ${a},${b}`,
      `push ${a}`,
      `pop ${b}`,
      `call ${a}`,
      `div ${low(a)}`,
    ]);
  });

  it.each(NAMES)("%s with memory and numbers", (a) => {
    const x = GPR[a];
    const at = (offset: number): Memory => ({ base: x, offset });
    const text = lines((asm) => {
      asm.load(x, at(8));
      asm.load32(x, at(-129));
      asm.store(at(0), x);
      asm.store32(at(4096), x);
      asm.lea(x, { base: x, index: GPR.r12, offset: 16 });
      asm.lockXadd32(at(4), x);
      asm.prefetch("t0", at(64));
      asm.prefetch("t1", at(64));
      asm.prefetch("w", at(64));
      asm.stmxcsr(at(4));
      asm.ldmxcsr(at(4));
      for (const n of [1, -128, 128, -4096]) {
        asm.addImm(x, n);
        asm.subImm(x, n);
        asm.andImm(x, n);
        asm.cmpImm(x, n);
      }
    });
    const signed = (n: number): string =>
      n > 9
        ? `${n.toString(16).toUpperCase()}h`
        : n >= 0
          ? `${n}`
          : `0FFFFFFFFFFFFF${(0x1000 + (n & 0xfff)).toString(16).slice(1).toUpperCase()}h`;
    const expected = [
      `mov ${a},[${a}+8]`,
      `mov ${low(a)},[${a}-81h]`,
      `mov [${a}],${a}`,
      `mov [${a}+1000h],${low(a)}`,
      `lea ${a},[${a}+r12+10h]`,
      `lock xadd [${a}+4],${low(a)}`,
      `prefetcht0 [${a}+40h]`,
      `prefetcht1 [${a}+40h]`,
      `prefetchw [${a}+40h]`,
      `stmxcsr [${a}+4]`,
      `ldmxcsr [${a}+4]`,
    ];
    expect(text.slice(0, expected.length)).toEqual(expected);
    const numbers = [1, -128, 128, -4096].flatMap((n) =>
      ["add", "sub", "and", "cmp"].map((op) => [op, n] as const),
    );
    for (const [i, [op, n]] of numbers.entries()) {
      const line = text[expected.length + i];
      expect(line.startsWith(`${op} ${a},`)).toBe(true);
      expect(line.endsWith(n < 0 ? signed(n).slice(-5) : signed(n)), `${line} ${n}`).toBe(true);
    }
  });

  it("loads numbers of every size", () => {
    const text = lines((asm) => {
      asm.movImm(GPR.r9, 0);
      asm.movImm(GPR.rcx, 0xfedcba98);
      asm.movImm(GPR.r12, -5);
      asm.orImm32(GPR.rax, 0x8040);
      asm.orImm32(GPR.r10, 0x8040);
    });
    expect(text).toEqual([
      "xor r9d,r9d",
      "mov ecx,0FEDCBA98h",
      "mov r12,0FFFFFFFFFFFFFFFBh",
      "or eax,8040h",
      "or r10d,8040h",
    ]);
    for (const n of [2 ** 40 + 3, 2 ** 53 - 1, -(2 ** 45) - 7]) {
      const asm = new Assembler();
      asm.movImm(GPR.r13, n);
      // iced's own numbers, as its formatter drops the upper half.
      expect(decodeOne(asm.finish()).operands).toEqual([GPR.r13, `#${BigInt.asUintN(64, BigInt(n))}`]);
    }
  });

  it("jumps backwards by the shortest form and forwards by the long one", () => {
    const asm = new Assembler();
    const [top, end] = [new Label(), new Label()];
    asm.bind(top);
    asm.pause();
    asm.jump(end, CC[">="]);
    asm.jump(end);
    asm.jump(top, CC["!="]);
    asm.bind(end);
    for (let i = 0; i < 70; i++) asm.pause();
    asm.jump(top);
    asm.ret();
    const text = disassemble(asm.finish());
    const at = 2 + 6 + 5 + 2;
    expect(text.slice(0, 4)).toEqual([
      "pause",
      `jge near 000000000000000${at.toString(16).toUpperCase()}h`,
      `jmp 000000000000000${at.toString(16).toUpperCase()}h`,
      "jne short 0",
    ]);
    expect(text.slice(-2)).toEqual(["jmp 0", "ret"]);
  });

  it("writes the rest", () => {
    const text = lines((asm) => {
      asm.syscall();
      asm.cpuid();
      asm.rdtsc();
      asm.xgetbv();
      asm.vzeroupper();
      asm.tilerelease();
    });
    expect(text).toEqual(["syscall", "cpuid", "rdtsc", "xgetbv", "vzeroupper", "tilerelease"]);
  });
});
