import { join } from "node:path";
import { count, latest } from "../answers.ts";
import type { Benchmark, Entry, Files, Item, Printer, QuestionFiles, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { field, listField, textField } from "../fields.ts";
import { type Row, readJson, readJsonObject, readRows, row } from "../files.ts";
import { answerLetter, OPTIONS } from "../letters.ts";
import { stem } from "../names.ts";
import { dumps, float, type Json, keyOf, type Writable } from "../python/json.ts";
import { fixed } from "../python/numbers.ts";
import { strip } from "../python/text.ts";
import { LETTER, pictureFile } from "../questions.ts";

export const scienceqa: Benchmark = {
  name: "scienceqa",
  title: "ScienceQA-IMG",
  figure: "accuracy, %",
  best: 100,
  published: { "LLaVA-1.5 7B": 66.8, "LLaVA-1.5 13B": 71.6 },
  maxNewTokens: 1024,
  settings: "short",
  padsUnconverted: true,
  questions,
  scorer: {
    needs: ["annotations"],
    score: async (files, printer) => report(await judged(files, printer), printer),
  },
  converter: {
    needs: ["annotations"],
    extension: undefined,
    async *convert(files, printer) {
      const quiet: Printer = { print: () => {}, warn: (text) => printer.warn(text) };
      const all = await judged(files, quiet);
      report(all, quiet);
      const name = stem(files.answers);
      yield { name: `${name}_output.jsonl`, bytes: dumps(output(all), 2) };
      yield { name: `${name}_result.json`, bytes: dumps(result(all), 2) };
    },
  },
};

/** A JSON list of conversations; those without a picture are asked without one. */
async function questions({ questions: path, images }: QuestionFiles): Promise<Entry[]> {
  const list = await readJson(path);
  if (!Array.isArray(list)) throw new BenchmarkError(`${path}: expected a JSON list.`, { where: path });
  return list.map((value, index) => [
    () => {
      const entry = row({ value, where: `${path}, entry ${index + 1}` });
      const turn = row({
        value: listField(entry, "conversations")[0] ?? null,
        where: `${entry.where}, conversations`,
      });
      const text = `${strip(textField(turn, "value").replaceAll("<image>", ""))}\n${LETTER}`;
      const picture = entry.value.has("image") ? pictureFile(images, textField(entry, "image")) : null;
      // The scorer tells questions with a picture by this mark.
      return { id: field(entry, "id"), text, picture, prompt: picture === null ? text : `<image>\n${text}` };
    },
  ]);
}

/** One problem of the split and how it was answered. */
interface Judged {
  id: string;
  letter: string | undefined;
  /** The letter's place among the choices; -1 where it is none of them. */
  index: number;
  expected: string;
  right: boolean;
  prompt: string;
  reply: string;
  answered: boolean;
  hasPicture: boolean;
}

async function judged(
  { answers, annotations = "", split = "test" }: Files,
  printer: Printer,
): Promise<Judged[]> {
  const splits = {
    value: await readJsonObject(join(annotations, "pid_splits.json")),
    where: "pid_splits.json",
  };
  const path = join(annotations, "problems.json");
  const problems = { value: await readJsonObject(path), where: path };
  const replies = latest(await readRows(answers), printer);
  const ids = listField(splits, split).map((id) => (typeof id === "string" ? id : unknownProblem(id)));
  const all = [...new Set(ids)].map((id) => {
    const problem = problems.value.get(id);
    if (problem === undefined) throw unknownProblem(id);
    return judge(id, row({ value: problem, where: `${path}, problem ${id}` }), replies.get(keyOf(id) ?? ""));
  });
  warn(all, problems.value, printer);
  return all;
}

function unknownProblem(id: Json): never {
  throw new BenchmarkError(`problems.json has no problem ${dumps(id)}.`, { item: dumps(id) });
}

function judge(id: string, problem: Row, answer: Row | undefined): Judged {
  const reply = answer === undefined ? "FAILED" : textField(answer, "text");
  const prompt = answer === undefined ? "Unknown" : textField(answer, "prompt");
  const letter = answerLetter(reply);
  const options: readonly string[] = OPTIONS;
  const choices = options.slice(0, listField(problem, "choices").length);
  const index = letter === undefined ? -1 : choices.indexOf(letter);
  const expected = field(problem, "answer");
  const gold = typeof expected === "number" ? options.at(expected) : undefined;
  if (gold === undefined) {
    throw new BenchmarkError(
      `${problem.where}: "answer" must be the place of an option, got ${dumps(expected)}.`,
      {
        item: id,
        got: expected,
      },
    );
  }
  return {
    id,
    letter,
    index,
    expected: gold,
    right: index === expected,
    prompt,
    reply,
    answered: answer !== undefined,
    hasPicture: prompt.includes("<image>"),
  };
}

function warn(all: readonly Judged[], problems: ReadonlyMap<string, Json>, printer: Printer): void {
  const unanswered = all.filter(({ answered }) => !answered);
  if (unanswered.length === 0) return;
  const withPicture = unanswered.filter(({ id }) => {
    const problem = problems.get(id);
    return problem instanceof Map && typeof problem.get("image") === "string";
  });
  printer.warn(
    `${count(unanswered.length, "question")} without an answer: wrong in the accuracy, but not counted at all in ` +
      `IMG-Accuracy (${withPicture.length} of them with a picture)`,
  );
}

function report(all: readonly Judged[], printer: Printer): Scored {
  if (all.length === 0) throw new BenchmarkError("the split has no questions.", { item: "split" });
  const pictured = all.filter(({ hasPicture }) => hasPicture);
  if (pictured.length === 0) {
    throw new BenchmarkError("no question with a picture was answered: there is no IMG-Accuracy.", {
      item: "IMG-Accuracy",
    });
  }
  const accuracy = percentage(all);
  const imgAccuracy = percentage(pictured);
  const scores = {
    total: all.length,
    correct: right(all),
    accuracy: fixed(accuracy, 2),
    img_accuracy: fixed(imgAccuracy, 2),
  };
  printer.print(
    `Total: ${scores.total}, Correct: ${scores.correct}, Accuracy: ${scores.accuracy}%, ` +
      `IMG-Accuracy: ${scores.img_accuracy}%\n`,
  );
  const text = all.filter(({ hasPicture }) => !hasPicture);
  return {
    scores,
    figure: imgAccuracy,
    parts: [
      { name: "with a picture", value: imgAccuracy, count: pictured.length },
      ...(text.length > 0 ? [{ name: "text only", value: percentage(text), count: text.length }] : []),
    ],
    items: all.map(item),
    details: { output: JSON.parse(dumps(output(all))), result: JSON.parse(dumps(result(all))) },
  };
}

const right = (all: readonly Judged[]) => all.filter((one) => one.right).length;
const percentage = (all: readonly Judged[]) => (right(all) / all.length) * 100;

function output(all: readonly Judged[]): Writable {
  const analysis = (one: Judged): Writable => ({
    question_id: one.id,
    parsed_ans: one.letter ?? "FAILED",
    ground_truth: one.expected,
    question: one.prompt,
    pred: one.reply,
    is_multimodal: one.hasPicture,
  });
  return {
    correct: all.filter((one) => one.right).map(analysis),
    incorrect: all.filter((one) => !one.right).map(analysis),
  };
}

function result(all: readonly Judged[]): Writable {
  return {
    acc: float(percentage(all)),
    correct: right(all),
    count: all.length,
    results: new Map(all.map(({ id, index }) => [id, index])),
    outputs: new Map(all.map(({ id, reply }) => [id, reply])),
  };
}

function item({ id, prompt, reply, answered, expected, right, hasPicture }: Judged): Item {
  return {
    id,
    group: hasPicture ? "with a picture" : "text only",
    question: answered ? prompt.replace(/^<image>\n/, "") : "",
    answer: answered ? reply : null,
    expected,
    score: right ? 1 : 0,
  };
}
