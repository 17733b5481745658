import { rm } from "node:fs/promises";
import { AppendFile } from "../base/append_file_node.ts";
import { answerLine } from "./answer-line.ts";
import type { Question } from "./benchmark.ts";
import { BenchmarkError } from "./errors.ts";
import { parse } from "./files.ts";
import { dumps, isObject, type Json, type JsonObject, keyOf } from "./python/json.ts";

/**
 * The answers of a run, in the order of its questions. An answer that comes before its turn waits in a file of its own
 * (`.ahead`), so that a killed run asks nothing again.
 */
export class AnswersFile {
  private readonly questions: readonly (() => Question)[];
  private readonly model: string;
  private readonly main: AppendFile;
  private readonly ahead: AppendFile;
  private readonly aheadPath: string;
  private readonly waiting: Map<number, string>;
  /** How many answers are written: the next one's place. */
  private next: number;

  private constructor(
    questions: readonly (() => Question)[],
    model: string,
    files: { main: AppendFile; ahead: AppendFile; aheadPath: string },
    next: number,
    waiting: Map<number, string>,
  ) {
    this.questions = questions;
    this.model = model;
    this.main = files.main;
    this.ahead = files.ahead;
    this.aheadPath = files.aheadPath;
    this.next = next;
    this.waiting = waiting;
  }

  /**
   * Opens a file of answers, or begins one.
   *
   * @throws BenchmarkError where the file holds answers to other questions
   */
  static async open(
    path: string,
    questions: readonly (() => Question)[],
    model: string,
  ): Promise<AnswersFile> {
    let next = 0;
    const main = await AppendFile.open(path, (line, whole) => {
      const fits = next < questions.length && isAnswerTo(line, questions[next]);
      if (fits) next++;
      else if (whole) throw foreignLine(path, next, questions.length);
      return fits;
    });
    const waiting = new Map<number, string>();
    const aheadPath = `${path}.ahead`;
    const ahead = await AppendFile.open(aheadPath, (line) => readAhead(line, waiting));
    for (const place of waiting.keys()) if (place < next || place >= questions.length) waiting.delete(place);
    const file = new AnswersFile(questions, model, { main, ahead, aheadPath }, next, waiting);
    await file.writeWaiting();
    return file;
  }

  /** How many answers are on the disk, those that wait included. */
  get done(): number {
    return this.next + this.waiting.size;
  }

  has(place: number): boolean {
    return place < this.next || this.waiting.has(place);
  }

  /** Takes the answer to the question at `place`. Only one call at a time. */
  async add(place: number, text: string): Promise<void> {
    this.waiting.set(place, text);
    if (place === this.next) return this.writeWaiting();
    await this.ahead.append(`${dumps([place, text])}\n`);
  }

  private async writeWaiting(): Promise<void> {
    for (;;) {
      const text = this.waiting.get(this.next);
      if (text === undefined) return;
      await this.main.append(answerLine(this.questions[this.next](), text, this.model));
      this.waiting.delete(this.next++);
    }
  }

  async close(): Promise<void> {
    await this.main.close();
    await this.ahead.close();
    if (this.waiting.size === 0) await rm(this.aheadPath, { force: true });
  }
}

function isAnswerTo(line: string, makeQuestion: () => Question): boolean {
  const answer = readObject(line);
  if (answer === undefined || !["text", "answer_id", "model_id"].every((name) => answer.has(name)))
    return false;
  const question = makeQuestion();
  const round = question.afterId?.round_id;
  return (
    keyOf(answer.get("question_id") ?? null) === keyOf(question.id) &&
    answer.get("prompt") === question.prompt &&
    (round === undefined || answer.get("round_id") === round)
  );
}

function readObject(line: string): JsonObject | undefined {
  const value = readValue(line);
  return isObject(value) ? value : undefined;
}

function readValue(line: string): Json | undefined {
  try {
    return parse(line, "");
  } catch (error) {
    if (error instanceof BenchmarkError) return undefined;
    throw error;
  }
}

function readAhead(line: string, waiting: Map<number, string>): boolean {
  const value = readValue(line);
  if (!Array.isArray(value)) return false;
  const [place, text] = value;
  if (typeof place !== "number" || typeof text !== "string") return false;
  waiting.set(place, text);
  return true;
}

function foreignLine(path: string, line: number, questions: number): BenchmarkError {
  return new BenchmarkError(
    line >= questions
      ? `${path}: it has more than the ${questions} answers of this run. Name another file for the answers.`
      : `${path}, line ${line + 1}: this is no answer to question ${line + 1} of this run. Name another file for the answers.`,
    { where: path, item: line + 1 },
  );
}
