import { readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { DockerfileParser } from "dockerfile-ast";
import { validate } from "dockerfile-utils";
import { expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };

const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const text = await readFile(root("Dockerfile"), "utf8");
const dockerfile = DockerfileParser.parse(text);
const instructions = dockerfile.getInstructions();
const argumentsOf = (name: string): string[] =>
  instructions.filter((one) => one.getInstruction() === name).map((one) => one.getArgumentsContent() ?? "");

test("the linter has nothing to say", () => {
  expect(validate(text).map(({ message, range }) => `${range.start.line + 1}: ${message}`)).toEqual([]);
});

test("two stages of a pinned Node that the package runs on", () => {
  const images = argumentsOf("FROM");
  expect(images.length).toBe(2);
  const least = manifest.engines.node.replace(">=", "");
  for (const image of images) expect(image).toMatch(new RegExp(`^node:${least}[.\\d]*-bookworm-slim`));
});

test("the last stage runs as somebody, says whether it is well, and starts the command line", () => {
  const last = instructions.slice(instructions.findLastIndex((one) => one.getInstruction() === "FROM"));
  const names = last.map((one) => one.getInstruction());
  expect(names.filter((name) => name === "USER")).toEqual(["USER"]);
  expect(argumentsOf("USER")).toEqual(["node"]);
  // What runs as root comes before.
  expect(names.lastIndexOf("RUN")).toBeLessThan(names.indexOf("USER"));
  expect(argumentsOf("HEALTHCHECK")).toEqual([expect.stringContaining("127.0.0.1:8000/health")]);
  expect(argumentsOf("ENTRYPOINT")).toEqual([`["node", "/app/${manifest.bin.llava}"]`]);
  expect(argumentsOf("EXPOSE")).toEqual(["8000"]);
});

test("what is copied is there, and let through by .dockerignore", async () => {
  const ignore = await readFile(root(".dockerignore"), "utf8");
  const [all, ...letThrough] = ignore.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  expect(all).toBe("*");
  const copied = instructions
    .map((one) => one.getTextContent())
    .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
    .flatMap((line) => line.split(/\s+/).slice(1, -1));
  expect(copied.length).toBeGreaterThan(8);
  for (const path of copied) await stat(root(path));
  expect(letThrough.map((line) => line.replace(/^!/, "")).sort()).toEqual([...new Set(copied)].sort());
});
