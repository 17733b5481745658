// Every rule and oddity of the original programs, as they were recorded from them (scripts/fixtures/eval.py).

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BenchmarkError, convert, judge, score } from "../../src/eval/index.ts";
import { readXlsx } from "./xlsx.ts";

/** What was recorded; which of it there is depends on the program. */
interface Expected {
  exit: number;
  stdout: string;
  bytes: string | null;
  output: string | null;
  result: string | null;
  converted: Record<string, string>;
  accuracy: object;
  rows: (string | number | null)[][];
  local: Record<string, unknown>;
  requests: { messages: { content: string }[] }[];
  reviews: string;
  grades: object;
  cap: object;
  "cap-int": object;
}

interface Case {
  program: string;
  name: string;
  files: Record<string, string>;
  split?: string;
  answers?: string;
  ignore?: string[];
  replies?: string[];
  runs?: number;
  prompt?: string;
  expected: Expected;
}

const fixture = new URL("../fixtures/eval/originals.json", import.meta.url);
const { cases }: { cases: Case[] } = JSON.parse(await readFile(fixture, "utf8"));

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "llava-eval-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** The case's files in a folder of their own. */
async function unpack({ files }: Case): Promise<(name: string) => string> {
  const folder = await mkdtemp(join(root, "case-"));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return (name) => join(folder, name);
}

/** What a call printed, and whether it stopped, naming something. */
async function outcome(work: Promise<{ stdout: string }>): Promise<{ exit: number; stdout: string }> {
  try {
    return { exit: 0, stdout: (await work).stdout };
  } catch (error) {
    if (!(error instanceof BenchmarkError)) throw error;
    expect(error.message.length).toBeGreaterThan(10);
    expect(error.message).not.toContain("\n");
    return { exit: 1, stdout: error.printed };
  }
}

const textOf = async (path: string) => (existsSync(path) ? await readFile(path, "utf8") : null);

function each(program: string, check: (one: Case, at: (name: string) => string) => Promise<void>): void {
  const own = cases.filter((one) => one.program === program);
  expect(own.length).toBeGreaterThan(0);
  describe(program, () => {
    test.each(own.map((one) => [one.name, one] as const))("%s", async (_, one) =>
      check(one, await unpack(one)),
    );
  });
}

for (const name of ["vqav2", "vizwiz"]) {
  each(name, async ({ expected }, at) => {
    const work = convert(name, {
      answers: at("answers.jsonl"),
      questions: at("questions.jsonl"),
      out: at("out.json"),
    });
    const { bytes, ...printed } = expected;
    expect(await outcome(work)).toEqual(printed);
    expect(await textOf(at("out.json"))).toBe(bytes);
  });
}

each("vqa_score", async ({ expected }, at) => {
  const { scores } = await score("vqav2", {
    answers: at("answers.jsonl"),
    annotations: at("annotations.json"),
  });
  expect(scores).toEqual(expected.accuracy);
});

each("gqa", async ({ expected }, at) => {
  const { bytes, ...printed } = expected;
  const answers = at("answers.jsonl");
  expect(await outcome(score("gqa", { answers, annotations: at("questions.json") }))).toEqual(printed);
  const converted = await outcome(convert("gqa", { answers, out: at("out.json") }));
  // The original leaves no file where it stops: it makes all of it before.
  expect(converted.exit === 0 ? await textOf(at("out.json")) : null).toBe(bytes);
});

each("scienceqa", async ({ expected, split }, at) => {
  const files = {
    answers: at("answers.jsonl"),
    annotations: at("."),
    ...(split === undefined ? {} : { split }),
  };
  const { output, result, ...printed } = expected;
  expect(await outcome(score("scienceqa", files))).toEqual(printed);
  await outcome(convert("scienceqa", { ...files, out: at("out") }));
  expect(await textOf(at("out/answers_output.jsonl"))).toBe(output);
  expect(await textOf(at("out/answers_result.json"))).toBe(result);
  await outcome(convert("scienceqa", { ...files, out: at("only.json") }));
  expect(await textOf(at("only.json"))).toBe(result);
});

each("textvqa", async ({ expected, answers = "answers.jsonl" }, at) => {
  expect(
    await outcome(score("textvqa", { answers: at(answers), annotations: at("annotations.json") })),
  ).toEqual(expected);
});

each("pope", async ({ expected }, at) => {
  const files = { answers: at("answers.jsonl"), questions: at("questions.jsonl"), annotations: at("coco") };
  const scored = await outcome(score("pope", files));
  // The original reads the folder in no order, and may print figures before it comes upon a foreign file.
  if (expected.exit === 1 && expected.stdout.endsWith("=\n")) expect(scored).toEqual({ exit: 1, stdout: "" });
  else expect(scored).toEqual(expected);
});

each("mme", async ({ expected }, at) => {
  const { converted, ...printed } = expected;
  const files = { answers: at("answers.jsonl"), annotations: at("release") };
  expect(await outcome(score("mme", files))).toEqual(printed);
  await outcome(convert("mme", { ...files, out: at("out") }));
  const names = existsSync(at("out")) ? await readdir(at("out")) : [];
  const written = await Promise.all(names.map(async (name) => [name, await textOf(at(`out/${name}`))]));
  expect(Object.fromEntries(written)).toEqual(converted);
});

