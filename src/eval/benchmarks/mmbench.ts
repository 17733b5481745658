import type { Benchmark } from "../benchmark.ts";
import { mmbenchOf } from "../mmbench.ts";
import { LETTER } from "../questions.ts";

export const mmbench: Benchmark = mmbenchOf({
  name: "mmbench",
  title: "MMBench",
  tail: LETTER,
  published: { "LLaVA-1.5 7B": 64.3, "LLaVA-1.5 13B": 67.7 },
});
