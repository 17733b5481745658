/**
 * What a vector program is written for: how wide a vector is, how many registers there are, and which instructions
 * exist beyond the common ones. Kernels pick their tile sizes from it.
 */
export interface Target {
  readonly name: "avx512" | "avx2" | "wasm";
  /** 32-bit lanes of a vector: 16, 8 or 4. */
  readonly lanes: 16 | 8 | 4;
  /** Bytes of a vector. */
  readonly bytes: 64 | 32 | 16;
  /** Vector registers that a kernel should keep within. WebAssembly has no limit, but the machine below it has. */
  readonly registers: 32 | 16;
  /** `fma` is one operation with one rounding. */
  readonly fma: boolean;
  /** How four products of bytes are added to an i32 lane fastest; see `dots.ts`. */
  readonly byteDot: "vnni" | "maddubs" | "relaxed" | "widen";
  /** Sums of 4-bit products are kept in 16 bits: pays where `byteDot` is not one instruction of full speed. */
  readonly nibbleSums16: boolean;
  /** bfloat16 has instructions. */
  readonly bf16: boolean;
  /** The one that multiplies pairs of bfloat16 is worth it: some processors are faster by widening to f32. */
  readonly bf16Dot: boolean;
  /** Arithmetic on float16 lanes (only with 512-bit vectors). */
  readonly fp16: boolean;
  /** Matrix tiles (only with 512-bit vectors). */
  readonly amx: boolean;
  /** Their products of bfloat16 are added up in the order that Intel's manual gives: see `multiplyInTileOrder`. */
  readonly bf16Tiles: boolean;
}

/** AVX-512 F, BW, DQ and VL, 32 registers of 16 lanes. */
export function avx512(
  features: {
    vnni?: boolean;
    bf16?: boolean;
    bf16Dot?: boolean;
    fp16?: boolean;
    amx?: boolean;
    bf16Tiles?: boolean;
  } = {},
): Target {
  return {
    name: "avx512",
    lanes: 16,
    bytes: 64,
    registers: 32,
    fma: true,
    byteDot: features.vnni ? "vnni" : "maddubs",
    nibbleSums16: !features.vnni,
    bf16: features.bf16 ?? false,
    bf16Dot: features.bf16Dot ?? features.bf16 ?? false,
    fp16: features.fp16 ?? false,
    amx: features.amx ?? false,
    bf16Tiles: features.bf16Tiles ?? features.amx ?? false,
  };
}

/** AVX2 with FMA and F16C, 16 registers of 8 lanes. `vnni` means AVX-VNNI, its form without AVX-512. */
export function avx2(features: { vnni?: boolean } = {}): Target {
  return {
    name: "avx2",
    lanes: 8,
    bytes: 32,
    registers: 16,
    fma: true,
    byteDot: features.vnni ? "vnni" : "maddubs",
    nibbleSums16: !features.vnni,
    bf16: false,
    bf16Dot: false,
    fp16: false,
    amx: false,
    bf16Tiles: false,
  };
}

/**
 * WebAssembly SIMD of 4 lanes. `relaxed` needs the relaxed SIMD proposal. `sums16` keeps sums of 4-bit products in
 * 16 bits, which is faster where the engine has no single instruction for the relaxed byte dot.
 */
export function wasm(features: { relaxed?: boolean; sums16?: boolean } = {}): Target {
  const relaxed = features.relaxed ?? false;
  return {
    name: "wasm",
    lanes: 4,
    bytes: 16,
    registers: 16,
    fma: relaxed,
    byteDot: relaxed ? "relaxed" : "widen",
    nibbleSums16: relaxed && (features.sums16 ?? true),
    bf16: false,
    bf16Dot: false,
    fp16: false,
    amx: false,
    bf16Tiles: false,
  };
}
