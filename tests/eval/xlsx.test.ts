import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sheet } from "../../src/eval/xlsx.ts";
import { readXlsx } from "./xlsx.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-eval-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const silent = { print: () => {}, warn: () => {} };

test("texts stay texts, numbers numbers, nothing nothing", async () => {
  const rows = [
    ["index", "=1+1", "@x", "+3"],
    [1000005, " spaces ", "two\nlines\tand a tab", null],
    [7, "<b> & \"q\" 'a' ]]>", "中文 😀", "\u0085 1.50"],
  ];
  const path = join(folder, "a.xlsx");
  await writeFile(path, await sheet(rows, silent));
  expect(await readXlsx(path)).toEqual({ Sheet1: rows });
});

test("what a cell loses is told", async () => {
  const warnings: string[] = [];
  const path = join(folder, "b.xlsx");
  const rows = [["x".repeat(40_000), "short\u007f"]];
  await writeFile(path, await sheet(rows, { print: () => {}, warn: (text) => warnings.push(text) }));
  expect((await readXlsx(path)).Sheet1[0].map((cell) => String(cell).length)).toEqual([32_767, 5]);
  expect(warnings).toEqual([
    "1 cell cut to 32767 characters, the most that a sheet can hold",
    "1 cell without control characters that stood in it",
  ]);
});

test.each(["\u0000", "\u0008", "\u000b", "\u001f", "\ud800"])("%j cannot be held", async (sign) => {
  await expect(sheet([[5, `a${sign}`]], silent)).rejects.toThrow(
    /^the row 5: a text holds the character U\+/,
  );
});
