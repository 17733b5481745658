import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  BenchmarkError,
  type Responder,
  type RunOptions,
  type RunProgress,
  run,
} from "../../src/eval/index.ts";
import { compile } from "./compile.ts";

const IMAGES = fileURLToPath(new URL("../fixtures/eval/examples/gqa/images", import.meta.url));

let out: string;
beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "llava-eval-"));
});
afterAll(() => rm(out, { recursive: true, force: true }));

let files = 0;

/** A question file of `n` questions, and places for what comes of it. */
async function prepare(n: number) {
  const folder = await mkdtemp(join(out, `${files++}-`));
  const questions = join(folder, "questions.jsonl");
  const lines = Array.from({ length: n }, (_, i) => {
    const text = `Question ${"?".repeat(i % 7)} ${i}`;
    return `${JSON.stringify({ question_id: `q${i}`, image: "n1.jpg", text })}\n`;
  });
  await writeFile(questions, lines.join(""));
  return { questions, answers: join(folder, "answers.jsonl"), log: join(folder, "log") };
}

const numbers = async (path: string) => (await readFile(path, "utf8")).trim().split("\n").map(Number);

async function answered(path: string) {
  const text = await readFile(path, "utf8");
  expect(text.endsWith("\n")).toBe(true);
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill("SIGKILL");
});

