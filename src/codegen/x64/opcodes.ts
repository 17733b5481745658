/** The mandatory prefix of a vector instruction: none, 66, F3, F2, as VEX and EVEX number them. */
type Prefix = 0 | 1 | 2 | 3;
const [NP, P66, PF3, PF2] = [0, 1, 2, 3] as const;

/** The opcode map: 0F, 0F 38, 0F 3A, and the fifth, of half-precision arithmetic. */
type OpcodeMap = 1 | 2 | 3 | 5;
const [M0F, M38, M3A, MAP5] = [1, 2, 3, 5] as const;

/**
 * How much memory a vector instruction reads or writes, which is the unit of EVEX's 8-bit displacements: the whole
 * vector, a half, a quarter, or that many bytes.
 */
type MemorySize = "full" | "half" | "quarter" | 1 | 2 | 4 | 8;

/** Everything about a vector instruction but its operands. */
export interface VectorOpcode {
  readonly prefix: Prefix;
  readonly map: OpcodeMap;
  readonly w: 0 | 1;
  readonly opcode: number;
  readonly memory: MemorySize;
  /** Goes where a register operand else would: a part of the opcode. */
  readonly digit: number | undefined;
}

function op(
  prefix: Prefix,
  map: OpcodeMap,
  w: 0 | 1,
  opcode: number,
  memory: MemorySize = "full",
  digit?: number,
): VectorOpcode {
  return { prefix, map, w, opcode, memory, digit };
}

/** Vector instructions with the same opcode under VEX and EVEX (names are those of the EVEX form). */
export const V = {
  vaddps: op(NP, M0F, 0, 0x58),
  vsubps: op(NP, M0F, 0, 0x5c),
  vmulps: op(NP, M0F, 0, 0x59),
  vdivps: op(NP, M0F, 0, 0x5e),
  vmaxps: op(NP, M0F, 0, 0x5f),
  vminps: op(NP, M0F, 0, 0x5d),
  vsqrtps: op(NP, M0F, 0, 0x51),
  vcmpps: op(NP, M0F, 0, 0xc2),
  vshufps: op(NP, M0F, 0, 0xc6),
  vcvtdq2ps: op(NP, M0F, 0, 0x5b),
  vcvtps2dq: op(P66, M0F, 0, 0x5b),
  vrndscaleps: op(P66, M3A, 0, 0x08),
  vfmadd213ps: op(P66, M38, 0, 0xa8),
  vfmadd231ps: op(P66, M38, 0, 0xb8),
  vfnmadd213ps: op(P66, M38, 0, 0xac),
  vfnmadd231ps: op(P66, M38, 0, 0xbc),
  vpaddd: op(P66, M0F, 0, 0xfe),
  vpsubd: op(P66, M0F, 0, 0xfa),
  vpmulld: op(P66, M38, 0, 0x40),
  vpaddw: op(P66, M0F, 0, 0xfd),
  vpsubw: op(P66, M0F, 0, 0xf9),
  vpaddb: op(P66, M0F, 0, 0xfc),
  vpsubb: op(P66, M0F, 0, 0xf8),
  vpmaddwd: op(P66, M0F, 0, 0xf5),
  vpmaddubsw: op(P66, M38, 0, 0x04),
  vpabsb: op(P66, M38, 0, 0x1c),
  vpandd: op(P66, M0F, 0, 0xdb),
  vpandnd: op(P66, M0F, 0, 0xdf),
  vpord: op(P66, M0F, 0, 0xeb),
  vpxord: op(P66, M0F, 0, 0xef),
  vpcmpgtd: op(P66, M0F, 0, 0x66),
  vpcmpeqd: op(P66, M0F, 0, 0x76),
  vpslld: op(P66, M0F, 0, 0x72, "full", 6),
  vpsrld: op(P66, M0F, 0, 0x72, "full", 2),
  vpsrad: op(P66, M0F, 0, 0x72, "full", 4),
  vpsllw: op(P66, M0F, 0, 0x71, "full", 6),
  vpsrlw: op(P66, M0F, 0, 0x71, "full", 2),
  vpsraw: op(P66, M0F, 0, 0x71, "full", 4),
  vpdpbusd: op(P66, M38, 0, 0x50),
  vpermps: op(P66, M38, 0, 0x16),
  vmovaps: op(NP, M0F, 0, 0x28),
  vmovups: op(NP, M0F, 0, 0x10),
  vmovupsStore: op(NP, M0F, 0, 0x11),
  vpbroadcastd: op(P66, M38, 0, 0x58, 4),
  vpbroadcastw: op(P66, M38, 0, 0x79, 2),
  vpmovzxwd: op(P66, M38, 0, 0x33, "half"),
  vpmovzxbd: op(P66, M38, 0, 0x31, "quarter"),
  vpmovsxbd: op(P66, M38, 0, 0x21, "quarter"),
  vcvtph2ps: op(P66, M38, 0, 0x13, "half"),
  vcvtps2ph: op(P66, M3A, 0, 0x1d, "half"),
} as const;

