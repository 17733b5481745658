import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { version } from "../../src/version.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The rooms of src/, highest first: a file imports from its own room and from those below it. */
const ROOMS = [
  "api",
  "generation",
  "models",
  "nn",
  "kernels",
  "devices",
  "codegen",
  "text",
  "image",
  "hub",
  "tensor",
  "base",
] as const;

/** Applications: they import the public entry, and no room of src/. */
const APPLICATIONS = ["cli", "server", "web", "integrations"];

function filesOf(folder: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".ts")).map((name) => normalize(join(folder, name)));
}

/** The project's files that a file imports, types included. */
function importsOf(file: string): string[] {
  const source = readFileSync(join(ROOT, file), "utf8");
  const paths = [...source.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)].map((match) => match[1]);
  return paths.map((path) => normalize(join(dirname(file), path)));
}

function roomOf(file: string): string {
  return file.split("/")[1];
}

test("src/ has the rooms of docs/architecture.md, and files in them import downwards only", () => {
  const files = filesOf("src").filter((file) => file.split("/").length > 2 && roomOf(file) !== "eval");
  expect(files.length).toBeGreaterThan(100);
  const upward: string[] = [];
  for (const file of files) {
    const own = ROOMS.indexOf(roomOf(file) as (typeof ROOMS)[number]);
    expect(own, `${file} is in no known room`).toBeGreaterThanOrEqual(0);
    for (const target of importsOf(file)) {
      const other = ROOMS.indexOf(roomOf(target) as (typeof ROOMS)[number]);
      if (other < own) upward.push(`${file} -> ${target}`);
    }
  }
  expect(upward).toEqual([]);
});

/** The entries, and what keeps files of records: it is for applications, and the browser's entry cannot have it. */
const OPEN_TO_APPLICATIONS = /^src\/(index|eval\/(index|cli)|base\/(append_file|file_lines)_node)\.ts$/;

test("applications import the public entries only", () => {
  const wrong = APPLICATIONS.flatMap(filesOf).flatMap((file) =>
    importsOf(file)
      .filter((target) => target.startsWith("src/") && !OPEN_TO_APPLICATIONS.test(target))
      .map((target) => `${file} -> ${target}`),
  );
  expect(wrong).toEqual([]);
});

test("model code does not know what computes, and does not wait", () => {
  for (const folder of ["src/models", "src/nn", "src/kernels"]) {
    for (const file of filesOf(folder).filter((name) => /modeling_|src\/(nn|kernels)\//.test(name))) {
      expect(importsOf(file).filter((target) => /^src\/devices\/(?!device|kernel)/.test(target))).toEqual([]);
    }
  }
  for (const file of filesOf("src/models").filter((name) => name.includes("modeling_"))) {
    expect(readFileSync(join(ROOT, file), "utf8"), file).not.toMatch(/\bawait\b/);
  }
});

test("what only Node has is imported by files named so", () => {
  const wrong = filesOf("src")
    .filter((file) => !file.endsWith("_node.ts") && !/^src\/(eval|devices\/native)\//.test(file))
    .filter((file) =>
      /^import (?!type).*from "(node:|sharp|koffi|undici)/m.test(readFileSync(join(ROOT, file), "utf8")),
    );
  expect(wrong).toEqual([]);
});

test("the version is the package's", () => {
  expect(version).toBe(manifest.version);
});
