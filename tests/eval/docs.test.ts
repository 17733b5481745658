import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { BENCHMARKS } from "../../src/eval/registry.ts";

test("the names and published figures of the twelve benchmarks, and the bundled checkpoint's own", () => {
  const figures = BENCHMARKS.map(({ name, published }) => [
    name,
    published?.["LLaVA-1.5 7B"],
    published?.["LLaVA-1.5 13B"],
  ]);
  expect(figures).toEqual([
    ["vqav2", 78.5, 80.0],
    ["gqa", 62.0, 63.3],
    ["vizwiz", 50.0, 53.6],
    ["scienceqa", 66.8, 71.6],
    ["textvqa", 58.2, 61.3],
    ["pope", 85.9, 85.9],
    ["mme", 1510.7, 1531.3],
    ["mmbench", 64.3, 67.7],
    ["mmbench-cn", 58.3, 63.6],
    ["seed", 58.6, 61.6],
    ["llava-bench", 65.4, 72.5],
    ["mm-vet", 31.1, 36.1],
    ["demo", undefined, undefined],
  ]);
});

test("every file and function that the guide names is there", async () => {
  const root = new URL("../../", import.meta.url);
  const guide = await readFile(new URL("docs/adding-a-benchmark.md", root), "utf8");
  const imports = [...guide.matchAll(/import (?:type )?\{ (.*?) \} from "\.\.\/(.*?)"/g)];
  expect(imports.length).toBeGreaterThan(5);
  for (const [, names, file] of imports) {
    const source = await readFile(new URL(`src/eval/${file}`, root), "utf8");
    for (const name of names.split(", ")) {
      expect(source, file).toMatch(
        new RegExp(`export (async )?(function|class|const|interface|type) ${name}\\b`),
      );
    }
  }
  for (const [, file] of guide.matchAll(/`((?:python\/)?[a-z]+\.ts)`/g))
    await readFile(new URL(`src/eval/${file}`, root));
});