/** Vector instructions that only EVEX has. */
export const EVEX = {
  vdpbf16ps: op(PF3, M38, 0, 0x52),
  vcvtneps2bf16: op(PF3, M38, 0, 0x72),
  vcvtne2ps2bf16: op(PF2, M38, 0, 0x72),
  vmovdqu8: op(PF2, M0F, 0, 0x6f),
  vmovdqu8Store: op(PF2, M0F, 0, 0x7f),
  /** Every lane from a general register. */
  vpbroadcastdGeneral: op(P66, M38, 0, 0x7c),
  vpmovm2d: op(PF3, M38, 0, 0x38),
  vpmovd2m: op(PF3, M38, 0, 0x39),
  vpternlogd: op(P66, M3A, 0, 0x25),
  vshuff32x4: op(P66, M3A, 0, 0x23),
  vpmovdw: op(PF3, M38, 0, 0x33, "half"),
  vpmovsdb: op(PF3, M38, 0, 0x21, "quarter"),
  vpermw: op(P66, M38, 1, 0x8d),
  vmulph: op(NP, MAP5, 0, 0x59),
  vcvtw2ph: op(PF3, MAP5, 0, 0x7d),
} as const;

/** Vector instructions that only VEX has, or has differently. */
export const VEX = {
  vblendvps: op(P66, M3A, 0, 0x4a),
  vpsignb: op(P66, M38, 0, 0x08),
  vperm2f128: op(P66, M3A, 0, 0x06),
  vpermq: op(P66, M3A, 1, 0x00),
  vpshufd: op(P66, M0F, 0, 0x70),
  vpackusdw: op(P66, M38, 0, 0x2b),
  vpackssdw: op(P66, M0F, 0, 0x6b),
  vpacksswb: op(P66, M0F, 0, 0x63),
  vmaskmovps: op(P66, M38, 0, 0x2c),
  vmaskmovpsStore: op(P66, M38, 0, 0x2e),
  vmovd: op(P66, M0F, 0, 0x6e, 4),
  vmovdStore: op(P66, M0F, 0, 0x7e, 4),
  vmovq: op(PF3, M0F, 0, 0x7e, 8),
  vmovqStore: op(P66, M0F, 0, 0xd6, 8),
  vpinsrb: op(P66, M3A, 0, 0x20, 1),
  vpinsrw: op(P66, M0F, 0, 0xc4, 2),
  vpinsrd: op(P66, M3A, 0, 0x22, 4),
  vpextrb: op(P66, M3A, 0, 0x14, 1),
  vpextrw: op(P66, M3A, 0, 0x15, 2),
  vpextrd: op(P66, M3A, 0, 0x16, 4),
  kmovw: op(NP, M0F, 0, 0x92),
  kmovq: op(PF2, M0F, 1, 0x92),
  ldtilecfg: op(NP, M38, 0, 0x49),
  tilezero: op(PF2, M38, 0, 0x49),
  tileloadd: op(PF2, M38, 0, 0x4b),
  tileloaddt1: op(P66, M38, 0, 0x4b),
  tilestored: op(PF3, M38, 0, 0x4b),
  tdpbf16ps: op(PF3, M38, 0, 0x5c),
  tdpbssd: op(PF2, M38, 0, 0x5e),
  tdpbsud: op(PF3, M38, 0, 0x5e),
  tdpbusd: op(P66, M38, 0, 0x5e),
  tdpbuud: op(NP, M38, 0, 0x5e),
} as const;
