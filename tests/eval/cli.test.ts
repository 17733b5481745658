import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addEvalCommand } from "../../src/eval/cli.ts";

const EXAMPLES = new URL("../fixtures/eval/examples/", import.meta.url).pathname;
const at = (name: string) => join(EXAMPLES, name);

let out: string;
beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "llava-eval-"));
});
afterAll(() => rm(out, { recursive: true, force: true }));

class Usage extends Error {}

/** Runs `llava eval ...` as the command line would: what went where, and the exit code. */
async function llavaEval(...args: string[]) {
  const said = { stdout: "", stderr: "" };
  const keep = (name: "stdout" | "stderr") => (text: string) => {
    said[name] += text;
  };
  const program = new Command("llava").exitOverride();
  program.configureOutput({ writeOut: keep("stdout"), writeErr: keep("stderr") });
  addEvalCommand(program, {
    stdout: keep("stdout"),
    stderr: keep("stderr"),
    isTerminal: false,
    addModelFlags: (command) => command.option("--model <name>").option("--json").option("--quiet"),
    load: async (flags) => ({
      responder: { answer: async () => "Yes" },
      model: String(flags.model),
      facts: { dtype: "float32" },
      close: async () => {},
    }),
    usageError: (message) => new Usage(message),
  });
  try {
    await program.parseAsync(["eval", ...args], { from: "user" });
    return { ...said, exit: 0, error: "" };
  } catch (error) {
    const usage = error instanceof Usage || (error instanceof CommanderError && error.exitCode !== 0);
    const exit = usage ? 2 : error instanceof CommanderError ? 0 : 1;
    return { ...said, exit, error: error instanceof Error ? error.message : String(error) };
  }
}

const POPE = [
  ["--answers", at("pope/answers.jsonl")],
  ["--questions", at("pope/llava_pope_test.jsonl"), "--annotations", at("pope/coco")],
].flat();

test("score prints what the original prints, or one object", async () => {
  const { cases } = JSON.parse(await readFile(at("pope/expected.json"), "utf8"));
  const printed = await llavaEval("score", "pope", ...POPE);
  expect(printed).toMatchObject({ exit: 0, stderr: "" });
  expect(printed.stdout).toContain("Category: random, # samples: 6\nTP\tFP\tTN\tFN\t\n1\t3\t0\t2\n");
  const object = await llavaEval("score", "pope", ...POPE, "--json");
  expect(JSON.parse(object.stdout)).toEqual(cases[0].scores);
});

test("where the original stops, what it had printed is printed, and with --json nothing", async () => {
  const args = [
    "score",
    "textvqa",
    "--answers",
    at("textvqa/answers.jsonl"),
    "--annotations",
    at("seed_bench/SEED-Bench.json"),
  ];
  const printed = await llavaEval(...args);
  expect(printed).toMatchObject({ exit: 1, stdout: "answers\n" });
  expect(printed.error).toMatch(/SEED-Bench\.json: "data" is missing/);
  expect(await llavaEval(...args, "--json")).toMatchObject({ exit: 1, stdout: "" });
});

test("a warning goes to stderr", async () => {
  const files = ["--answers", at("scienceqa/answers.jsonl"), "--annotations", at("scienceqa")];
  const { stdout, stderr } = await llavaEval("score", "scienceqa", ...files, "--split", "test");
  expect(stdout).toBe("Total: 7, Correct: 4, Accuracy: 57.14%, IMG-Accuracy: 50.00%\n");
  expect(stderr).toMatch(/^warning: 1 question without an answer: .*1 of them with a picture/);
});

test("convert writes the file and tells so", async () => {
  const file = join(out, "sub", "upload.json");
  const files = [
    "--answers",
    at("vqav2/merge.jsonl"),
    "--questions",
    at("vqav2/llava_vqav2_mscoco_test2015.jsonl"),
  ];
  const { stdout, stderr, exit } = await llavaEval("convert", "vqav2", ...files, "--out", file);
  expect([exit, stdout]).toEqual([0, "total results: 4, total split: 6, error_line: 1\n"]);
  expect(stderr).toBe(
    `warning: 1 line of ${at("vqav2/merge.jsonl")} could not be read and was skipped\nwrote ${file}\n`,
  );
  expect(JSON.parse(await readFile(file, "utf8"))).toHaveLength(6);
});

