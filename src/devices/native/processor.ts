import { availableParallelism } from "node:os";
import { OptionError } from "../../base/errors.ts";
import { didYouMean } from "../../base/options.ts";
import { avx2, avx512, type Target } from "../../codegen/target.ts";
import { cpuidCode, linuxSyscallCode, xgetbvCode } from "../../codegen/x64/entry.ts";
import type { CodeMemory } from "./code.ts";
import type { System } from "./system.ts";

/** What an x86-64 processor can do, and the system lets it. */
export interface Processor {
  /** As the maker calls it. */
  readonly name: string;
  /** Threads that one core runs at once. */
  readonly threadsPerCore: number;
  /** AVX2, FMA and F16C. */
  readonly avx2: boolean;
  /** VNNI with 256-bit vectors, apart from AVX-512. */
  readonly avxVnni: boolean;
  /** AVX-512 F, BW, DQ and VL. */
  readonly avx512: boolean;
  readonly vnni: boolean;
  readonly bf16: boolean;
  readonly fp16: boolean;
  /** AMX tiles with bf16 and int8 products. The system must still be asked for them. */
  readonly amx: boolean;
}

/** Values of the environment variable LLAVA_CPU: the most that may be used. */
export const CPU_LEVELS = ["avx2", "avx512", "amx"] as const;
export type CpuLevel = (typeof CPU_LEVELS)[number];

/** The level that an environment variable names. @throws OptionError where there is none of that name */
export function cpuLevel(value: string | undefined): CpuLevel {
  if (value === undefined || value === "") return "amx";
  const level = CPU_LEVELS.find((name) => name === value);
  if (level) return level;
  throw new OptionError(
    `LLAVA_CPU is '${value}', but only ${CPU_LEVELS.join(", ")} are known.${didYouMean(value, CPU_LEVELS)}`,
    { where: "LLAVA_CPU", expected: CPU_LEVELS, got: value },
  );
}

/** Asks the processor what it can do, by code made for it. */
export function detectProcessor(system: System, code: CodeMemory): Processor {
  const { koffi, abi } = system;
  const signature = koffi.proto("void", ["void *"]);
  const call = (bytes: Uint8Array): ((io: Uint32Array) => void) =>
    koffi.decode(BigInt(code.place(bytes)), signature);
  const cpuid = call(cpuidCode(abi));
  const ask = (leaf: number, subleaf = 0): number[] => {
    const io = Uint32Array.of(leaf, subleaf, 0, 0);
    cpuid(io);
    return [...io];
  };
  return interpretCpuid(ask, () => {
    const io = new Uint32Array(2);
    call(xgetbvCode(abi))(io);
    return io[0];
  });
}

const has = (register: number, bit: number): boolean => ((register >>> bit) & 1) === 1;

/**
 * Reads the processor's answers.
 *
 * @param ask gives eax, ebx, ecx, edx of a leaf
 * @param states gives the register states that the system saves; only asked where that is allowed
 */
export function interpretCpuid(
  ask: (leaf: number, subleaf?: number) => number[],
  states: () => number,
): Processor {
  const [leaves] = ask(0);
  const none = [0, 0, 0, 0];
  const [, , ecx1] = ask(1);
  const [subleaves, ebx7, ecx7, edx7] = leaves >= 7 ? ask(7) : none;
  const [eax71] = leaves >= 7 && subleaves >= 1 ? ask(7, 1) : none;
  const [, perCore] = leaves >= 11 ? ask(11) : none;
  const saved = has(ecx1, 27) ? states() : 0;
  const [ymm, zmm, tiles] = [0x6, 0xe6, 0x60000].map((mask) => (saved & mask) === mask);
  // FMA, F16C; AVX2.
  const avx2Here = ymm && has(ecx1, 12) && has(ecx1, 29) && has(ebx7, 5);
  // F, DQ, BW, VL.
  const avx512Here = avx2Here && zmm && [16, 17, 30, 31].every((bit) => has(ebx7, bit));
  return {
    name: brand(ask),
    threadsPerCore: Math.max(1, perCore & 0xffff),
    avx2: avx2Here,
    avxVnni: avx2Here && has(eax71, 4),
    avx512: avx512Here,
    vnni: avx512Here && has(ecx7, 11),
    bf16: avx512Here && has(eax71, 5),
    fp16: avx512Here && has(edx7, 23),
    // Tiles, their bf16 and their int8 products.
    amx: avx512Here && tiles && [22, 24, 25].every((bit) => has(edx7, bit)),
  };
}

/** The name, from three leaves of 16 letters. */
function brand(ask: (leaf: number) => number[]): string {
  if (ask(0x8000_0000)[0] < 0x8000_0004) return "x86-64";
  const words = [2, 3, 4].flatMap((i) => ask(0x8000_0000 + i));
  const text = Buffer.from(Uint32Array.from(words).buffer).toString("latin1");
  return text.replaceAll("\0", "").replace(/\s+/g, " ").trim() || "x86-64";
}

/**
 * What programs are written for here, or why there is nothing.
 *
 * @param allowAmx asks the system for tiles; only called where they would be used
 */
export function chooseTarget(
  processor: Processor,
  level: CpuLevel,
  allowAmx: () => boolean,
): Target | { reason: string } {
  if (!processor.avx2) return { reason: `this processor (${processor.name}) has no AVX2 with FMA` };
  if (level === "avx2" || !processor.avx512) return avx2({ vnni: processor.avxVnni });
  const { vnni, bf16, fp16 } = processor;
  // The tile kernels make use of all the others; every processor with tiles has them.
  const tiles = level === "amx" && processor.amx && vnni && bf16 && fp16 && allowAmx();
  return avx512({ vnni, bf16, fp16, amx: tiles });
}

/**
 * Why matrix tiles are not used, or not for all that they could do; undefined where they are, or where there are none.
 * The sentence fits behind "because".
 *
 * @param found which of their products were right; undefined where they were not tried
 */
export function tilesUnused(
  processor: Processor,
  level: CpuLevel,
  found: { bytes: boolean; pairs: boolean } | undefined,
): string | undefined {
  if (!processor.amx) return undefined;
  if (level !== "amx") return `instructions are restricted to ${level}`;
  if (!found) {
    const { vnni, bf16, fp16 } = processor;
    return vnni && bf16 && fp16
      ? "the system does not let this process use them"
      : "other instructions are missing that go with them";
  }
  if (!found.bytes) return "they multiply bytes wrongly";
  return found.pairs
    ? undefined
    : "they add products of bfloat16 in an unknown order; bytes are multiplied by them";
}

const SYS_ARCH_PRCTL = 158n;
const ARCH_REQ_XCOMP_PERM = 0x1023n;
const XFEATURE_XTILEDATA = 18n;

/** Asks Linux to let this process use tiles. Without its leave, using them ends the process. */
export function requestAmx(system: System, code: CodeMemory): boolean {
  if (process.platform !== "linux") return false;
  const { koffi } = system;
  const call = koffi.decode(BigInt(code.place(linuxSyscallCode())), koffi.proto("void", ["void *"]));
  const io = BigInt64Array.of(SYS_ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
  call(io);
  return io[0] === 0n;
}

/** Cores, as far as the processor tells: threads that share one do not count. */
export function physicalCores({ threadsPerCore }: Processor): number {
  return Math.max(1, Math.floor(availableParallelism() / threadsPerCore));
}
