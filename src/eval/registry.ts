import { OptionError } from "../base/errors.ts";
import { didYouMean } from "../base/options.ts";
import type { Benchmark } from "./benchmark.ts";
import { demo } from "./benchmarks/demo.ts";
import { gqa } from "./benchmarks/gqa.ts";
import { llavaBench } from "./benchmarks/llava-bench.ts";
import { mmVet } from "./benchmarks/mm-vet.ts";
import { mmbench } from "./benchmarks/mmbench.ts";
import { mmbenchCn } from "./benchmarks/mmbench-cn.ts";
import { mme } from "./benchmarks/mme.ts";
import { pope } from "./benchmarks/pope.ts";
import { scienceqa } from "./benchmarks/scienceqa.ts";
import { seed } from "./benchmarks/seed.ts";
import { textvqa } from "./benchmarks/textvqa.ts";
import { vizwiz } from "./benchmarks/vizwiz.ts";
import { vqav2 } from "./benchmarks/vqav2.ts";

/** All benchmarks, in the order of the paper's table; last the bundled checkpoint's own. */
export const BENCHMARKS: readonly Benchmark[] = [
  [vqav2, gqa, vizwiz, scienceqa, textvqa, pope],
  [mme, mmbench, mmbenchCn, seed, llavaBench, mmVet],
  [demo],
].flat();

export const NAMES: readonly string[] = BENCHMARKS.map(({ name }) => name);

/** @throws OptionError where there is no benchmark of this name */
export function findBenchmark(name: string): Benchmark {
  const found = BENCHMARKS.find((benchmark) => benchmark.name === name);
  if (found !== undefined) return found;
  throw new OptionError(
    `There is no benchmark '${name}'.${didYouMean(name, NAMES)} There are: ${NAMES.join(", ")}.`,
    { where: "name", expected: NAMES, got: name },
  );
}