test("judge: --json gives the figures of reviews", async () => {
  const { stdout } = await llavaEval(
    "judge",
    "llava-bench",
    "--replies",
    at("llava_bench/main.reviews.jsonl"),
    "--json",
    "--ignore",
    "3",
    "5",
  );
  expect(JSON.parse(stdout).all).toEqual({ relative: 92.2, reference: 80, candidate: 73.8 });
});

test("run answers, says how far it is, and goes on where it stopped", async () => {
  const args = [
    ["run", "gqa", "--questions", at("gqa/llava_gqa_testdev_balanced.jsonl"), "--images", at("gqa/images")],
    ["--answers", join(out, "gqa.jsonl"), "--model", "llava-demo"],
  ].flat();
  const first = await llavaEval(...args);
  expect(first).toMatchObject({ exit: 0, stdout: "" });
  expect(first.stderr).toMatch(
    /^0 of 1 \(0 %\)\n1 of 1 \(100 %\), .*\/s, 0:00 left\n1 answers in .*, 1 of them new\n$/,
  );
  const again = await llavaEval(...args, "--json");
  expect(JSON.parse(again.stdout)).toMatchObject({ benchmark: "gqa", total: 1, asked: 0 });
  const other = await llavaEval(...args, "--preset", "hf");
  expect(other).toMatchObject({ exit: 1 });
  expect(other.error).toMatch(/begun with preset original, and this call has hf/);
});

describe("wrong usage", () => {
  test.each([
    [["score", "popee", "--answers", "x"], /There is no benchmark 'popee'\. Did you mean 'pope'\?/],
    [["score", "gqa", "--answers", "x"], /annotations is missing: .*--annotations/],
    [["score", "gqa"], /required option '--answers <file>' not specified/],
    [
      ["run", "gqa", "--questions", at("pope/questions.jsonl"), "--answers", "x", "--chunk", "4/4"],
      /chunk: expected I\/K/,
    ],
    [
      ["run", "gqa", "--questions", at("pope/questions.jsonl"), "--answers", "x", "--preset", "og"],
      /preset: expected original or hf/,
    ],
    [["judge", "mm-vet", "--annotations", "x"], /name a file for the requests/],
    [["judge", "llava-bench", "--requests", "x"], /rule is missing/],
    [["judge", "mm-vet", "--requests", "x", "--runs", "many"], /Expected a whole number/],
    [["score", "gqa", "--answers", "x", "--fast"], /unknown option '--fast'/],
  ])("%j", async (args, message) => {
    const { exit, error, stdout } = await llavaEval(...args);
    expect([exit, stdout]).toEqual([2, ""]);
    expect(error).toMatch(message);
  });
});

describe("failures", () => {
  test.each([
    [["score", "vizwiz", "--answers", "x"], /VizWiz cannot be scored here: .*llava eval convert vizwiz/],
    [["score", "mm-vet", "--answers", "x"], /llava eval judge mm-vet/],
    [["convert", "pope", "--answers", "x", "--out", "y"], /POPE has no upload file/],
    [["judge", "pope", "--requests", "y"], /POPE needs no judge/],
    [
      ["score", "textvqa", "--answers", "/none/x.jsonl", "--annotations", "/none/y.json"],
      /\/none\/y\.json: there is no such file/,
    ],
    [["report", "/none"], /\/none: this folder cannot be read/],
  ])("%j", async (args, message) => {
    const { exit, error } = await llavaEval(...args);
    expect(exit).toBe(1);
    expect(error).toMatch(message);
    expect(error).not.toContain("\n");
  });
});

test("help names the benchmarks and shows examples", async () => {
  for (const name of ["run", "score", "convert"]) {
    const { stdout, exit } = await llavaEval(name, "--help");
    expect(exit).toBe(0);
    expect(stdout).toContain("mmbench-cn");
    expect(stdout).toMatch(/Examples:\n {2}llava eval/);
  }
});
