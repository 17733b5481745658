import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.ts";
import { avx512, type Target } from "../../src/codegen/target.ts";
import { openEngine } from "../../src/devices/native/engine.ts";
import { descriptionOf } from "../../src/devices/native/open_native_node.ts";
import {
  chooseTarget,
  cpuLevel,
  interpretCpuid,
  type Processor,
  tilesUnused,
} from "../../src/devices/native/processor.ts";
import { itIf, withEngine } from "./support.ts";

/** The answers of an Intel server with AMX: eax, ebx, ecx, edx by leaf and subleaf. */
const SAPPHIRE: Record<string, number[]> = {
  "0": [0x20, 0x756e6547, 0x6c65746e, 0x49656e69],
  "1": [0, 0, (1 << 12) | (1 << 27) | (1 << 28) | (1 << 29), 0],
  "7": [
    1,
    (1 << 5) | (1 << 16) | (1 << 17) | (1 << 30) | (1 << 31),
    1 << 11,
    (1 << 22) | (1 << 23) | (1 << 24) | (1 << 25),
  ],
  "7.1": [(1 << 4) | (1 << 5), 0, 0, 0],
  "11": [1, 2, 0x100, 0],
  "2147483648": [0x80000008, 0, 0, 0],
  "2147483650": [0x20202020, 0x65746e49, 0x2952286c, 0x6f655820],
  "2147483651": [0x2952286e, 0, 0, 0],
  "2147483652": [0, 0, 0, 0],
};

function processorOf(answers: Record<string, number[]>, states: number): Processor {
  const ask = (leaf: number, subleaf = 0): number[] =>
    answers[subleaf ? `${leaf}.${subleaf}` : `${leaf}`] ?? [0, 0, 0, 0];
  return interpretCpuid(ask, () => states);
}

const ALL_STATES = 0x600e7;

describe("the processor's answers", () => {
  it("are read bit by bit", () => {
    expect(processorOf(SAPPHIRE, ALL_STATES)).toEqual({
      name: "Intel(R) Xeon(R)",
      threadsPerCore: 2,
      avx2: true,
      avxVnni: true,
      avx512: true,
      vnni: true,
      bf16: true,
      fp16: true,
      amx: true,
    });
  });

  it("count only as far as the system saves the registers", () => {
    expect(processorOf(SAPPHIRE, 0xe7)).toMatchObject({ avx512: true, bf16: true, amx: false });
    expect(processorOf(SAPPHIRE, 7)).toMatchObject({ avx2: true, avx512: false, vnni: false, amx: false });
    expect(processorOf(SAPPHIRE, 3)).toMatchObject({ avx2: false, avxVnni: false, avx512: false });
    // Without OSXSAVE the question itself is not allowed.
    const old: Record<string, number[]> = { ...SAPPHIRE, "1": [0, 0, (1 << 12) | (1 << 29), 0] };
    expect(
      interpretCpuid(
        (leaf, sub) => old[sub ? `${leaf}.${sub}` : `${leaf}`] ?? [0, 0, 0, 0],
        () => {
          throw new Error("asked");
        },
      ),
    ).toMatchObject({ avx2: false });
  });

  it("may end early", () => {
    expect(processorOf({ ...SAPPHIRE, "0": [4, 0, 0, 0] }, ALL_STATES)).toMatchObject({
      avx2: false,
      avx512: false,
      threadsPerCore: 1,
    });
    const noSubleaf = { ...SAPPHIRE, "7": [0, ...SAPPHIRE["7"].slice(1)] };
    expect(processorOf(noSubleaf, ALL_STATES)).toMatchObject({ avx512: true, vnni: true, bf16: false });
    expect(processorOf({ ...SAPPHIRE, "2147483648": [0x80000001, 0, 0, 0] }, ALL_STATES).name).toBe("x86-64");
  });

  it.each([16, 17, 30, 31])("need all parts of AVX-512 (bit %i)", (bit) => {
    const [a, b, c, d] = SAPPHIRE["7"];
    const without = { ...SAPPHIRE, "7": [a, b & ~(1 << bit), c, d] };
    expect(processorOf(without, ALL_STATES)).toMatchObject({ avx2: true, avx512: false, amx: false });
  });
});

