import { access, appendFile, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { openInput } from "../../cli/batch/input.ts";
import { makePlan } from "../../cli/batch/plan.ts";
import { failure, writeRecord } from "../../cli/batch/record.ts";
import { identityOf } from "../../cli/batch/request.ts";
import { AppendFile } from "../../src/base/append_file_node.ts";
import { seeded } from "../random.ts";
import {
  ended,
  expectOneLine,
  llava,
  PICTURES,
  QUESTIONS,
  readLines,
  startLlava,
  untilLines,
} from "./support.ts";

// They start processes, which take long on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "llava-batch-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function writeInput(name: string, lines: readonly unknown[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(
    path,
    lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""),
  );
  return path;
}

test("killed five times and run again: every key once, and the answers that Transformers gives", async () => {
  const asked = QUESTIONS.map((question, i) => ({ ...question, key: `q${i}` }));
  const bad = { key: "bad", image: "nothing.jpg", prompt: "?" };
  const lines = asked.map(({ key, images, prompt }) => ({ key, images, prompt }));
  const input = await writeInput("killed.jsonl", [...lines.slice(0, 30), bad, ...lines.slice(30)]);
  const out = join(folder, "killed.out.jsonl");
  const random = seeded("killed");
  let count = 0;
  for (let kill = 1; kill <= 5; kill++) {
    const child = startLlava(["batch", input, out, "--quiet", "--concurrency", String(kill)]);
    const end = ended(child);
    count += 1 + Math.floor(random() * 10);
    await untilLines(out, count);
    child.kill("SIGKILL");
    expect(await end).toBe("SIGKILL");
    // A writer that dies within a line leaves a part of it.
    await appendFile(out, '{"key":"q3","text":"The pic'.slice(0, 5 * kill));
    const text = await readFile(out, "utf8");
    count = text.split("\n").length - 1;
  }
  const before = await readFile(out, "utf8");
  const last = await llava(["batch", input, out, "--json"]);
  expect(last.stderr).toBe("");
  expect(JSON.parse(last.stdout)).toMatchObject({
    total: asked.length + 1,
    done: asked.length + 1,
    errors: 1,
    asked: asked.length + 1 - count,
  });
  expect((await readFile(out, "utf8")).startsWith(before.slice(0, before.lastIndexOf("\n") + 1))).toBe(true);
  const records = await readLines(out);
  expect(records.length).toBe(asked.length + 1);
  const byKey = new Map(records.map((record) => [record.key, record]));
  expect(byKey.size).toBe(asked.length + 1);
  for (const { key, answer } of asked) expect(byKey.get(key)?.text, key).toBe(answer);
  expect(byKey.get("bad")?.error).toMatchObject({ type: "ImageError" });
  // All is there: no model is loaded.
  const again = JSON.parse((await llava(["batch", input, out, "--json", "--model", "llava-demo"])).stdout);
  expect(again).toMatchObject({ asked: 0, device: null });
});

test("a signal lets what runs end; nothing of it is lost", async () => {
  const lines = QUESTIONS.map(({ images, prompt }, i) => ({ key: i, images, prompt }));
  const input = await writeInput("stopped.jsonl", lines);
  const out = join(folder, "stopped.out.jsonl");
  const child = startLlava(["batch", input, out, "--concurrency", "4"]);
  let said = "";
  child.stderr?.on("data", (data: Buffer) => {
    said += data.toString();
  });
  const end = ended(child);
  await untilLines(out, 3);
  child.kill("SIGINT");
  expect(await end).toBe(130);
  const records = await readLines(out);
  expect(records.length).toBeGreaterThanOrEqual(3);
  expect(records.length).toBeLessThan(lines.length);
  for (const record of records) expect(record.text).toBe(QUESTIONS[Number(record.key)].answer);
  expect(said).toContain("the same command goes on with the rest");
});

