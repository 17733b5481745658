import { count, latest } from "../answers.ts";
import type { Benchmark, Files, Item, Printer, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { field, listField, objectField, textField } from "../fields.ts";
import { type Row, readJsonObject, readRows, row } from "../files.ts";
import { groupBy } from "../groups.ts";
import { dumps, keyOf, pythonText, truthy } from "../python/json.ts";
import { fixed, sum } from "../python/numbers.ts";
import { compareText, words } from "../python/text.ts";
import { questionLines } from "../questions.ts";

/** What the evaluator prints before it reads the predictions. */
const PREFACE = `Please make sure to use our provided visual features as gqadataset.org for better comparability. We provide both spatial and object-based features trained on GQA train set.
In particular please avoid using features from https://github.com/peteanderson80/bottom-up-attention since they were trained on images contained in the GQA validation set and thus may give false scores improvement.

Please consider using --consistency to compute consistency scores for entailed questions.
If you do so, please provide answers to all questions in val_all_questions.json.

Please consider using --grounding to compute attention scores.
If you do so, please provide attention maps through --attentions.

Loading scene graphs...
Failed to load scene graphs -- cannot evaluate grounding
Loading questions...
`;
const LOADED = `Loading choices...
Failed to load choices -- cannot evaluate validity or plausibility
Loading predictions...
`;

export const gqa: Benchmark = {
  name: "gqa",
  title: "GQA",
  figure: "accuracy, %",
  best: 100,
  published: { "LLaVA-1.5 7B": 62.0, "LLaVA-1.5 13B": 63.3 },
  maxNewTokens: 128,
  questions: questionLines,
  scorer: { needs: ["annotations"], score },
  converter: {
    needs: [],
    extension: ".json",
    async *convert({ answers }) {
      const predictions = (await readRows(answers)).map((answer) => ({
        questionId: field(answer, "question_id"),
        prediction: prediction(answer),
      }));
      yield { name: "testdev_balanced_predictions.json", bytes: dumps(predictions) };
    },
  },
};

/** The answer without full stops at its end, in small letters. */
function prediction(answer: Row): string {
  return textField(answer, "text").replace(/\.+$/, "").toLowerCase();
}

/** One balanced question and how it was answered. */
interface Answered {
  id: string;
  question: string;
  gold: string;
  predicted: string;
  right: boolean;
  structural: string;
  semantic: string;
  steps: number;
  words: number;
  /** Null: in no group. */
  group: string | null;
}

async function score({ answers, annotations = "" }: Files, printer: Printer): Promise<Scored> {
  const rows = latest(await readRows(answers), printer);
  const predictions = new Map([...rows].map(([key, answer]) => [key, prediction(answer)]));
  printer.print(PREFACE);
  const questions = await readJsonObject(annotations);
  printer.print(LOADED);
  const answered = [...match(questions.keys(), questions, annotations, predictions, printer)];
  warnUnknown(predictions, questions, printer);
  return report(answered, printer);
}

function* match(
  ids: Iterable<string>,
  questions: ReadonlyMap<string, Parameters<typeof row>[0]["value"]>,
  where: string,
  predictions: ReadonlyMap<string, string>,
  printer: Printer,
): Generator<Answered> {
  const balanced: Row[] = [];
  const names: string[] = [];
  for (const id of ids) {
    const question = row({ value: questions.get(id) ?? null, where: `${where}, question ${id}` });
    const counts = truthy(field(question, "isBalanced"));
    if (counts && !predictions.has(keyOf(id) ?? "")) {
      printer.print(`no prediction for question ${id}. Please add prediction for all questions.\n`);
      throw new BenchmarkError(`missing predictions: question ${id} was not answered.`, { item: id });
    }
    if (!counts) continue;
    balanced.push(question);
    names.push(id);
  }
  for (const [index, question] of balanced.entries()) {
    const id = names[index];
    yield answeredQuestion(id, question, predictions.get(keyOf(id) ?? "") ?? "");
  }
}

function answeredQuestion(id: string, question: Row, predicted: string): Answered {
  const types = objectField(question, "types");
  const gold = pythonText(field(question, "answer"));
  const group = field(objectField(question, "groups"), "global");
  const text = textField(question, "question");
  return {
    id,
    question: text,
    gold,
    predicted,
    right: predicted === gold,
    structural: pythonText(field(types, "structural")),
    semantic: pythonText(field(types, "semantic")),
    steps: steps(question),
    words: words(text).length,
    group: group === null ? null : pythonText(group),
  };
}

/** The steps of reasoning that a question takes; the last, which asks, is not one. */
function steps(question: Row): number {
  const operations = listField(question, "semantic").map((value, index) => {
    const operation = row({ value, where: `${question.where}, semantic ${index + 1}` });
    return `${pythonText(field(operation, "operation"))}: ${pythonText(field(operation, "argument"))}`;
  });
  const asking = ["exist", "query: name", "choose name"];
  return operations.filter((text) => !asking.some((part) => text.includes(part))).length;
}

function warnUnknown(
  predictions: ReadonlyMap<string, string>,
  questions: ReadonlyMap<string, unknown>,
  printer: Printer,
): void {
  const known = new Set([...questions.keys()].map((id) => keyOf(id)));
  const unknown = [...predictions.keys()].filter((key) => !known.has(key)).length;
  if (unknown > 0) printer.warn(`${count(unknown, "answer")} to questions that the annotations do not have`);
}

function report(answered: readonly Answered[], printer: Printer): Scored {
  const distribution = chiSquare(answered) / 100;
  const isOpen = ({ structural }: Answered) => structural === "query";
  const scores = {
    Binary: fixed(percentage(answered.filter((one) => !isOpen(one))), 2),
    Open: fixed(percentage(answered.filter(isOpen)), 2),
    Accuracy: fixed(percentage(answered), 2),
    Validity: "0.00",
    Plausibility: "0.00",
    Distribution: fixed(distribution, 2),
  };
  printer.print("\n");
  for (const [name, value] of Object.entries(scores)) {
    printer.print(`${name}: ${value}${name === "Distribution" ? " (lower is better)" : "%"}\n`);
  }
  const byNumber = (a: string, b: string) => Number(a) - Number(b);
  printGroups("structural type", answered, (one) => one.structural, compareText, printer);
  const semantic = printGroups("semantic type", answered, (one) => one.semantic, compareText, printer);
  printGroups("steps number", answered, (one) => String(one.steps), byNumber, printer);
  printGroups("words number", answered, (one) => String(one.words), byNumber, printer);
  return { scores, figure: percentage(answered), parts: semantic, items: answered.map(item) };
}

function percentage(answered: readonly Answered[]): number {
  if (answered.length === 0) return 0;
  return (sum(answered.map(({ right }) => (right ? 1 : 0))) / answered.length) * 100;
}

function printGroups(
  title: string,
  answered: readonly Answered[],
  key: (one: Answered) => string,
  compare: (a: string, b: string) => number,
  printer: Printer,
) {
  printer.print(`\nAccuracy / ${title}:\n`);
  const groups = [...groupBy(answered, key)].sort(([a], [b]) => compare(a, b));
  return groups.map(([name, members]) => {
    const value = percentage(members);
    printer.print(`  ${name}: ${fixed(value, 2)}% (${members.length} questions)\n`);
    return { name, value, count: members.length };
  });
}

/** How far the answers' frequencies are from the right ones', over the questions' groups. */
function chiSquare(answered: readonly Answered[]): number {
  let weighted = 0;
  let total = 0;
  const groups = groupBy(answered, ({ group }) => group);
  groups.delete(null);
  for (const members of groups.values()) {
    let chi = 0;
    for (const [gold, expected] of groupBy(members, (one) => one.gold)) {
      const e = expected.length;
      const o = members.filter(({ predicted }) => predicted === gold).length;
      chi += (o - e) ** 2 / e;
    }
    weighted += chi * members.length;
    total += members.length;
  }
  if (total > 0) return weighted / total;
  throw new BenchmarkError("no balanced question has a group: the distribution cannot be computed.", {
    item: "groups.global",
  });
}

function item({ id, question, predicted, gold, right, semantic }: Answered): Item {
  return { id, group: semantic, question, answer: predicted, expected: gold, score: right ? 1 : 0 };
}
