import { count, latest } from "../answers.ts";
import type { Benchmark, Files, Item, Part, Printer, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { field, listField, objectField, textField } from "../fields.ts";
import { type Row, readJsonObject, readRows, row } from "../files.ts";
import { asNumber, dumps, type Json, keyOf, pythonText, WholeFloat } from "../python/json.ts";
import { fixed, parseIntText } from "../python/numbers.ts";
import { questionLines } from "../questions.ts";

export const seed: Benchmark = {
  name: "seed",
  title: "SEED-Bench",
  figure: "accuracy, %",
  best: 100,
  published: { "LLaVA-1.5 7B": 58.6, "LLaVA-1.5 13B": 61.6 },
  maxNewTokens: 128,
  questions: questionLines,
  scorer: { needs: ["annotations"], score },
  converter: {
    needs: ["annotations"],
    extension: ".jsonl",
    async *convert({ answers, annotations = "" }, printer) {
      const { questions } = await readAnnotations(annotations);
      const replies = latest(await readRows(answers), printer);
      const lines: string[] = [];
      try {
        for (const question of questions) lines.push(`${dumps(uploadLine(question, replies))}\n`);
      } catch (error) {
        // The original has written the lines before the one it stops at.
        yield { name: null, bytes: lines.join("") };
        throw error;
      }
      yield { name: null, bytes: lines.join("") };
    },
  },
};

interface Annotations {
  /** Names by the key of the type's id. */
  types: Map<string, string>;
  questions: Row[];
}

async function readAnnotations(path: string): Promise<Annotations> {
  const file = { value: await readJsonObject(path), where: path };
  const types = new Map(
    [...objectField(file, "question_type").value].map(([name, id]) => [keyOf(id) ?? "", name]),
  );
  const questions = listField(file, "questions").map((value, index) =>
    row({ value, where: `${path}, question ${index + 1}` }),
  );
  return { types, questions };
}

function uploadLine(question: Row, replies: ReadonlyMap<string, Row>) {
  const id = field(question, "question_id");
  const reply = replies.get(keyOf(id) ?? "") ?? replies.get(keyOf(integer(id) ?? "") ?? "");
  if (reply !== undefined) return { question_id: id, prediction: field(reply, "text") };
  const name = pythonText(id);
  throw new BenchmarkError(`question ${name} was not answered: every question needs an answer.`, {
    item: name,
  });
}

/** Python's `int(value)`; undefined where it raises. */
function integer(value: Json): number | bigint | undefined {
  if (typeof value === "string") return parseIntText(value);
  if (typeof value === "bigint") return value;
  if (typeof value === "boolean") return Number(value);
  const number = value instanceof WholeFloat ? value.value : value;
  return typeof number === "number" && Number.isFinite(number) ? Math.trunc(number) : undefined;
}

/** One question and how it was answered. */
interface Judged {
  question: Row;
  id: string;
  type: Json;
  /** Undefined where it was not answered. */
  reply: Row | undefined;
  right: boolean;
}

async function score({ answers, annotations = "" }: Files, printer: Printer): Promise<Scored> {
  const replies = latest(await readRows(answers), printer);
  const { types, questions } = await readAnnotations(annotations);
  const judged = questions.map((question) => judge(question, replies));
  warn(judged, replies, printer);
  const scores: Record<string, string> = {};
  const parts: Part[] = [];
  const total = tally(judged, types, (type, value, size) => {
    const name = types.get(keyOf(type) ?? "");
    if (name === undefined)
      throw new BenchmarkError(`question type ${pythonText(type)} has no name.`, { item: pythonText(type) });
    scores[name] = fixed(value, 2);
    parts.push({ name, value, count: size });
    printer.print(`${name}: ${scores[name]}%\n`);
  });
  scores.Total = fixed(total, 2);
  printer.print(`Total accuracy: ${scores.Total}%\n`);
  for (const kind of ["image", "video"]) {
    const own = judged.filter(({ question }) => field(question, "data_type") === kind);
    const value = tally(own, types, () => {}, kind);
    scores[kind] = fixed(value, 2);
    parts.push({ name: `all ${kind}s`, value, count: own.length });
    printer.print(`${kind} accuracy: ${scores[kind]}%\n`);
  }
  return { scores, figure: total, parts, items: judged.map((one) => item(one, types)) };
}

function judge(question: Row, replies: ReadonlyMap<string, Row>): Judged {
  const id = field(question, "question_id");
  const type = field(question, "question_type_id");
  const reply = replies.get(keyOf(integer(id) ?? id) ?? "");
  const expected = field(question, "answer");
  const right = reply !== undefined && textField(reply, "text") === expected;
  return { question, id: pythonText(id), type, reply, right };
}

/**
 * The accuracy in percent over all; hands out each type's in the order of their ids.
 *
 * @throws BenchmarkError where every question of a type was answered and none rightly: the original stops there
 */
function tally(
  judged: readonly Judged[],
  types: ReadonlyMap<string, string>,
  each: (type: Json, value: number, size: number) => void,
  kind = "picture or video",
): number {
  const groups = new Map<string, { id: Json; size: number; correct: number | undefined }>();
  for (const { type, reply, right } of judged) {
    const key = keyOf(type) ?? "";
    const group = groups.get(key) ?? { id: type, size: 0, correct: undefined };
    groups.set(key, group);
    group.size++;
    if (reply === undefined || right) group.correct = (group.correct ?? 0) + (right ? 1 : 0);
  }
  let correct = 0;
  for (const group of [...groups.values()].sort((a, b) => order(a.id) - order(b.id))) {
    if (group.correct === undefined)
      throw noneRight(types.get(keyOf(group.id) ?? "") ?? pythonText(group.id));
    each(group.id, (group.correct / group.size) * 100, group.size);
    correct += group.correct;
  }
  if (judged.length > 0) return (correct / judged.length) * 100;
  throw new BenchmarkError(`the annotations have no ${kind} questions, so there is no accuracy for them.`, {
    item: kind,
  });
}

function order(type: Json): number {
  const number = asNumber(type);
  if (number !== undefined) return number;
  throw new BenchmarkError(`a question type's id must be a number, got ${pythonText(type)}.`, {
    item: pythonText(type),
  });
}

function noneRight(type: string): BenchmarkError {
  return new BenchmarkError(
    `${type}: every question of this type was answered and none rightly. The original program fails at this.`,
    { item: type },
  );
}

function warn(judged: readonly Judged[], replies: ReadonlyMap<string, Row>, printer: Printer): void {
  const missing = judged.filter(({ reply }) => reply === undefined);
  if (missing.length === 0) return;
  const asText = missing.filter(({ id }) => replies.has(keyOf(id) ?? "")).length;
  const hint =
    asText > 0 ? ` (${asText} of them have an answer with the id as a text: it must be a number)` : "";
  printer.warn(
    `${count(missing.length, "question")} without an answer ${missing.length === 1 ? "counts" : "count"} as wrong${hint}`,
  );
}

function item({ question, id, type, reply, right }: Judged, types: ReadonlyMap<string, string>): Item {
  const options = ["a", "b", "c", "d"]
    .filter((letter) => question.value.has(`choice_${letter}`))
    .map((letter) => `${letter.toUpperCase()}. ${pythonText(field(question, `choice_${letter}`))}`);
  const text = question.value.has("question") ? [pythonText(field(question, "question"))] : [];
  return {
    id,
    group: types.get(keyOf(type) ?? "") ?? pythonText(type),
    question: [...text, ...options].join("\n"),
    answer: reply === undefined ? null : pythonText(field(reply, "text")),
    expected: pythonText(field(question, "answer")),
    score: right ? 1 : 0,
  };
}
