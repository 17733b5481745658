import { count } from "../answers.ts";
import type { Benchmark, Files, Item, Printer, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { idText, keyField, listField, placeOf, textField } from "../fields.ts";
import { type Row, readJsonObject, readRows, row } from "../files.ts";
import { stem } from "../names.ts";
import { consensus, normalise } from "../normalise.ts";
import { fixed, sum } from "../python/numbers.ts";
import { questionLines } from "../questions.ts";

const PEOPLE = 10;

export const textvqa: Benchmark = {
  name: "textvqa",
  title: "TextVQA",
  figure: "accuracy, %",
  best: 100,
  published: { "LLaVA-1.5 7B": 58.2, "LLaVA-1.5 13B": 61.3 },
  maxNewTokens: 128,
  questions: questionLines,
  scorer: { needs: ["annotations"], score },
};

async function score({ answers, annotations = "" }: Files, printer: Printer): Promise<Scored> {
  printer.print(`${stem(answers)}\n`);
  const known = await readAnnotations(annotations);
  const pairs = (await readRows(answers)).map((answer): [Row, Row] => {
    const question = questionOf(answer);
    const annotation = known.get(annotationKey(keyField(answer, "question_id"), question));
    if (annotation !== undefined) return [answer, annotation];
    throw new BenchmarkError(
      `${answer.where}: the annotations have no question "${question}" for ${idText(answer)}.`,
      { item: idText(answer), got: question },
    );
  });
  const items = pairs.map(([answer, annotation]) => compare(answer, annotation));
  if (items.length === 0) throw new BenchmarkError(`${answers}: there are no answers.`, { item: answers });
  warn(pairs, known.size, printer);
  const accuracy = 100 * (sum(items.map((item) => item.score)) / items.length);
  const scores = { samples: items.length, accuracy: fixed(accuracy, 2) };
  printer.print(`Samples: ${scores.samples}\nAccuracy: ${scores.accuracy}%\n\n`);
  return {
    scores,
    figure: accuracy,
    parts: [],
    items,
    details: {
      per_answer: items.map(({ id, answer, score }) => ({ question_id: id, normalised: answer, score })),
    },
  };
}

async function readAnnotations(path: string): Promise<Map<string, Row>> {
  const file = { value: await readJsonObject(path), where: path };
  const result = new Map<string, Row>();
  for (const [index, value] of listField(file, "data").entries()) {
    const annotation = row({ value, where: `${path}, entry ${index + 1}` });
    const question = textField(annotation, "question").toLowerCase();
    result.set(annotationKey(keyField(annotation, "image_id"), question), annotation);
  }
  return result;
}

function annotationKey(imageKey: string, question: string): string {
  return JSON.stringify([imageKey, question]);
}

/** The question without what the prompt adds, in small letters. */
function questionOf(answer: Row): string {
  const prompt = textField(answer, "prompt");
  const question = withoutFrame(prompt);
  if (question !== undefined) return question.toLowerCase();
  throw new BenchmarkError(
    `${placeOf(answer)}: the prompt has no form that is known, so its question cannot be found.`,
    {
      item: idText(answer),
      got: prompt,
    },
  );
}

function withoutFrame(prompt: string): string | undefined {
  const lines = prompt.split("\n");
  if (prompt.startsWith("OCR tokens: ")) {
    const mark = "Question: ";
    const start = prompt.indexOf(mark) + mark.length;
    const end = prompt.indexOf(" Short answer:", start);
    return prompt.includes(mark) && end >= 0 ? prompt.slice(start, end) : undefined;
  }
  if (prompt.includes("Reference OCR token: ") && lines.length === 3) {
    return lines[prompt.startsWith("Reference OCR token:") ? 1 : 0];
  }
  return lines.length === 2 ? lines[0] : undefined;
}

function compare(answer: Row, annotation: Row): Item {
  const prediction = normalise(textField(answer, "text"));
  const people = listField(annotation, "answers").map((text, index) =>
    normalise(
      textField(
        { value: new Map([["answer", text]]), where: `${annotation.where}, answer ${index + 1}` },
        "answer",
      ),
    ),
  );
  const id = idText(answer);
  if (people.length !== PEOPLE) {
    throw new BenchmarkError(
      `${annotation.where} (question ${id}): expected ${PEOPLE} answers, got ${people.length}.`,
      {
        item: id,
        expected: PEOPLE,
        got: people.length,
      },
    );
  }
  return {
    id,
    group: "",
    question: textField(annotation, "question"),
    answer: prediction,
    expected: [...new Set(people)].join(" | "),
    score: consensus(people.map((text) => text === prediction)),
  };
}

function warn(pairs: readonly [Row, Row][], questions: number, printer: Printer): void {
  const answered = new Set(pairs.map(([, annotation]) => annotation)).size;
  const missing = questions - answered;
  const again = pairs.length - answered;
  if (missing > 0)
    printer.warn(
      `${count(missing, "question")} without an answer ${missing === 1 ? "is" : "are"} not counted`,
    );
  if (again > 0)
    printer.warn(`${count(again, "answer line")} for a question answered before: all of them count`);
}
