import { expect, it } from "vitest";
import { program } from "../../src/codegen/ir.ts";
import { avx2, avx512 } from "../../src/codegen/target.ts";
import { lowerX64 } from "../../src/codegen/x64/lower.ts";
import { FORMATS } from "../../src/kernels/formats/formats.ts";
import { packedLinearForm } from "../../src/kernels/formats/packed_linear_program.ts";

const TARGETS = {
  "avx512 without vnni": avx512(),
  "avx512 with vnni": avx512({ vnni: true }),
  "avx512 with amx": avx512({ vnni: true, bf16: true, fp16: true, amx: true }),
  avx2: avx2(),
  "avx2 with vnni": avx2({ vnni: true }),
};

it.each(Object.entries(TARGETS))(
  "packed products of any number of rows fit the registers of %s",
  (_, target) => {
    for (const format of Object.values(FORMATS))
      for (const T of [1, 12, 16, 40]) {
        const shape = { format, T, K: 544, N: 83, bias: "bfloat16" } as const;
        const form = packedLinearForm(target, shape);
        const slots = ["x", "weight", "bias", "y", ...Object.keys(form.numbers ?? {})];
        const built = program("packed_linear", target, slots, (b, args) => form.build(b, args));
        expect(lowerX64(built).bytes.length).toBeGreaterThan(0);
      }
  },
);
