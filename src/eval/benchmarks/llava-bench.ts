import { basename } from "node:path";
import { count } from "../answers.ts";
import type { Benchmark, Item, Judged, JudgeFiles, Printer, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { byKey, field, idText, keyField, listField, objectField, wrongType } from "../fields.ts";
import { isFile, type Line, parse, type Row, readJsonObject, readLines, readRows, row } from "../files.ts";
import { groupBy } from "../groups.ts";
import { needed } from "../needed.ts";
import {
  asNumber,
  dumps,
  float,
  isObject,
  type Json,
  keyOf,
  pythonText,
  truthy,
  type Writable,
} from "../python/json.ts";
import { parseFloatText, repr, round, sum } from "../python/numbers.ts";
import { compareText } from "../python/text.ts";
import { questionLines } from "../questions.ts";
import { readValues, replyOf } from "../replies.ts";

const JUDGE = "gpt-4-0314";
const ROLE = "You are a helpful and precise assistant for checking the quality of the answer.";

export const llavaBench: Benchmark = {
  name: "llava-bench",
  title: "LLaVA-Bench (in the wild)",
  figure: "relative score, %",
  best: 100,
  published: { "LLaVA-1.5 7B": 65.4, "LLaVA-1.5 13B": 72.5 },
  maxNewTokens: 1024,
  questions: questionLines,
  judge,
};

/** One comparison: reference and candidate for a question. */
interface Comparison {
  request: Writable;
  /** The review's fields before those that the judge gives. */
  review: readonly [string, Json][];
}

async function judge(files: JudgeFiles, printer: Printer): Promise<Judged> {
  if (files.replies !== undefined && (await holdsReviews(files.replies, files.answers === undefined))) {
    printer.print(`${configName(files.replies)}\n`);
    const reviews = (await readValues(files.replies)).map(row);
    return { requests: [], scored: summarise(reviews, files, printer) };
  }
  const before =
    files.record !== undefined && (await isFile(files.record)) ? await readRows(files.record) : [];
  const comparisons = await compare(files);
  if (files.replies === undefined) return { requests: requestsOf(comparisons, before.length) };
  const open = [...comparisons].slice(before.length);
  const values = await readValues(files.replies);
  if (values.length !== open.length) {
    throw new BenchmarkError(
      `${files.replies}: ${count(open.length, "request")} and ${count(values.length, "reply", "replies")}. They belong ` +
        "together by their order.",
      {
        item: Math.min(values.length, open.length) + before.length + 1,
        expected: open.length,
        got: values.length,
      },
    );
  }
  const reviews = open.map(({ review }, index): Row => {
    const { text } = replyOf(values[index]);
    const judged: [string, Json][] = [...review, ["content", text], ["tuple", scoresOf(text)]];
    return { value: new Map(judged), where: `reply ${index + 1}` };
  });
  printer.print(`${configName(files.record ?? files.replies)}\n`);
  return {
    requests: open.map(({ request }) => request),
    record: { text: reviews.map(({ value }) => `${dumps(value)}\n`).join(""), append: true },
    scored: summarise([...before, ...reviews], files, printer),
  };
}

/** Whether a file holds reviews, not replies: by its first line. */
async function holdsReviews(path: string, ifEmpty: boolean): Promise<boolean> {
  const [first] = await readLines(path);
  if (first === undefined) return ifEmpty;
  try {
    const value = parse(first.text, first.where);
    return isObject(value) && (value.has("tuple") || value.has("score"));
  } catch (error) {
    if (error instanceof BenchmarkError) return false;
    throw error;
  }
}

function configName(path: string): string {
  return basename(path).replaceAll("gpt4_text_", "").replaceAll(".jsonl", "");
}

/** The requests after the first `done`. Those too are made: the original stops at a bad one all the same. */
function* requestsOf(comparisons: Iterable<Comparison>, done: number): Generator<Writable> {
  let index = 0;
  for (const { request } of comparisons) if (index++ >= done) yield request;
}

/** Question, reference and candidate by their place; the shortest file ends it. */
async function compare(files: JudgeFiles): Promise<Iterable<Comparison>> {
  const rulePath = needed(files, "rule");
  const rules = { value: await readJsonObject(rulePath), where: rulePath };
  const contexts = byKey(await readRows(needed(files, "context")), "image");
  const triple = (["questions", "reference", "answers"] as const).map((name) =>
    readLines(needed(files, name)),
  );
  const [questions, references, candidates] = await Promise.all(triple);
  const length = Math.min(questions.length, references.length, candidates.length);
  const read = ({ text, where }: Line) => row({ value: parse(text, where), where });
  return (function* () {
    for (let i = 0; i < length; i++) {
      yield comparison(i, read(questions[i]), read(references[i]), read(candidates[i]), contexts, rules);
    }
  })();
}

function comparison(
  index: number,
  question: Row,
  reference: Row,
  candidate: Row,
  contexts: ReadonlyMap<string, Row>,
  rules: Row,
): Comparison {
  const id = idText(question);
  const context = contexts.get(keyField(question, "image"));
  if (context === undefined) {
    throw new BenchmarkError(
      `question ${id}: the context file has nothing about ${dumps(field(question, "image"))}.`,
      {
        item: id,
      },
    );
  }
  const category = `llava_bench_${pythonText(field(question, "category"))}`;
  if (!rules.value.has(category)) {
    throw new BenchmarkError(`question ${id}: the rule file has no category ${category}.`, {
      item: id,
      got: category,
    });
  }
  const rule = objectField(rules, category);
  const content = judgePrompt(
    [caption(context), textOf(question), textOf(reference), textOf(candidate)],
    pythonText(field(rule, "role")),
    pythonText(field(rule, "prompt")),
  );
  const referenceId = field(reference, "question_id");
  return {
    request: {
      model: JUDGE,
      messages: [
        { role: "system", content: ROLE },
        { role: "user", content },
      ],
      temperature: 0.2,
      max_tokens: 1024,
    },
    review: [
      ["id", index + 1],
      ["question_id", field(question, "question_id")],
      ["answer1_id", reference.value.has("answer_id") ? field(reference, "answer_id") : referenceId],
      ["answer2_id", field(candidate, "answer_id")],
      ["category", category],
    ],
  };
}

const textOf = (row: Row) => pythonText(field(row, "text"));

function caption(context: Row): string {
  const value = field(context, "caption");
  if (!Array.isArray(value)) return pythonText(value);
  return value
    .map((part) => {
      if (typeof part === "string") return part;
      throw wrongType(context, "caption", "a text or a list of texts", value);
    })
    .join("\n");
}

function judgePrompt(
  [caption, question, reference, candidate]: string[],
  role: string,
  rule: string,
): string {
  const answer = (text: string, n: number) => `[${role} ${n}]\n${text}\n\n[End of ${role} ${n}]\n\n`;
  return (
    `[Context]\n${caption}\n\n[Question]\n${question}\n\n` +
    `${answer(reference, 1)}${answer(candidate, 2)}[System]\n${rule}\n\n`
  );
}

/** The two numbers of the first line; [-1, -1] where it is not just two numbers. */
function scoresOf(reply: string): Json[] {
  const parts = reply.split("\n")[0].replaceAll(",", " ").split(" ");
  const numbers = parts.map(parseFloatText);
  const [first, second] = numbers;
  if (parts.length !== 2 || first === undefined || second === undefined) return [-1, -1];
  return [float(first), float(second)];
}

/** The means over the reviews, by category and over all. */
function summarise(reviews: readonly Row[], files: JudgeFiles, printer: Printer): Scored {
  const ignored = new Set(files.ignore.map(String));
  const counted = reviews.filter((review) => !ignored.has(keyOf(field(review, "question_id")) ?? ""));
  const all = counted.map((review) => ({ review, pair: pairOf(review), category: categoryOf(review) }));
  const groups = groupBy(
    all.filter(({ category }) => category !== undefined),
    ({ category }) => category ?? "",
  );
  if (all.length > 0) groups.set("all", all);
  warnFailed(
    all.map(({ pair }) => pair),
    printer,
  );
  const scores: Record<string, { relative: number; reference: number; candidate: number }> = {};
  for (const [name, members] of [...groups].sort(([a], [b]) => compareText(a, b))) {
    scores[name] = means(
      name,
      members.map(({ pair }) => pair),
    );
    const { relative, reference, candidate } = scores[name];
    printer.print(`${[name, repr(relative), repr(reference), repr(candidate)].join(" ")}\n`);
  }
  printer.print("=================================\n");
  return {
    scores,
    figure: scores.all?.relative ?? Number.NaN,
    parts: Object.entries(scores)
      .filter(([name]) => name !== "all")
      .map(([name, { relative }]) => ({ name, value: relative, count: groups.get(name)?.length ?? 0 })),
    items: all.map(({ review, pair }) => item(review, pair)),
  };
}

/** @throws BenchmarkError where a review with a category has no `tuple`, or one without neither that nor a `score` */
function pairOf(review: Row): [number, number] {
  const name = review.value.has("category") || review.value.has("tuple") ? "tuple" : "score";
  const numbers = listField(review, name).map(asNumber);
  const [reference, candidate] = numbers;
  if (reference === undefined || candidate === undefined) {
    throw wrongType(review, name, "two numbers", field(review, name));
  }
  return [reference, candidate];
}

function categoryOf(review: Row): string | undefined {
  return review.value.has("category") ? pythonText(field(review, "category")) : undefined;
}

function warnFailed(pairs: readonly [number, number][], printer: Printer): void {
  const failed = pairs.filter(([reference, candidate]) => reference === -1 && candidate === -1).length;
  if (failed > 0)
    printer.warn(`${count(failed, "reply", "replies")} without two numbers: they stay in the means as -1`);
}

function means(name: string, pairs: readonly [number, number][]) {
  const mean = (which: 0 | 1) => round(sum(pairs.map((pair) => pair[which])) / pairs.length, 3);
  const [reference, candidate] = [mean(0), mean(1)];
  if (reference === 0) {
    throw new BenchmarkError(`${name}: the reference's mean is 0, so there is no relative score.`, {
      item: name,
    });
  }
  return {
    relative: round((candidate / reference) * 100, 1),
    reference: round(reference * 10, 1),
    candidate: round(candidate * 10, 1),
  };
}

function item(review: Row, [reference, candidate]: [number, number]): Item {
  const content = review.value.get("content") ?? null;
  return {
    id: pythonText(field(review, "question_id")),
    group: categoryOf(review) ?? "",
    question: "",
    answer: truthy(content) ? pythonText(content) : null,
    expected: `reference ${reference}, candidate ${candidate}`,
    score: reference > 0 ? Math.max(0, Math.min(1, candidate / reference)) : 0,
  };
}
