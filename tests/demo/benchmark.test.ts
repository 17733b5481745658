import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadResponder } from "../../cli/responder.ts";
import { run, score } from "../../src/eval/index.ts";

// Made and answered by scripts/demo/benchmark.py over Transformers 5.23 (float32, greedy).
const WORLD = fileURLToPath(new URL("../fixtures/eval/demo/", import.meta.url));
const rows = async (path: string) =>
  (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const FLAGS = {
  model: "llava-demo",
  dtype: "auto",
  cacheDtype: "auto",
  device: "auto",
  quiet: true,
  verbose: false,
  json: false,
} as const;

let out: string;
beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "llava-world-"));
});
afterAll(() => rm(out, { recursive: true, force: true }));

test("the bundled checkpoint answers the questions of its world as in Transformers", async () => {
  const { responder, close } = await loadResponder(FLAGS);
  const answers = join(out, "answers.jsonl");
  const questions = join(WORLD, "questions.jsonl");
  const images = join(WORLD, "images");
  try {
    await run("demo", { questions, images, answers, preset: "hf", responder, model: "llava-demo" });
  } finally {
    await close();
  }
  const expected = await rows(join(WORLD, "transformers.jsonl"));
  expect((await rows(answers)).map(({ question_id, text }) => ({ question_id, text }))).toEqual(expected);
});

test("the score counts what the script counts", async () => {
  const files = { answers: join(WORLD, "transformers.jsonl"), annotations: join(WORLD, "labels.jsonl") };
  const printed: string[] = [];
  const { scores } = await score("demo", { ...files, print: (text) => printed.push(text) });
  const expected = JSON.parse(await readFile(join(WORLD, "expected.json"), "utf8"));
  expect(scores).toEqual(expected);
  const cells = Object.values<Record<string, { right: number }>>(expected).flatMap(Object.values);
  expect(cells.some(({ right }) => right === 0) && cells.some(({ right }) => right > 0)).toBe(true);
  const [head, , ...lines] = printed.join("").trim().split("\n");
  expect(head).toBe("|  | known styles | emojione | openmoji |");
  expect(lines.length).toBe(Object.keys(expected).length);
});