each("seed", async ({ expected }, at) => {
  const files = { answers: at("answers.jsonl"), annotations: at("annotations.json") };
  const scored = await outcome(score("seed", files));
  expect(scored.stdout).toBe(expected.stdout);
  // The original writes the upload after it has scored: where it stops with an upload begun, the upload is at fault.
  const uploadAtFault = expected.exit === 1 && expected.bytes !== null;
  expect(scored.exit).toBe(uploadAtFault ? 0 : expected.exit);
  if (expected.bytes === null) return;
  const converted = await outcome(convert("seed", { ...files, out: at("out.jsonl") }));
  expect(converted.exit).toBe(expected.exit);
  expect(await textOf(at("out.jsonl"))).toBe(expected.bytes);
});

each("mmbench", async ({ expected }, at) => {
  const files = { answers: at("answers.jsonl"), annotations: at("table.tsv") };
  expect((await outcome(convert("mmbench", { ...files, out: at("out.xlsx") }))).exit).toBe(expected.exit);
  if (expected.exit === 1) return;
  expect(await readXlsx(at("out.xlsx"))).toEqual({ Sheet1: expected.rows });
  const { scores, details } = await score("mmbench", files);
  const names: Record<string, string> = {
    coarse_perception: "CP",
    attribute_reasoning: "AR",
    logic_reasoning: "LR",
  };
  const local = Object.entries(expected.local).map(([name, value]) => [names[name] ?? name, value]);
  expect(details?.local).toEqual({ split: "dev", ...Object.fromEntries(local) });
  expect(scores).toEqual({ circular_accuracy: expected.local.Overall });
});

each("review", async ({ expected, files, replies }, at) => {
  const options = {
    answers: at("answers.jsonl"),
    questions: at("questions.jsonl"),
    context: at("context.jsonl"),
    rule: at("rule.json"),
    reference: at("reference.jsonl"),
    record: at("reviews.jsonl"),
  };
  const asked = await outcome(judge("llava-bench", { ...options, requests: at("requests.jsonl") }));
  expect(asked.exit).toBe(expected.exit);
  const lines = ((await textOf(at("requests.jsonl"))) ?? "").split("\n").slice(0, -1);
  expect(lines.map((line) => JSON.parse(line))).toEqual(expected.requests);
  if (expected.exit === 1) return;
  await writeFile(
    at("replies.jsonl"),
    replies?.map((reply) => `${JSON.stringify({ content: reply })}\n`).join("") ?? "",
  );
  await outcome(judge("llava-bench", { ...options, replies: at("replies.jsonl") }));
  expect(await textOf(at("reviews.jsonl"))).toBe(expected.reviews);
  expect(expected.reviews.startsWith(files["reviews.jsonl"] ?? "")).toBe(true);
});

each("summarise", async ({ expected, ignore }, at) => {
  const options = { replies: at("reviews.jsonl"), ignore: ignore?.map(Number) ?? [] };
  expect(await outcome(judge("llava-bench", options))).toEqual(expected);
});

each("mm_vet_convert", async ({ expected }, at) => {
  const { bytes, ...printed } = expected;
  expect(await outcome(convert("mm-vet", { answers: at("answers.jsonl"), out: at("o.json") }))).toEqual(
    printed,
  );
  expect(await textOf(at("o.json"))).toBe(bytes);
});

each("mm_vet", async ({ expected, files, replies = [], runs = 1, prompt = "" }, at) => {
  await writeFile(at("prompt.txt"), prompt);
  await writeFile(
    at("replies.json"),
    JSON.stringify(replies.map((content) => ({ model: "judge-x", choices: [{ message: { content } }] }))),
  );
  const options = {
    answers: at("results.json"),
    annotations: at("mm-vet.json"),
    judgePrompt: at("prompt.txt"),
    runs,
  };
  const asked = await outcome(judge("mm-vet", { ...options, requests: at("requests.jsonl") }));
  expect(asked.exit).toBe(expected.exit);
  const lines = (await readFile(at("requests.jsonl"), "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const again = "\nPredict the correctness of the answer (digit): ";
  expect(lines).toEqual(expected.requests.filter((one) => !one.messages[0].content.endsWith(again)));
  if (expected.exit === 1) return;
  const judged = await judge("mm-vet", {
    ...options,
    replies: at("replies.json"),
    record: at("grades.json"),
  });
  const grades = await readFile(at("grades.json"), "utf8");
  expect(readGrades(grades)).toEqual(expected.grades);
  expect(judged.scored?.details?.cap_score).toEqual(expected.cap);
  expect(judged.scored?.details?.cap_int_score).toEqual(expected["cap-int"]);
  const { runs: _, ...rest } = options;
  expect(files["results.json"]).toBeDefined();
  const graded = await judge("mm-vet", { annotations: rest.annotations, replies: at("grades.json"), runs });
  expect(graded.scores).toEqual(judged.scores);
});

/** Grades may hold NaN, as Python writes it. */
function readGrades(text: string): unknown {
  return JSON.parse(text.replaceAll("NaN", "null"));
}