function start(compiled: string, args: string[]): ChildProcess {
  const child = spawn(process.execPath, [join(compiled, "tests/eval/slow-run.js"), ...args], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  started.push(child);
  return child;
}

const ended = (child: ChildProcess) =>
  new Promise<string | number | null>((done) => child.once("exit", (code, signal) => done(signal ?? code)));

/** Waits until a file has at least so many lines. */
async function untilLines(path: string, n: number): Promise<void> {
  for (;;) {
    const text = existsSync(path) ? await readFile(path, "utf8") : "";
    if (text.split("\n").length > n) return;
    await new Promise((done) => setTimeout(done, 5));
  }
}

let compiled: string;
beforeAll(async () => {
  compiled = join(out, "compiled");
  await compile(compiled, ["src/base", "src/image", "src/eval", "tests/eval/slow-run.ts"]);
});

describe.each([1, 4])("killed, with %i at once", (concurrency) => {
  test("and run again: nothing lost, nothing double, nothing that had its answer asked twice", async () => {
    const n = 24;
    const { questions, answers, log } = await prepare(n);
    let written = "";
    for (const kill of [5, 11]) {
      const child = start(compiled, [questions, answers, IMAGES, log, String(concurrency)]);
      const exit = ended(child);
      await untilLines(answers, kill);
      child.kill("SIGKILL");
      expect(await exit).toBe("SIGKILL");
      const left = await readFile(answers, "utf8");
      const whole = left.slice(0, left.lastIndexOf("\n") + 1);
      expect(whole.startsWith(written)).toBe(true);
      written = whole;
      // A writer that dies within a line leaves a part of it.
      await appendFile(answers, '{"question_id": "q9", "prom');
    }
    const asked = (await numbers(log)).length;
    expect(await ended(start(compiled, [questions, answers, IMAGES, log, String(concurrency)]))).toBe(0);
    expect((await readFile(answers, "utf8")).startsWith(written)).toBe(true);
    const lines = await answered(answers);
    expect(lines.map(({ question_id }) => question_id)).toEqual(Array.from({ length: n }, (_, i) => `q${i}`));
    lines.forEach(({ text }, i) => {
      expect(text).toMatch(new RegExp(`^answer ${i} to \\d+ signs$`));
    });
    const all = await numbers(log);
    expect(all.length).toBeGreaterThan(asked);
    // Twice asked are only those that were under way at one of the two deaths.
    expect(all.length - new Set(all).size).toBeLessThanOrEqual(2 * concurrency);
    expect(existsSync(`${answers}.ahead`)).toBe(false);
  });
});

/** Answers at once, and counts what it is asked. */
function counting(): Responder & { asked: number[] } {
  const asked: number[] = [];
  return {
    asked,
    answer: async ({ index }) => {
      asked.push(index);
      return `a${index}`;
    },
  };
}

const call = (place: { questions: string; answers: string }, more: Partial<RunOptions>): RunOptions => ({
  questions: place.questions,
  answers: place.answers,
  images: IMAGES,
  model: "some/llava",
  responder: counting(),
  ...more,
});

test("a whole last line without its end is kept, a part of one is asked again", async () => {
  const place = await prepare(4);
  await run("gqa", call(place, {}));
  const whole = await readFile(place.answers, "utf8");
  const { size } = await stat(place.answers);
  for (const [cut, asked] of [
    [1, []],
    [2, [3]],
    [40, [3]],
  ] as const) {
    await writeFile(place.answers, whole);
    await truncate(place.answers, size - cut);
    const responder = counting();
    await run("gqa", call(place, { responder }));
    expect(responder.asked).toEqual(asked);
    expect(await answered(place.answers)).toHaveLength(4);
  }
});

test("answers that waited for their turn are not asked again", async () => {
  const place = await prepare(3);
  await writeFile(`${place.answers}.ahead`, '[2, "waited"]\n[1, "half');
  const responder = counting();
  await run("gqa", call(place, { responder }));
  expect(responder.asked).toEqual([0, 1]);
  expect((await answered(place.answers)).map(({ text }) => text)).toEqual(["a0", "a1", "waited"]);
});

describe("answers to something else", () => {
  test.each([
    [
      "other questions",
      '{"question_id": "q5", "prompt": "p", "text": "t", "answer_id": "a", "model_id": "m"}\n',
      /line 1: this is no answer/,
    ],
    ["no JSON", "hello\n", /line 1: this is no answer/],
  ])("%s", async (_, text, message) => {
    const place = await prepare(2);
    await writeFile(place.answers, text);
    const responder = counting();
    await expect(run("gqa", call(place, { responder }))).rejects.toThrow(message);
    expect(responder.asked).toEqual([]);
    expect(await readFile(place.answers, "utf8")).toBe(text);
    expect(existsSync(`${place.answers}.run.json`)).toBe(false);
  });

  test("more answers than questions", async () => {
    const place = await prepare(3);
    await run("gqa", call(place, {}));
    await rm(`${place.answers}.run.json`);
    await expect(run("gqa", call(place, { chunk: "0/3" }))).rejects.toThrow(/more than the 1 answers/);
  });

  test.each([
    ["model", { model: "another/llava" }],
    ["preset", { preset: "hf" }],
    ["dtype", { facts: { dtype: "bfloat16" } }],
  ] as [string, Partial<RunOptions>][])("another %s", async (name, change) => {
    const place = await prepare(1);
    await run("gqa", call(place, { facts: { dtype: "float32" } }));
    await expect(run("gqa", call(place, change))).rejects.toThrow(`were begun with ${name} `);
  });
});

test("the side file tells what the answers were made with", async () => {
  const place = await prepare(3);
  await run(
    "gqa",
    call(place, { facts: { dtype: "float32", device: "cpu", revision: "abc" }, chunk: "1/2" }),
  );
  const facts = JSON.parse(await readFile(`${place.answers}.run.json`, "utf8"));
  expect(facts).toMatchObject({
    benchmark: "gqa",
    preset: "original",
    model: "some/llava",
    chunk: "1/2",
    questions: "questions.jsonl",
    total: 1,
    answered: 1,
    calls: [{ dtype: "float32", device: "cpu", revision: "abc", node: process.version }],
  });
  expect(facts.questions_sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(Date.parse(facts.finished)).toBeGreaterThanOrEqual(Date.parse(facts.begun));
});

test("the earliest failure is told, after all before it is written", async () => {
  const place = await prepare(9);
  const responder: Responder = {
    concurrency: 4,
    answer: async ({ index }) => {
      await new Promise((done) => setTimeout(done, 20 - index));
      if (index === 6 || index === 5) throw new BenchmarkError(`fails at ${index}`);
      return "x";
    },
  };
  await expect(run("gqa", call(place, { responder }))).rejects.toThrow("fails at 5");
  expect((await answered(place.answers)).map(({ question_id }) => question_id)).toEqual([
    "q0",
    "q1",
    "q2",
    "q3",
    "q4",
  ]);
  const again = counting();
  await run("gqa", call(place, { responder: again }));
  expect(again.asked).not.toContain(4);
  expect(await answered(place.answers)).toHaveLength(9);
});

test("two writers are noticed", async () => {
  const place = await prepare(3);
  const responder: Responder = {
    answer: async ({ index }) => {
      if (index === 1) await appendFile(place.answers, "{}\n");
      return "x";
    },
  };
  await expect(run("gqa", call(place, { responder }))).rejects.toThrow(/something else writes to this file/);
});

test("progress counts what is done, and a signal stops it", async () => {
  const place = await prepare(5);
  const seen: RunProgress[] = [];
  const stop = new AbortController();
  const progress_callback = (progress: RunProgress) => {
    seen.push(progress);
    if (progress.done === 3) stop.abort(new DOMException("stopped", "AbortError"));
  };
  await expect(run("gqa", call(place, { progress_callback, signal: stop.signal }))).rejects.toThrow(
    "stopped",
  );
  expect(seen.map(({ done, total }) => [done, total])).toEqual([0, 1, 2, 3].map((done) => [done, 5]));
  expect(seen[0].secondsLeft).toBeNull();
  expect(seen[3].secondsLeft).toBeCloseTo(2 / seen[3].rate, 9);
  const rest: number[] = [];
  await run("gqa", call(place, { progress_callback: ({ done }) => rest.push(done) }));
  expect(rest).toEqual([3, 4, 5]);
});

test("options that nothing knows", async () => {
  const place = await prepare(1);
  const wrong = { ...call(place, {}), presett: "hf" };
  await expect(run("gqa", wrong)).rejects.toThrow("unknown option 'presett'. Did you mean 'preset'?");
  await expect(run("gqa", call(place, { concurrency: 0 }))).rejects.toThrow(
    /concurrency must be a whole number/,
  );
});