test("stopped before anything runs: it says so, and there is nothing to be seen of the program", async () => {
  const input = await writeInput("early.jsonl", [{ key: "a", image: QUESTIONS[0].images[0] }]);
  const out = join(folder, "early.out.jsonl");
  const child = startLlava(["batch", input, out, "--quiet"]);
  let said = "";
  child.stderr?.on("data", (data: Buffer) => {
    said += data.toString();
  });
  const end = ended(child);
  await vi.waitFor(() => access(out), { timeout: 60_000, interval: 5 });
  child.kill("SIGINT");
  expect(await end).toBe(130);
  expect(["stopped\n", ""]).toContain(said);
});

test("a disk that takes no more: one line that names the file, and nothing of it is lost", async () => {
  const [{ images }] = QUESTIONS;
  const lines = Array.from({ length: 20 }, (_, i) => ({ key: `f${i}`, image: images[0], max_new_tokens: 2 }));
  const args = ["batch", await writeInput("full.jsonl", lines), join(folder, "full.out.jsonl")];
  const full = await llava([...args, "--quiet"], { maxFileBytes: 2048 });
  expectOneLine(full, 1, /^error: .*full\.out\.jsonl: it cannot be written to \(E/);
  expect((await readFile(args[2])).length).toBe(2048);
  expect((await llava([...args, "--quiet"])).code).toBe(0);
  const keys = (await readLines(args[2])).map(({ key }) => key);
  expect([keys.length, new Set(keys).size]).toEqual([20, 20]);
});

test("what is wrong with a line or its picture is its result, and the others are answered", async () => {
  const [{ images, prompt, answer }] = QUESTIONS;
  await copyFile(join(PICTURES, "snow.jpg"), join(folder, "beside.jpg"));
  await writeFile(join(folder, "text.png"), "no picture");
  const input = await writeInput("errors.jsonl", [
    { image: images[0], prompt },
    "",
    "{ nonsense",
    { id: 7, image: "text.png" },
    { key: "typo", image: images[0], promt: "x" },
    { key: "two", image: images[0], images },
    { key: "hot", image: images[0], temperature: -1 },
    { key: "beside", image: "beside.jpg", max_new_tokens: 4 },
    { key: "seeded", image: images[0], temperature: 0.9, top_p: 0.9, seed: 3, max_new_tokens: 12 },
    { key: "folder", image: folder },
  ]);
  const out = join(folder, "errors.out.jsonl");
  const first = await llava(["batch", input, out, "--json"]);
  expect(first.code).toBe(0);
  expect(JSON.parse(first.stdout)).toMatchObject({ total: 9, done: 9, errors: 6 });
  const records = new Map((await readLines(out)).map((record) => [record.key ?? record.id, record]));
  const message = (name: unknown): string => {
    const { error } = records.get(name) as { error: { message: string } };
    return error.message;
  };
  expect(records.get(1)).toMatchObject({
    text: answer,
    finish_reason: "stop",
    model: "llava-demo",
    image_tokens: 64,
  });
  expect(message("line 3")).toBe("line 3: it is no JSON");
  expect(records.get(7)).toMatchObject({ id: 7, error: { type: "ImageError" } });
  expect(message(7)).toContain(join(folder, "text.png"));
  expect(message("typo")).toMatch(/line 5: unknown field 'promt'. There are: key, id, image/);
  expect(message("two")).toMatch(/line 6: expected image or images/);
  expect(message("hot")).toMatch(/line 7: "temperature"/);
  expect(message("folder")).toMatch(/this is a folder/);
  expect(records.get("beside")).toMatchObject({ generated_tokens: 4, finish_reason: "length" });
  const described = await llava([
    "describe",
    images[0],
    "--temperature",
    "0.9",
    "--top-p",
    "0.9",
    "--seed",
    "3",
    "--max-new-tokens",
    "12",
    "--json",
  ]);
  expect(records.get("seeded")?.text).toBe(JSON.parse(described.stdout).text);
});

/** How everything in a batch's input is called. */
async function entriesOf(...paths: string[]): Promise<unknown[]> {
  const names: unknown[] = [];
  for await (const entry of (await openInput(paths)).entries()) {
    names.push(entry.kind === "picture" ? entry.key : entry.number);
  }
  return names;
}

test("folders, patterns and pictures, each picture once", async () => {
  const pictures = join(folder, "pictures");
  await mkdir(join(pictures, "deep/er"), { recursive: true });
  for (const name of [
    "a.jpg",
    "deep/b.PNG",
    "deep/er/c.gif",
    "deep/er/d,e.png",
    ".hidden.png",
    "notes.txt",
  ]) {
    await writeFile(join(pictures, name), "");
  }
  const like = async (pattern: string): Promise<unknown[]> =>
    (await entriesOf(join(pictures, pattern))).map((name) => String(name).slice(pictures.length + 1));
  expect(await entriesOf(pictures)).toEqual(["a.jpg", "deep/b.PNG", "deep/er/c.gif", "deep/er/d,e.png"]);
  expect(await like("*.jpg")).toEqual(["a.jpg"]);
  expect(await like("*")).toEqual(["a.jpg"]);
  expect(await like("**/[a-c].*")).toEqual(["a.jpg", "deep/b.PNG", "deep/er/c.gif"]);
  expect(await like("deep/*/?{.gif,?e.png}")).toEqual(["deep/er/c.gif", "deep/er/d,e.png"]);
  expect(await like("**/[!a-c]*")).toEqual(["deep/er/d,e.png"]);
  expect(await like("deep/**")).toEqual(["deep/b.PNG", "deep/er/c.gif", "deep/er/d,e.png"]);
  expect(await like("none/*.jpg")).toEqual([]);
  const both = [join(pictures, "a.jpg"), `${pictures}/`];
  expect(await entriesOf(...both)).toEqual([
    join(pictures, "a.jpg"),
    ...["deep/b.PNG", "deep/er/c.gif", "deep/er/d,e.png"].map((name) => join(pictures, name)),
  ]);
});

test("what cannot be a batch is said in one line, and other files are left alone", async () => {
  const input = await writeInput("small.jsonl", [{ key: "a", image: "x.jpg" }]);
  const text = join(folder, "text.txt");
  await writeFile(text, "a text without an end");
  for (const [args, code, said] of [
    [["batch", input], 2, /expected what to ask and the file of results/],
    [["batch", input, input], 2, /the results need a file of their own/],
    [["batch", input, text], 1, /text\.txt, line 1: this is no result of llava batch/],
  ] as const) {
    expectOneLine(await llava([...args]), code, said);
  }
  expect(await readFile(text, "utf8")).toBe("a text without an end");
  await expect(openInput([join(folder, "none.jsonl")])).rejects.toThrow(/none\.jsonl: there is no such file/);
  await expect(openInput([input, "a.jpg"])).rejects.toThrow(/small\.jsonl: a file of lines stands alone/);
});

const DEFAULTS = {
  model: "some/llava",
  prompt: "What?",
  sampling: { maxNewTokens: 9, temperature: 0, topP: 1 },
};

/** What a batch would ask now. */
async function left(input: string, out: string, more: object = {}, retryErrors = false): Promise<unknown[]> {
  const plan = await makePlan(await openInput([input]), out, { ...DEFAULTS, ...more }, retryErrors);
  const names: unknown[] = [];
  for await (const { name } of plan.questions()) names.push(name.value);
  await plan.results.close();
  return names;
}

test("results are held against what is asked", async () => {
  const ask = (lines: unknown[]): Promise<string> => writeInput("asked.jsonl", lines);
  const out = join(folder, "asked.out.jsonl");
  const lines = [
    { key: "a", image: "a.jpg" },
    "{ nonsense",
    { key: "c", image: "c.jpg" },
    { image: "d.jpg" },
  ];
  const input = await ask(lines);
  expect(await left(input, out)).toEqual(["a", "line 2", "c", 4]);
  const plan = await makePlan(await openInput([input]), out, DEFAULTS, false);
  for await (const { name, digest } of plan.questions()) {
    const failed = name.value === "c" || name.value === "line 2";
    const outcome = failed ? failure(new Error("no")) : { ok: true as const, text: "yes", ...COUNTS };
    const line = writeRecord(name, outcome, { model: "some/llava", request: digest });
    await plan.results.add(identityOf(name), line, { digest, failed });
  }
  await plan.results.close();
  const before = await readFile(out, "utf8");
  expect(await left(input, out)).toEqual([]);
  for (const [change, said] of [
    [{ model: "another/llava" }, /the result for a was made with another picture, prompt, model or setting/],
    [{ prompt: "Why?" }, /the result for a was made with/],
    [{ sampling: { ...DEFAULTS.sampling, maxNewTokens: 8 } }, /the result for a was made with/],
  ] as const) {
    await expect(left(input, out, change)).rejects.toThrow(said);
  }
  await ask([...lines.slice(1), { key: "e", image: "e.jpg" }]);
  await expect(left(input, out)).rejects.toThrow(/a result for a, which .*asked\.jsonl does not ask/);
  await ask([...lines, { key: 4, image: "d.jpg" }]);
  await expect(left(input, out)).rejects.toThrow(/lines 4 and 5 are both called 4/);
  expect(await readFile(out, "utf8")).toBe(before);
  // Lines that were added are asked, mended ones again, and other errors where that is wanted.
  await ask([lines[0], { key: "mended", image: "b.jpg" }, ...lines.slice(2), { key: "e", image: "e.jpg" }]);
  expect(await left(input, out)).toEqual(["mended", "e"]);
  expect((await readLines(out)).map(({ key }) => key)).toEqual(["a", "c", 4]);
  expect(await left(input, out, {}, true)).toEqual(["mended", "c", "e"]);
  expect((await readLines(out)).map(({ key }) => key)).toEqual(["a", 4]);
  // Two writers that did not see each other: what both have answered is asked again.
  const line = before.split("\n")[0];
  await appendFile(out, `${line}\n`);
  expect(await left(input, out)).toContain("a");
  expect((await readLines(out)).map(({ key }) => key)).toEqual([4]);
  await appendFile(out, `${line}\n${line.replace(/"request":"./, '"request":"x')}\n`);
  await expect(left(input, out)).rejects.toThrow(/line 3: there are two different results for a/);
});

const COUNTS = { finish_reason: "stop", image_tokens: 1, prompt_tokens: 2, generated_tokens: 3 } as const;

test.skipIf(process.platform === "darwin")(
  "a file of records has one writer at a time (macOS cannot hold it)",
  async () => {
    const path = join(folder, "held.txt");
    const first = await AppendFile.open(path, () => true);
    await expect(AppendFile.open(path, () => true)).rejects.toThrow(/held\.txt: something else writes to/);
    await first.append("a\n");
    await first.close();
    const second = await AppendFile.open(path, () => true);
    await appendFile(path, "b\n");
    await expect(second.append("c\n")).rejects.toThrow(/held\.txt: something else writes to/);
    await second.close();
    expect(await readFile(path, "utf8")).toBe("a\nb\n");
  },
);

test("a file of records is read in pieces: lines at their borders, and one that is longer than a piece", async () => {
  const path = join(folder, "long.txt");
  const lines = [2 ** 20 - 1, 0, 2 ** 20, 3 * 2 ** 20 + 5, 1].map((length, i) => String(i).repeat(length));
  await writeFile(path, `${lines.join("\n")}\npart`);
  const seen: [number, string, boolean][] = [];
  const file = await AppendFile.open(path, (line, whole) => {
    seen.push([line.length, line.slice(0, 1), whole]);
    return false;
  });
  await file.append("end\n");
  await file.close();
  expect(seen).toEqual([...lines.map((line) => [line.length, line.slice(0, 1), true]), [4, "p", false]]);
  expect(await readFile(path, "utf8")).toBe(`${lines.join("\n")}\nend\n`);
});
