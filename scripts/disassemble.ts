/*
 * Prints the machine code of a program, for people.
 *
 *   node --import ./scripts/typescript.mjs scripts/disassemble.ts linear [avx512|avx2]
 */
import { createRequire } from "node:module";
import type * as Iced from "iced-x86";
import type { Program } from "../src/codegen/instruction.ts";
import { program } from "../src/codegen/ir.ts";
import { packPanels } from "../src/codegen/panels.ts";
import { rmsNorm, siluMul } from "../src/codegen/programs/elementwise.ts";
import { stepProgram } from "../src/codegen/step.ts";
import { avx2, avx512, type Target } from "../src/codegen/target.ts";
import { lowerX64 } from "../src/codegen/x64/lower.ts";
import type { VectorProgram } from "../src/devices/kernel.ts";
import { linearForm } from "../src/kernels/linear_program.ts";

/** The CommonJS form loads faster. */
const iced = createRequire(import.meta.url)("iced-x86") as typeof Iced;

const SHAPE = { N: 4097, K: 1000, weight: "float32", bias: "float32", rounded: false } as const;
const SLOTS = ["x", "weight", "bias", "y", "work", "rows", "chunks", "panels"];

function built(target: Target, form: VectorProgram | undefined): Program {
  if (!form) throw new Error("there is no such program");
  return program("linear", target, SLOTS, (b, args) => form.build(b, args));
}

const PROGRAMS: Record<string, (target: Target) => Program> = {
  step: stepProgram,
  pack_panels: (target) => packPanels(target, "bfloat16", 70),
  pack_input: (target) => built(target, linearForm(target, SHAPE, 577).first),
  linear: (target) => built(target, linearForm(target, SHAPE, 577)),
  linear_thin: (target) => built(target, linearForm(target, SHAPE, 1)),
  rms_norm: (target) => rmsNorm(target, { D: 1000, eps: 1e-5 }),
  silu_mul: (target) => siluMul(target, { D: 1000 }),
};
const TARGETS: Record<string, Target> = { avx512: avx512({ vnni: true, bf16: true }), avx2: avx2() };

const [name = "", targetName = "avx512"] = process.argv.slice(2);
const [build, target] = [PROGRAMS[name], TARGETS[targetName]];
if (!build || !target) {
  console.error(`programs: ${Object.keys(PROGRAMS).join(", ")}; targets: ${Object.keys(TARGETS).join(", ")}`);
  process.exit(2);
}
const { bytes, entry, peak } = lowerX64(build(target));
console.log(`; ${name} for ${targetName}: ${bytes.length - entry} bytes, ${entry} of constants before them`);
console.log(`; registers: ${peak.vector} vector, ${peak.scalar} scalar`);
const decoder = new iced.Decoder(64, bytes.subarray(entry), iced.DecoderOptions.None);
decoder.ip = BigInt(entry);
const formatter = new iced.Formatter(iced.FormatterSyntax.Nasm);
while (decoder.canDecode) {
  const instruction = decoder.decode();
  const at = Number(instruction.ip).toString(16).padStart(6, "0");
  console.log(`${at}  ${formatter.format(instruction)}`);
}
