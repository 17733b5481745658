import { join } from "node:path";
import { count } from "../answers.ts";
import type { Benchmark, Files, Item, Printer, Scored } from "../benchmark.ts";
import { BenchmarkError } from "../errors.ts";
import { textField } from "../fields.ts";
import {
  decodeUtf8,
  isFile,
  isFolder,
  type Row,
  readBytes,
  readFolder,
  readLines,
  readRows,
} from "../files.ts";
import { groupBy } from "../groups.ts";
import { repr, sum } from "../python/numbers.ts";
import { strip } from "../python/text.ts";
import { questionLines, SHORT } from "../questions.ts";

const TASKS = {
  Perception: [
    ["existence", "count", "position", "color", "posters"],
    ["celebrity", "scene", "landmark", "artwork", "OCR"],
  ].flat(),
  Cognition: ["commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"],
};
const YES_OR_NO = "Please answer yes or no.";

export const mme: Benchmark = {
  name: "mme",
  title: "MME",
  figure: "perception score, of 2000",
  best: 2000,
  published: { "LLaVA-1.5 7B": 1510.7, "LLaVA-1.5 13B": 1531.3 },
  maxNewTokens: 128,
  questions: questionLines,
  scorer: { needs: ["annotations"], score },
  converter: {
    needs: ["annotations"],
    extension: undefined,
    async *convert({ answers, annotations = "" }) {
      const truth = await groundTruth(annotations);
      for (const [task, lines] of await byTask(answers)) {
        const file = { name: `${task}.txt`, lines: [] as string[] };
        try {
          for (const line of lines) file.lines.push(convertLine(task, line, truth));
        } catch (error) {
          // The original has written the lines before the one it stops at.
          yield { name: file.name, bytes: file.lines.join("") };
          throw error;
        }
        yield { name: file.name, bytes: file.lines.join("") };
      }
    },
  },
};

/** Answer lines by task, in the order of the tasks' first lines. */
async function byTask(answers: string): Promise<Map<string, Row[]>> {
  const rows = await readRows(answers);
  for (const row of rows) for (const name of ["prompt", "text"]) textField(row, name);
  return groupBy(rows, (row) => textField(row, "question_id").split("/")[0]);
}

/** "Yes" or "No" by task, file and question, from the release's folders. */
async function groundTruth(release: string): Promise<Map<string, string>> {
  const truth = new Map<string, string>();
  for (const task of await readFolder(release)) {
    const folder = join(release, task);
    if (!(await isFolder(folder))) continue;
    const texts = (await isFolder(join(folder, "images"))) ? join(folder, "questions_answers_YN") : folder;
    for (const file of await readFolder(texts)) {
      if (!file.endsWith(".txt")) continue;
      for (const { text, where } of await readLines(join(texts, file))) {
        const [question, answer, ...more] = strip(text).split("\t");
        if (answer === undefined || more.length > 0) {
          throw new BenchmarkError(`${where}: expected a question, a tab and Yes or No.`, {
            where,
            item: where,
          });
        }
        truth.set(key(task, file, question), answer);
      }
    }
  }
  return truth;
}

function key(task: string, file: string, question: string): string {
  return JSON.stringify([task, file, question]);
}

function convertLine(task: string, row: Row, truth: ReadonlyMap<string, string>): string {
  const id = textField(row, "question_id");
  const file = `${id.split("/").at(-1)?.split(".")[0]}.txt`;
  let question = textField(row, "prompt");
  if (question.includes(SHORT)) question = strip(question.replaceAll(SHORT, ""));
  if (!question.includes(YES_OR_NO)) {
    question = `${question} ${YES_OR_NO}`;
    // Some of the release's questions have two spaces here.
    if (!truth.has(key(task, file, question)))
      question = question.replaceAll(` ${YES_OR_NO}`, `  ${YES_OR_NO}`);
  }
  const answer = truth.get(key(task, file, question));
  if (answer !== undefined) return `${[file, question, answer, textField(row, "text")].join("\t")}\n`;
  throw new BenchmarkError(`${row.where}: the release has no question "${question}" for ${task}/${file}.`, {
    where: row.where,
    item: id,
    got: question,
  });
}

/** A task's file. */
interface TaskFile {
  text: string;
  /** The questions' ids by line, where every answer is one line. */
  ids: readonly string[];
  /** The first question whose answer breaks its line. */
  broken?: string | undefined;
}

/** One line of a task's file. */
interface Judged {
  id: string;
  task: string;
  question: string;
  reply: string;
  expected: string;
  said: "yes" | "no" | "other";
}

/** How a task went. */
interface Task {
  name: string;
  lines: Judged[];
  score: number;
}

