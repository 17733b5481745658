import { uploadAnswers } from "../answers.ts";
import type { Benchmark, Files, Item, Part, Printer, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { field, keyField, listField, textField } from "../fields.ts";
import { isFile, type Located, type Row, readJsonLines, readJsonObject, readRows, row } from "../files.ts";
import { groupBy } from "../groups.ts";
import { normalise, normaliseVqa, onOneLine } from "../normalise.ts";
import { dumps, type Json, pythonText, type Writable } from "../python/json.ts";
import { fixed, round, sum } from "../python/numbers.ts";
import { questionLines } from "../questions.ts";

export const vqav2: Benchmark = {
  name: "vqav2",
  title: "VQAv2",
  figure: "accuracy, %",
  best: 100,
  published: { "LLaVA-1.5 7B": 78.5, "LLaVA-1.5 13B": 80.0 },
  maxNewTokens: 128,
  questions: questionLines,
  scorer: { needs: ["annotations"], score },
  converter: {
    needs: ["questions"],
    extension: ".json",
    async *convert({ answers, questions = "" }, printer) {
      const all = await readRows(questions);
      const ids = all.map((question) => keyField(question, "question_id"));
      const answered = await uploadAnswers(answers, all.length, printer);
      const list = all.map((question, index): Writable => {
        const answer = answered.get(ids[index]);
        return {
          question_id: field(question, "question_id"),
          answer: answer === undefined ? "" : normalise(textField(answer, "text")),
        };
      });
      yield { name: null, bytes: dumps(list) };
    },
  },
};

/** A question with the ten people's answers. */
interface Answered {
  id: string;
  questionType: string;
  answerType: string;
  people: string[];
  answer: string;
  /** 0 to 1. */
  score: number;
}

/** The VQA authors' evaluator, on a split whose answers are published. */
async function score({ answers, annotations = "", questions }: Files, printer: Printer): Promise<Scored> {
  const file = { value: await readJsonObject(annotations), where: annotations };
  const replies = await readReplies(answers);
  const texts = await questionTexts(questions);
  const answered = listField(file, "annotations").map((value, index) => {
    const annotation = row({ value, where: `${annotations}, annotation ${index + 1}` });
    const key = keyField(annotation, "question_id");
    const reply = replies.get(key);
    replies.delete(key);
    return answeredQuestion(annotation, reply);
  });
  const [foreign] = replies.keys();
  if (foreign !== undefined) throw foreignAnswer(foreign);
  if (answered.length === 0) throw new BenchmarkError(`${annotations}: there are no questions.`);
  return report(answered, texts, printer);
}

/** Answers as answer lines, or as the list of an upload file. */
async function readReplies(path: string): Promise<Map<string, string>> {
  const lines = await readJsonLines(path);
  const isUpload = lines.length > 0 && Array.isArray(lines[0].value);
  const values: Located[] = isUpload
    ? (lines[0].value as Json[]).map((value, index) => ({ value, where: `${path}, entry ${index + 1}` }))
    : lines;
  const replies = new Map<string, string>();
  for (const reply of values.map(row)) {
    replies.set(keyField(reply, "question_id"), textField(reply, isUpload ? "answer" : "text"));
  }
  return replies;
}

async function questionTexts(path: string | undefined): Promise<Map<string, string>> {
  if (path === undefined || !(await isFile(path))) return new Map();
  return new Map(
    (await readRows(path)).map((question) => [
      pythonText(field(question, "question_id")),
      textField(question, "text"),
    ]),
  );
}

function foreignAnswer(id: string): BenchmarkError {
  const name = id.replace(/^"/, "");
  return new BenchmarkError(`question ${name} was answered, and the annotations do not have it.`, {
    item: name,
  });
}

function answeredQuestion(annotation: Row, reply: string | undefined): Answered {
  const id = pythonText(field(annotation, "question_id"));
  if (reply === undefined) throw new BenchmarkError(`question ${id} was not answered.`, { item: id });
  const people = listField(annotation, "answers").map((value, index) =>
    row({ value, where: `${annotation.where}, answer ${index + 1}` }),
  );
  const raw = people.map((person) => onOneLine(textField(person, "answer")));
  // Where all say the same, their words and the reply are compared as they are.
  const prepare = new Set(raw).size > 1 ? normaliseVqa : (text: string) => text;
  const texts = raw.map(prepare);
  const answer = prepare(onOneLine(reply));
  return {
    id,
    questionType: pythonText(field(annotation, "question_type")),
    answerType: pythonText(field(annotation, "answer_type")),
    people: texts,
    answer,
    score: agreement(people, texts, answer),
  };
}

/**
 * The mean over the people of a third of the others who said the same. "The others" are those whose entries differ:
 * without an `answer_id`, equal entries are one person.
 */
function agreement(people: readonly Row[], texts: readonly string[], answer: string): number {
  const entries = people.map(({ value }, index) => dumps(new Map([...value, ["answer", texts[index]]])));
  const terms = entries.map((own) => {
    const matching = texts.filter((text, index) => text === answer && entries[index] !== own);
    return Math.min(1, matching.length / 3);
  });
  return sum(terms) / terms.length;
}

function report(answered: readonly Answered[], texts: ReadonlyMap<string, string>, printer: Printer): Scored {
  const mean = (group: readonly Answered[]) =>
    round((100 * sum(group.map(({ score }) => score))) / group.length, 2);
  const parts = (key: (one: Answered) => string): Part[] =>
    [...groupBy(answered, key)].map(([name, group]) => ({ name, value: mean(group), count: group.length }));
  const overall = mean(answered);
  const questionTypes = parts((one) => one.questionType);
  const answerTypes = parts((one) => one.answerType);
  printer.print(`Overall Accuracy is: ${fixed(overall, 2)}\n\n`);
  printParts("Question", questionTypes, printer);
  printParts("Answer", answerTypes, printer);
  const byName = (list: Part[]) => Object.fromEntries(list.map(({ name, value }) => [name, value]));
  return {
    scores: {
      overall,
      perQuestionType: byName(questionTypes),
      perAnswerType: byName(answerTypes),
    },
    figure: overall,
    parts: answerTypes,
    items: answered.map((one) => item(one, texts)),
  };
}

function printParts(what: string, parts: readonly Part[], printer: Printer): void {
  printer.print(`Per ${what} Type Accuracy is the following:\n`);
  for (const { name, value } of parts) printer.print(`${name} : ${fixed(value, 2)}\n`);
  printer.print("\n");
}

function item({ id, answer, people, score, answerType }: Answered, texts: ReadonlyMap<string, string>): Item {
  const expected = [...new Set(people)].join(" | ");
  return { id, group: answerType, question: texts.get(id) ?? "", answer, expected, score };
}
