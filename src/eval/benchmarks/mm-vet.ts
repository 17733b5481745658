import { count } from "../answers.ts";
import type { Benchmark, Item, Judged, JudgeFiles, Printer, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { field, idText, listField, textField } from "../fields.ts";
import { decodeUtf8, type Located, type Row, readBytes, readJsonObject, readRows, row } from "../files.ts";
import { needed } from "../needed.ts";
import {
  asNumber,
  dumps,
  float,
  isObject,
  type Json,
  type JsonObject,
  pythonText,
  type Writable,
} from "../python/json.ts";
import { numpyRound, numpyStd, numpySum, parseFloatText, repr } from "../python/numbers.ts";
import { strip } from "../python/text.ts";
import { questionLines } from "../questions.ts";
import { type Reply, readValues, replyOf } from "../replies.ts";

const JUDGE = "gpt-4-0613";
const AGAIN = "\nPredict the correctness of the answer (digit): ";
/** How often the judge is asked again; the last of these replies is not read any more. */
const RENEWALS = 5;

export const mmVet: Benchmark = {
  name: "mm-vet",
  title: "MM-Vet",
  figure: "score, %",
  best: 100,
  published: { "LLaVA-1.5 7B": 31.1, "LLaVA-1.5 13B": 36.1 },
  maxNewTokens: 1024,
  questions: questionLines,
  converter: {
    needs: [],
    extension: ".json",
    async *convert({ answers }) {
      yield { name: null, bytes: dumps(results(await readRows(answers)), 2) };
    },
  },
  judge,
};

/** Answers by the name that MM-Vet gives a question; of several the last, in the place of the first. */
function results(answers: readonly Row[]): Map<string, Json> {
  return new Map(answers.map((answer): [string, Json] => [`v1_${idText(answer)}`, field(answer, "text")]));
}

/** The grades of one question, one entry a run. */
interface Grade {
  model: string[];
  content: string[];
  score: number[];
}

async function judge(files: JudgeFiles, printer: Printer): Promise<Judged> {
  const path = needed(files, "annotations");
  const questions = { value: await readJsonObject(path), where: path };
  const values = files.replies === undefined ? [] : await readValues(files.replies);
  const graded = gradesOf(values);
  if (graded !== undefined) {
    return { requests: [], scored: aggregate(graded, questions, files.runs, undefined, printer) };
  }
  const answers = await readResults(needed(files, "answers"));
  const promptFile = needed(files, "judgePrompt");
  const prompt = decodeUtf8(await readBytes(promptFile), promptFile);
  const ask = (id: string) => `${prompt}\n${question(id, questions, answers)}`;
  const ids = [...questions.value.keys()];
  if (files.replies === undefined) return { requests: firstRequests(ids, files.runs, ask) };
  const { grades, open } = readGrades(ids, files.runs, queues(values, ids), ask);
  if (open.length > 0) return { requests: open, missing: open.length };
  const record = Object.fromEntries(
    [...grades].map(([id, grade]) => [id, { ...grade, score: grade.score.map(float) }]),
  );
  const scored = aggregate(grades, questions, files.runs, answers, printer);
  return { requests: [], record: { text: dumps(record, 4), append: false }, scored };
}

/** The converted results, or answer lines. */
async function readResults(path: string): Promise<Map<string, Json>> {
  const [first, ...more] = await readValues(path);
  const isResults = more.length === 0 && isObject(first?.value) && !first.value.has("question_id");
  return isResults ? (first.value as JsonObject) : results([first, ...more].filter(Boolean).map(row));
}

function question(id: string, questions: Row, answers: ReadonlyMap<string, Json>): string {
  const asked = questionRow(id, questions);
  const answer = answers.get(id);
  if (typeof answer !== "string") throw new BenchmarkError(`question ${id} was not answered.`, { item: id });
  const truth = textField(asked, "answer").replaceAll("<AND>", " <AND> ").replaceAll("<OR>", " <OR> ");
  return [textField(asked, "question"), truth, answer, ""].join(" | ");
}

function questionRow(id: string, questions: Row): Row {
  const value = questions.value.get(id);
  if (value !== undefined) return row({ value, where: `${questions.where}, ${id}` });
  throw new BenchmarkError(`${questions.where} has no question ${id}.`, { item: id });
}

function* firstRequests(
  ids: readonly string[],
  runs: number,
  ask: (id: string) => string,
): Generator<Writable> {
  for (let run = 0; run < runs; run++) for (const id of ids) yield request(ask(id), 0);
}

function request(content: string, temperature: number): Writable {
  return {
    model: JUDGE,
    max_tokens: 3,
    temperature: float(temperature),
    messages: [{ role: "user", content }],
  };
}

/** Replies by question, taken from the front; or one queue for all, in the order of the requests. */
type Queues = (id: string, run: number) => Reply | undefined;

function queues(values: readonly Located[], ids: readonly string[]): Queues {
  const [first] = values;
  if (values.length === 1 && isObject(first.value) && ids.some((id) => (first.value as JsonObject).has(id))) {
    return perQuestion(first.value, first.where);
  }
  if (values.every(({ value }) => isObject(value) && value.has("id") && value.has("replies"))) {
    const lists = values.map((value): [string, Json] => [
      textField(row(value), "id"),
      field(row(value), "replies"),
    ]);
    return perQuestion(new Map(lists), first?.where ?? "");
  }
  const queue = values.map(replyOf);
  return () => queue.shift();
}

/** Per question a list of replies, or a list of such lists, one a run. */
function perQuestion(lists: JsonObject, where: string): Queues {
  const byRun = new Map<string, Reply[][]>();
  for (const [id, value] of lists) {
    const located = { value: new Map([[id, value]]), where };
    const entries = Array.isArray(value) ? value : [value];
    const runs = entries.every(Array.isArray) && entries.length > 0 ? (entries as Json[][]) : [entries];
    byRun.set(
      id,
      runs.map((run) => run.map((reply) => replyOf({ value: reply, where: `${located.where}, ${id}` }))),
    );
  }
  return (id, run) => {
    const runs = byRun.get(id) ?? [];
    return (runs.length > 1 ? runs[run] : runs[0])?.shift();
  };
}

/**
 * Goes through the replies as the original goes through its questions.
 *
 * @returns `open`: the requests whose replies are missing
 */
function readGrades(ids: readonly string[], runs: number, next: Queues, ask: (id: string) => string) {
  const grades = new Map<string, Grade>();
  const open: Writable[] = [];
  for (let run = 0; run < runs; run++) {
    for (const id of ids) {
      const grade = grades.get(id) ?? { model: [], content: [], score: [] };
      grades.set(id, grade);
      const read = readOne(() => next(id, run));
      if ("missing" in read) {
        const renewed = read.missing > 0;
        const body = request(renewed ? ask(id) + AGAIN : ask(id), renewed ? (read.missing - 1) / 2 : 0);
        open.push({ id, run: run + 1, attempt: read.missing + 1, request: body });
        continue;
      }
      grade.model.push(read.reply.model ?? JUDGE);
      grade.content.push(read.content);
      grade.score.push(read.score);
    }
  }
  return { grades, open };
}

type ReadReply = { reply: Reply; content: string; score: number } | { missing: number };

/** The first reply that is a number from 0 to 1; after the last renewal 0. `missing`: how many replies there were. */
function readOne(next: () => Reply | undefined): ReadReply {
  for (let attempt = 0; ; attempt++) {
    const reply = next();
    if (reply === undefined) return { missing: attempt };
    if (attempt === RENEWALS) return { reply, content: reply.text, score: 0 };
    const content = strip(reply.text.split(" ")[0]);
    const score = parseFloatText(content);
    if (score !== undefined && !(score > 1) && !(score < 0)) return { reply, content, score };
  }
}

/** The grades of a grades file; undefined where the values are something else. */
function gradesOf(values: readonly Located[]): Map<string, Grade> | undefined {
  const [first] = values;
  if (values.length !== 1 || !isObject(first.value) || first.value.size === 0) return undefined;
  const entries = [...first.value];
  if (!entries.every(([, value]) => isObject(value) && value.has("score"))) return undefined;
  return new Map(
    entries.map(([id, value]) => {
      const grade = row({ value, where: `${first.where}, ${id}` });
      const score = listField(grade, "score").map((one) => asNumber(one) ?? Number.NaN);
      return [id, { model: [], content: [], score }];
    }),
  );
}

/** Sums of scores by name and run, with how many questions the name has. */
class Tally {
  readonly sums = new Map<string, number[]>();
  readonly sizes = new Map<string, number>();

  /** One more question with this name. */
  expect(name: string): void {
    this.sizes.set(name, (this.sizes.get(name) ?? 0) + 1);
  }

  add(name: string, run: number, runs: number, score: number): void {
    const sums = this.sums.get(name) ?? new Array<number>(runs).fill(0);
    this.sums.set(name, sums);
    sums[run] += score;
  }

  /** In percent, by run. */
  percent(name: string, runs: number): number[] {
    const sums = this.sums.get(name) ?? new Array<number>(runs).fill(0);
    return sums.map((sum) => (sum / (this.sizes.get(name) ?? 0)) * 100);
  }
}

const TOTAL = "total";

function aggregate(
  grades: ReadonlyMap<string, Grade>,
  questions: Row,
  runs: number,
  answers: ReadonlyMap<string, Json> | undefined,
  printer: Printer,
): Scored {
  const single = new Tally();
  const sets = new Tally();
  const capabilities = new Map<string, string[]>();
  for (const id of questions.value.keys()) {
    const own = capabilitiesOf(questionRow(id, questions));
    capabilities.set(id, own);
    for (const name of [...own, TOTAL]) single.expect(name);
    sets.expect(own.join("_"));
  }
  for (const [id, { score }] of grades) {
    const own = capabilities.get(id) ?? capabilitiesOf(questionRow(id, questions));
    for (let run = 0; run < runs; run++) {
      const value = score[run];
      if (value === undefined) {
        throw new BenchmarkError(`question ${id} was judged ${count(score.length, "time")}, not ${runs}.`, {
          item: id,
        });
      }
      for (const name of [...own, TOTAL]) single.add(name, run, runs, value);
      sets.add(own.join("_"), run, runs, value);
    }
  }
  return report(single, sets, runs, items(grades, questions, capabilities, answers), printer);
}

/** Sorted, because Python's sets have no order. */
function capabilitiesOf(question: Row): string[] {
  return [...new Set(listField(question, "capability").map(pythonText))].sort();
}

function report(single: Tally, sets: Tally, runs: number, items: Item[], printer: Printer): Scored {
  const mean = (tally: Tally, name: string) => {
    const values = tally.percent(name, runs);
    return numpyRound(numpySum(values) / values.length);
  };
  const totals = single.percent(TOTAL, runs);
  const bySize = (tally: Tally) =>
    [...tally.sizes]
      .filter(([name]) => name !== TOTAL)
      .sort(([, a], [, b]) => b - a)
      .map(([name]) => name);
  const scores = {
    total: repr(mean(single, TOTAL)),
    std: repr(numpyRound(numpyStd(totals))),
    runs: `[${totals.map((total) => repr(numpyRound(total))).join(", ")}]`,
  };
  const table = (tally: Tally) => bySize(tally).map((name) => [name, repr(mean(tally, name))] as const);
  for (const rows of [table(single), table(sets)]) {
    for (const [name, value] of [...rows, ...Object.entries(scores)]) printer.print(`${name}: ${value}\n`);
    printer.print("\n");
  }
  return {
    scores,
    figure: mean(single, TOTAL),
    parts: bySize(single).map((name) => ({
      name,
      value: mean(single, name),
      count: single.sizes.get(name) ?? 0,
    })),
    items,
    details: {
      cap_score: { ...Object.fromEntries(table(single)), ...scores },
      cap_int_score: { ...Object.fromEntries(table(sets)), ...scores },
    },
  };
}

function items(
  grades: ReadonlyMap<string, Grade>,
  questions: Row,
  capabilities: ReadonlyMap<string, string[]>,
  answers: ReadonlyMap<string, Json> | undefined,
): Item[] {
  return [...grades].map(([id, { score }]) => {
    const asked = questionRow(id, questions);
    const answer = answers?.get(id);
    return {
      id: id.replace(/^v1_/, ""),
      group: capabilities.get(id)?.join(" ") ?? "",
      question: textField(asked, "question"),
      answer: typeof answer === "string" ? answer : null,
      expected: textField(asked, "answer"),
      score: numpySum(score) / score.length,
    };
  });
}