/** Scores answer lines, or a folder of converted files. */
async function score(files: Files, printer: Printer): Promise<Scored> {
  const texts = await taskTexts(files);
  const totals: Record<string, number> = {};
  const tasks: Task[] = [];
  for (const [kind, names] of Object.entries(TASKS)) {
    printer.print(`=========== ${kind} ===========\n`);
    const own = names.map((name) => judgeTask(name, texts.get(name)));
    const total = sum(own.map((task) => task.score));
    printer.print(`total score: ${repr(total)} \n\n`);
    for (const task of own) printer.print(`\t ${task.name}  score: ${repr(task.score)}\n`);
    printer.print("\n\n");
    totals[kind.toLowerCase()] = total;
    tasks.push(...own);
  }
  warnOther(tasks, printer);
  return {
    scores: { ...totals, tasks: Object.fromEntries(tasks.map(({ name, score }) => [name, score])) },
    figure: totals.perception,
    parts: tasks.map(({ name, score, lines }) => ({ name, value: score, count: lines.length })),
    items: tasks.flatMap(({ lines }) => lines.map(item)),
  };
}

async function taskTexts(files: Files): Promise<Map<string, TaskFile>> {
  const texts = new Map<string, TaskFile>();
  if (await isFolder(files.answers)) {
    for (const name of Object.values(TASKS).flat()) {
      const path = join(files.answers, `${name}.txt`);
      if (await isFile(path)) texts.set(name, { text: decodeUtf8(await readBytes(path), path), ids: [] });
    }
    return texts;
  }
  const truth = await groundTruth(files.annotations ?? "");
  for (const [task, rows] of await byTask(files.answers)) {
    const text = rows.map((row) => convertLine(task, row, truth)).join("");
    const broken = rows.find((row) => /[\t\n\r]/.test(textField(row, "text")));
    if (broken !== undefined) texts.set(task, { text, ids: [], broken: textField(broken, "question_id") });
    else texts.set(task, { text, ids: rows.map((row) => textField(row, "question_id")) });
  }
  return texts;
}

function judgeTask(name: string, file: TaskFile | undefined): Task {
  if (file === undefined) throw new BenchmarkError(`the task ${name} was not answered.`, { item: name });
  const lines = linesOf(file.text);
  if (lines.length === 0) throw new BenchmarkError(`${name}: there are no answers.`, { item: name });
  const judged: Judged[] = [];
  let bothRight = 0;
  for (let at = 0; at < lines.length; at += 2) {
    if (at + 1 === lines.length) {
      throw new BenchmarkError(
        `${name}, line ${at + 1}: two lines belong to a picture, and the last is alone.`,
        {
          item: `${name}, line ${at + 1}`,
        },
      );
    }
    const pair = [at, at + 1].map((i) => judgeLine(name, lines[i], i + 1, file));
    if (pair.every(isRight)) bothRight++;
    judged.push(...pair);
  }
  const accuracy = judged.filter(isRight).length / judged.length;
  const score = accuracy * 100 + (bothRight / (lines.length / 2)) * 100;
  return { name, lines: judged, score };
}

/** Lines with an end that has become LF, as Python reads a file: an answer may bring ends of its own. */
function linesOf(text: string): string[] {
  return text.replace(/\r\n?/g, "\n").match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

const isRight = ({ expected, said }: Judged) => expected === said;

function judgeLine(task: string, line: string, number: number, { ids, broken }: TaskFile): Judged {
  const where = `${task}, line ${number}`;
  const fields = line.split("\t");
  if (fields.length !== 4) {
    throw new BenchmarkError(
      `${where}: expected 4 fields between tabs, got ${fields.length}. An answer holds a tab or a line break` +
        `${broken === undefined ? "" : `: that of ${broken}`}.`,
      { where, item: broken ?? where, expected: 4, got: fields.length },
    );
  }
  const [file, question, answer, reply] = fields;
  const expected = answer.toLowerCase();
  if (expected !== "yes" && expected !== "no") {
    throw new BenchmarkError(`${where}: the right answer must be Yes or No, got ${answer}.`, {
      where,
      item: where,
    });
  }
  // The end of the line still belongs to the reply: "ye" is no yes even so.
  const start = [...reply.toLowerCase()].slice(0, 4).join("");
  const said = start.includes("yes") ? "yes" : start.includes("no") ? "no" : "other";
  return {
    id: ids[number - 1] ?? `${task}/${file}`,
    task,
    question,
    reply: reply.replace(/\n$/, ""),
    expected,
    said,
  };
}

function warnOther(tasks: readonly Task[], printer: Printer): void {
  const other = tasks.flatMap(({ lines }) => lines).filter(({ said }) => said === "other").length;
  if (other > 0)
    printer.warn(
      `${count(other, "reply", "replies")} neither yes nor no in the first four characters: wrong`,
    );
}

function item({ id, task, question, reply, expected, said }: Judged): Item {
  return {
    id,
    group: task,
    question: strip(question.replaceAll(YES_OR_NO, "")),
    answer: reply,
    expected,
    score: said === expected ? 1 : 0,
  };
}
