import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { judge, report, run, score } from "../../src/eval/index.ts";

const EXAMPLES = fileURLToPath(new URL("../fixtures/eval/examples", import.meta.url));
const at = (...names: string[]) => join(EXAMPLES, ...names);

let out: string;
let page: string;
let table: string;

/** A folder with runs of several benchmarks, as somebody would leave it. */
beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "llava-eval-"));
  const model = "llava-hf/llava-1.5-7b-hf";
  const pope = {
    questions: at("pope/llava_pope_test.jsonl"),
    images: at("pope/images"),
    answers: join(out, "pope.jsonl"),
  };
  const replies = (await readFile(at("pope/answers.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).text);
  const responder = { answer: async ({ index }: { index: number }) => replies[index] };
  await run("pope", { ...pope, model, responder, facts: { dtype: "float32", device: "cpu" } });
  await score("pope", {
    answers: pope.answers,
    questions: pope.questions,
    annotations: at("pope/coco"),
    save: true,
  });

  await mkdir(join(out, "more"));
  const mmbench = {
    questions: at("mmbench/mmbench_dev_20230712.tsv"),
    answers: join(out, "more/mmbench.jsonl"),
  };
  await run("mmbench", { ...mmbench, model, responder: { answer: async () => "A" } });
  await score("mmbench", { answers: mmbench.answers, annotations: mmbench.questions, save: true });

  // Not scored yet; a question that would be markup if it were not escaped.
  await writeFile(join(out, "vqa.jsonl"), "");
  const questions = join(out, "questions.jsonl");
  const text = "<img src=x onerror=alert(1)></script>&amp;?";
  await writeFile(questions, JSON.stringify({ question_id: 1, image: "none.jpg", text }));
  await cp(at("pope/images/COCO_val2014_000000001000.jpg"), join(out, "none.jpg"));
  await run("vqav2", {
    questions,
    images: out,
    answers: join(out, "vqa.jsonl"),
    model: "m",
    responder: { answer: async () => "<b>" },
  });
  await rm(join(out, "none.jpg"));

  await cp(at("textvqa/answers.jsonl"), join(out, "textvqa.jsonl"));
  await score("textvqa", {
    answers: join(out, "textvqa.jsonl"),
    annotations: at("textvqa/TextVQA_0.5.1_val.json"),
    save: true,
  });
  await judge("llava-bench", {
    replies: at("llava_bench/main.reviews.jsonl"),
    save: join(out, "reviews.score.json"),
  });
  ({ page, table } = await report(out));
});
afterAll(() => rm(out, { recursive: true, force: true }));

test("the table has the figures beside the published ones", () => {
  const lines = table.split("\n").map((line) => line.replace(/ {2,}/g, " | "));
  expect(lines[0]).toBe("Benchmark | Model | Figure | LLaVA-1.5 7B | LLaVA-1.5 13B");
  expect(lines).toContain(
    "MMBench | llava-hf/llava-1.5-7b-hf | 0.0 | 64.3 | 67.7 | circular accuracy, %, 7 of 7 answers, preset original",
  );
  expect(table).toMatch(
    /POPE +llava-hf\/llava-1\.5-7b-hf +66\.7 +85\.9 +85\.9 +mean F1 x 100, 18 of 18 answers/,
  );
  expect(table).toMatch(
    /VQAv2 +m +- +78\.5 +80\.0 .*not scored: llava eval score vqav2 --answers vqa\.jsonl/,
  );
  expect(table).toMatch(/TextVQA +tiny-llava +66\.3 +58\.2 +61\.3/);
  expect(table).toMatch(/LLaVA-Bench \(in the wild\) .* 91\.2 +65\.4 +72\.5/);
});

test("the page stands alone and holds what it shows", async () => {
  const html = await readFile(page, "utf8");
  expect(html.match(/(src|href)="(?!#|data:)[^"]*"/g)).toBeNull();
  expect(html).not.toMatch(/https?:\/\//);
  const articles = html.match(/<article data-verdict="\w+"/g) ?? [];
  const count = (verdict: string) => articles.filter((one) => one.includes(`"${verdict}"`)).length;
  // 18 of POPE (11 right), 7 of MMBench (2), 1 of VQAv2, 8 of TextVQA (2, and 5 in part), 6 of LLaVA-Bench (1, 4).
  expect(articles).toHaveLength(40);
  expect([count("none"), count("right"), count("part"), count("wrong")]).toEqual([
    1,
    11 + 2 + 2 + 1,
    5 + 4,
    7 + 5 + 1 + 1,
  ]);
  // One picture for all of POPE, one a row for MMBench: the table tells no more.
  const uris: string[] = JSON.parse(/id="pictures">(.*?)<\/script>/s.exec(html)?.[1] ?? "");
  expect(uris).toHaveLength(8);
  for (const uri of uris) expect(uri).toMatch(/^data:image\/jpeg;base64,/);
  expect(html.match(/<img data-picture="0"/g)).toHaveLength(18);
  expect(html).toContain("Picture of question 1: it could not be read");
});

test("texts from outside are text", async () => {
  const html = await readFile(page, "utf8");
  expect(html).toContain("&lt;img src=x onerror=alert(1)&gt;&lt;/script&gt;&amp;amp;?");
  expect(html).not.toContain("<img src=x");
  expect(html).toContain('<span class="text">&lt;b&gt;</span>');
});

test("a long run is shown in part, half of it what is not right", async () => {
  const short = join(out, "short", "page.html");
  await report(out, { out: short, items: 4 });
  const html = await readFile(short, "utf8");
  const pope = /<section id="run-\d+" data-run="\d+">\s*<h2>POPE.*?<\/section>/s.exec(html)?.[0] ?? "";
  expect(pope).toContain("of 4 (chosen from 18) shown");
  expect(pope.match(/data-verdict="right"/g)).toHaveLength(2);
  expect(pope.match(/data-verdict="wrong"/g)).toHaveLength(2);
});

test("a folder without runs", async () => {
  const empty = join(out, "empty");
  await mkdir(empty);
  await expect(report(empty)).rejects.toThrow(/there are no runs here/);
  await writeFile(join(empty, "x.score.json"), '{"benchmark": 3}');
  await expect(report(empty)).rejects.toThrow(/x\.score\.json: .*benchmark/);
});
