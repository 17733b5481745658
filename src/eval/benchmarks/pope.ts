import { join } from "node:path";
import { count } from "../answers.ts";
import type { Benchmark, Files, Item, Printer, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { byKey, field, idText, keyField, textField } from "../fields.ts";
import { type Row, readFolder, readRows } from "../files.ts";
import { pythonText } from "../python/json.ts";
import { fixed, repr, sum } from "../python/numbers.ts";
import { questionLines, SHORT } from "../questions.ts";

const LABEL_FILE = /^coco_pope_(.*)\.json$/s;

export const pope: Benchmark = {
  name: "pope",
  title: "POPE",
  figure: "mean F1 x 100",
  best: 100,
  published: { "LLaVA-1.5 7B": 85.9, "LLaVA-1.5 13B": 85.9 },
  maxNewTokens: 128,
  questions: questionLines,
  scorer: { needs: ["annotations", "questions"], score },
};

/** The figures of one category. */
interface Counts {
  samples: number;
  TP: number;
  FP: number;
  TN: number;
  FN: number;
  accuracy: number;
  precision: number;
  recall: number;
  f1: number;
  yes_ratio: number;
  /** The last printed line. */
  line: string;
}

async function score(
  { answers, questions = "", annotations = "" }: Files,
  printer: Printer,
): Promise<Scored> {
  const asked = byKey(await readRows(questions), "question_id");
  const replies = await readRows(answers);
  const categories = (await readFolder(annotations)).map(categoryOf);
  const scores: Record<string, Counts> = {};
  const items: Item[] = [];
  for (const category of categories) {
    const own = replies.filter((reply) => textOrNull(question(reply, asked), "category") === category);
    printer.print(`Category: ${category}, # samples: ${own.length}\n`);
    const labels = await readRows(join(annotations, `coco_pope_${category}.json`));
    const judged = judge(own, labels);
    warn(category, own.length, labels.length, printer);
    scores[category] = report(category, judged, own.length, printer);
    items.push(...judged.pairs.map(([reply, yes, label]) => item(category, reply, yes, label)));
  }
  const f1s = Object.values(scores).map(({ f1 }) => f1);
  if (f1s.length === 0)
    throw new BenchmarkError(`${annotations}: there are no label files.`, { item: annotations });
  return {
    scores: { ...scores },
    figure: (100 * sum(f1s)) / f1s.length,
    parts: Object.entries(scores).map(([name, { f1, samples }]) => ({
      name,
      value: 100 * f1,
      count: samples,
    })),
    items,
    details: { mean_f1_times_100: (100 * sum(f1s)) / f1s.length },
  };
}

function categoryOf(file: string): string {
  const category = LABEL_FILE.exec(file)?.[1];
  if (category !== undefined) return category;
  throw new BenchmarkError(
    `${file}: the folder of the labels may hold nothing but files named coco_pope_CATEGORY.json.`,
    { item: file, expected: "coco_pope_CATEGORY.json" },
  );
}

function question(reply: Row, asked: ReadonlyMap<string, Row>): Row {
  const found = asked.get(keyField(reply, "question_id"));
  if (found !== undefined) return found;
  throw new BenchmarkError(
    `question ${idText(reply)} was answered, and the question file does not have it.`,
    {
      item: idText(reply),
    },
  );
}

function textOrNull(row: Row, name: string): string | null {
  const value = field(row, name);
  return typeof value === "string" ? value : null;
}

interface Judged {
  /** The replies that count, with what they say and what is right. */
  pairs: [Row, yes: boolean, label: boolean][];
  /** Those that say yes, whether they count or not. */
  yes: number;
}

/** The i-th reply belongs to the i-th label: their ids do not match. */
function judge(replies: readonly Row[], labels: readonly Row[]): Judged {
  const right = labels.map((label) => field(label, "label") !== "no");
  const said = replies.map((reply) => saysYes(textField(reply, "text")));
  const pairs = replies
    .slice(0, right.length)
    .map((reply, index): Judged["pairs"][number] => [reply, said[index], right[index]]);
  return { pairs, yes: said.filter(Boolean).length };
}

function saysYes(reply: string): boolean {
  const words = reply.split(".")[0].replaceAll(",", "").split(" ");
  return !["No", "not", "no"].some((word) => words.includes(word));
}

function warn(category: string, replies: number, labels: number, printer: Printer): void {
  if (replies === labels) return;
  const later = category === "random" && labels === 3000;
  printer.warn(
    `${category}: ${count(replies, "answer")} and ${count(labels, "label")}. They are matched by their place, so the ` +
      `figures of this category mean nothing${later ? ": take the random file of 2,910 lines (POPE commit e3e3926)" : ""}`,
  );
}

function report(category: string, { pairs, yes }: Judged, replies: number, printer: Printer): Counts {
  const yesRatio = divide(yes, replies, category, "no answers");
  const tally = (said: boolean, label: boolean) =>
    pairs.filter(([, y, l]) => y === said && l === label).length;
  const [TP, FP, TN, FN] = [tally(true, true), tally(true, false), tally(false, false), tally(false, true)];
  printer.print(`TP\tFP\tTN\tFN\t\n${TP}\t${FP}\t${TN}\t${FN}\n`);
  const precision = divide(TP, TP + FP, category, "no reply says yes");
  const recall = divide(TP, TP + FN, category, "no label says yes");
  const f1 = divide(2 * precision * recall, precision + recall, category, "no yes is right");
  const accuracy = (TP + TN) / (TP + TN + FP + FN);
  const figures = { accuracy, precision, recall, f1, yes_ratio: yesRatio };
  const line = [f1, accuracy, precision, recall, yesRatio].map((value) => fixed(value, 3)).join(", ");
  const titles = {
    accuracy: "Accuracy",
    precision: "Precision",
    recall: "Recall",
    f1: "F1 score",
    yes_ratio: "Yes ratio",
  };
  for (const [name, title] of Object.entries(titles)) {
    printer.print(`${title}: ${repr(figures[name as keyof typeof figures])}\n`);
  }
  printer.print(`${line}\n====================================\n`);
  return { samples: replies, TP, FP, TN, FN, ...figures, line };
}

function divide(a: number, b: number, category: string, reason: string): number {
  if (b !== 0) return a / b;
  throw new BenchmarkError(`${category}: ${reason}, so there are no figures for this category.`, {
    item: category,
  });
}

function item(category: string, reply: Row, yes: boolean, label: boolean): Item {
  return {
    id: idText(reply),
    group: category,
    question: reply.value.has("prompt") ? pythonText(field(reply, "prompt")).replace(`\n${SHORT}`, "") : "",
    answer: textField(reply, "text"),
    expected: label ? "yes" : "no",
    score: yes === label ? 1 : 0,
  };
}
