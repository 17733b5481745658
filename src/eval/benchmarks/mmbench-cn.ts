import type { Benchmark } from "../benchmark.ts";
import { mmbenchOf } from "../mmbench.ts";

export const mmbenchCn: Benchmark = mmbenchOf({
  name: "mmbench-cn",
  title: "MMBench-CN",
  tail: "请直接回答选项字母。",
  published: { "LLaVA-1.5 7B": 58.3, "LLaVA-1.5 13B": 63.6 },
});