describe("the choice of instructions", () => {
  const full = processorOf(SAPPHIRE, ALL_STATES);

  it("takes the most that there is", () => {
    expect(chooseTarget(full, "amx", () => true)).toMatchObject({
      name: "avx512",
      byteDot: "vnni",
      bf16: true,
      fp16: true,
      amx: true,
    });
    expect(chooseTarget(full, "amx", () => false)).toMatchObject({ name: "avx512", bf16: true, amx: false });
    expect(chooseTarget({ ...full, avx512: false }, "amx", () => true)).toMatchObject({
      name: "avx2",
      byteDot: "vnni",
    });
    expect(chooseTarget({ ...full, avx512: false, avxVnni: false }, "amx", () => true)).toMatchObject({
      byteDot: "maddubs",
    });
  });

  it("is restricted by LLAVA_CPU", () => {
    const never = (): boolean => {
      throw new Error("asked for tiles");
    };
    expect(chooseTarget(full, "avx512", never)).toMatchObject({ name: "avx512", amx: false });
    expect(chooseTarget(full, "avx2", never)).toMatchObject({ name: "avx2" });
    expect(cpuLevel("avx2")).toBe("avx2");
    expect(cpuLevel(undefined)).toBe("amx");
    expect(() => cpuLevel("avx51")).toThrow(OptionError);
    expect(() => cpuLevel("avx51")).toThrow(/LLAVA_CPU is 'avx51'.*Did you mean 'avx512'/);
  });

  it("says why tiles are left unused", () => {
    const right = { bytes: true, pairs: true };
    expect(tilesUnused({ ...full, amx: false }, "amx", undefined)).toBeUndefined();
    expect(tilesUnused(full, "amx", right)).toBeUndefined();
    expect(tilesUnused(full, "avx512", undefined)).toBe("instructions are restricted to avx512");
    expect(tilesUnused(full, "amx", undefined)).toBe("the system does not let this process use them");
    expect(tilesUnused({ ...full, fp16: false }, "amx", undefined)).toMatch(/other instructions are missing/);
    expect(tilesUnused(full, "amx", { ...right, bytes: false })).toBe("they multiply bytes wrongly");
    expect(tilesUnused(full, "amx", { ...right, pairs: false })).toMatch(/an unknown order/);
  });

  it("is told to people", () => {
    const tiles = avx512({ vnni: true, bf16: true, fp16: true, amx: true });
    const told = (target: Target, tilesUnused?: string): string =>
      descriptionOf({ target, processor: full, tilesUnused }, 2);
    expect(told(tiles)).toBe(
      "avx512 and amx machine code on 2 threads (Intel(R) Xeon(R)); " +
        "pictures and prompts in q8 and q4 are multiplied in bfloat16",
    );
    expect(told(avx512(), "instructions are restricted to avx512")).toBe(
      "avx512 machine code on 2 threads (Intel(R) Xeon(R)); " +
        "matrix tiles are left unused, because instructions are restricted to avx512",
    );
    expect(told(avx512())).toBe("avx512 machine code on 2 threads (Intel(R) Xeon(R))");
  });

  it("says why there is none", () => {
    const { reason } = chooseTarget({ ...full, avx2: false }, "amx", () => true) as { reason: string };
    expect(reason).toBe("this processor (Intel(R) Xeon(R)) has no AVX2 with FMA");
  });
});

withEngine((engine) => {
  const info = "/proc/cpuinfo";

  itIf(existsSync(info), "there is no /proc/cpuinfo")("finds what Linux finds", () => {
    const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync(info, "utf8"))?.[1].trim().split(" "));
    const { processor } = engine;
    expect(processor).toMatchObject({
      avx2: flags.has("avx2") && flags.has("fma") && flags.has("f16c"),
      avxVnni: flags.has("avx_vnni"),
      avx512: ["avx512f", "avx512bw", "avx512dq", "avx512vl"].every((flag) => flags.has(flag)),
      vnni: flags.has("avx512_vnni"),
      bf16: flags.has("avx512_bf16"),
      fp16: flags.has("avx512_fp16"),
      amx: flags.has("amx_tile") && flags.has("amx_bf16") && flags.has("amx_int8"),
    });
    expect(readFileSync(info, "utf8")).toContain(processor.name);
  });

  it("opens with less than there is", () => {
    const small = openEngine("avx2");
    expect(small).toMatchObject({ target: { name: "avx2", lanes: 8 } });
    if (!("reason" in small)) small.dispose();
    expect(() => openEngine("sse")).toThrow(OptionError);
  });
});
