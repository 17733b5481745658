// What MMBench and its Chinese edition share: one table with questions, pictures and answers.

import { count } from "./answers.ts";
import type {
  Benchmark,
  Entry,
  Files,
  Item,
  Part,
  Printer,
  Published,
  Question,
  QuestionFiles,
  Scored,
} from "./benchmark.ts";
import { BenchmarkError } from "./errors.ts";
import { field, keyField, textField } from "./fields.ts";
import { readRows } from "./files.ts";
import { groupBy } from "./groups.ts";
import { inferLetter } from "./letters.ts";
import { fixed } from "./python/numbers.ts";
import { compareText } from "./python/text.ts";
import { isMissing, readTable, type Table } from "./tsv.ts";
import { sheet } from "./xlsx.ts";

const LETTERS = ["A", "B", "C", "D"];
/** Rows of one question, with its options turned, have indices that differ by this. */
const TURN = 1_000_000;
/** Columns that the upload leaves out. */
const LEFT_OUT = ["hint", "category", "source", "image", "comment", "l2-category"];
/** Where the upload has the predictions: before this column. */
const PREDICTION_AT = 6;
const ABBREVIATIONS: Readonly<Record<string, string>> = {
  coarse_perception: "CP",
  "finegrained_perception (instance-level)": "FP-S",
  "finegrained_perception (cross-instance)": "FP-C",
  logic_reasoning: "LR",
  relation_reasoning: "RR",
  attribute_reasoning: "AR",
};

export function mmbenchOf(edition: {
  name: string;
  title: string;
  tail: string;
  published: Published;
}): Benchmark {
  const { tail, ...names } = edition;
  return {
    ...names,
    figure: "circular accuracy, %",
    best: 100,
    maxNewTokens: 1024,
    padsUnconverted: true,
    questions: (files) => questions(files, tail),
    scorer: { needs: ["annotations"], score },
    converter: {
      needs: ["annotations"],
      extension: ".xlsx",
      async *convert({ answers, annotations = "" }, printer) {
        const table = await readTable(annotations);
        yield { name: null, bytes: await sheet(uploadRows(table, await predictions(answers)), printer) };
      },
    },
  };
}

async function questions({ questions: path, allRounds }: QuestionFiles, tail: string): Promise<Entry[]> {
  const table = await readTable(path);
  return Array.from({ length: table.length }, (_, row): Entry => {
    const rounds = allRounds ? options(table, row).length : 1;
    return Array.from({ length: rounds }, (_, round) => () => question(table, row, round, tail));
  });
}

/** @param round by how many the options are turned; the prompt numbers them from A all the same */
function question(table: Table, row: number, round: number, tail: string): Question {
  const texts = turn(options(table, row), round);
  const hint = table.cell(row, "hint");
  const asked = required(table, row, "question");
  const lines = [
    ...(hint === null || isNone(hint) ? [] : [hint]),
    asked,
    ...texts.map((text, index) => `${LETTERS[index]}. ${text}`),
  ];
  const prompt = lines.join("\n");
  return {
    id: table.integer(row, "index"),
    text: `${prompt}\n${tail}`,
    picture: {
      name: table.where(row),
      read: async () => Buffer.from(required(table, row, "image"), "base64"),
    },
    prompt,
    afterId: { round_id: round },
    afterText: { options: texts, option_char: turn(LETTERS.slice(0, texts.length), round) },
  };
}

/** The options up to the first that is missing. */
function options(table: Table, row: number): string[] {
  const found: string[] = [];
  for (const letter of LETTERS) {
    const text = table.cell(row, letter);
    if (text === null || isNone(text)) break;
    found.push(text);
  }
  return found;
}

/** Words for "missing" that pandas takes for texts. */
function isNone(text: string): boolean {
  return ["nan", "none"].includes(text.toLowerCase());
}

function turn<T>(list: readonly T[], by: number): T[] {
  return [...list.slice(by), ...list.slice(0, by)];
}

function required(table: Table, row: number, column: string): string {
  const text = table.cell(row, column);
  if (text !== null) return text;
  throw new BenchmarkError(`${table.where(row)}: "${column}" is empty.`, {
    where: table.path,
    item: row + 1,
  });
}

/** The replies by index; of several the last. */
async function predictions(answers: string): Promise<Map<string, string>> {
  const replies = new Map<string, string>();
  for (const answer of await readRows(answers)) {
    field(answer, "text");
    replies.set(keyField(answer, "question_id"), textField(answer, "text"));
  }
  return replies;
}

/** The upload's rows, its header first. */
function uploadRows(table: Table, replies: ReadonlyMap<string, string>): (string | number | null)[][] {
  for (const column of [...LEFT_OUT, "index"]) if (!table.columns.includes(column)) table.cell(0, column);
  const columns = table.columns.filter((column) => !LEFT_OUT.includes(column));
  if (columns.length < PREDICTION_AT) {
    throw new BenchmarkError(`${table.path}: too few columns for an upload: ${columns.join(", ")}.`, {
      where: table.path,
    });
  }
  const insert = <T>(list: readonly T[], value: T) => [
    ...list.slice(0, PREDICTION_AT),
    value,
    ...list.slice(PREDICTION_AT),
  ];
  const rows = Array.from({ length: table.length }, (_, row) => {
    const index = table.integer(row, "index");
    const cells = columns.map((column) => (column === "index" ? index : table.cell(row, column)));
    return insert<string | number | null>(cells, replies.get(String(index)) ?? null);
  });
  return [insert(columns, "prediction"), ...rows];
}

/** One row and how it was answered. */
interface Judged {
  row: number;
  index: number;
  expected: string | null;
  reply: string | null;
  letter: string | undefined;
}

/** The official server's rule: a question is right when every one of its rows is. */
async function score({ answers, annotations = "", split }: Files, printer: Printer): Promise<Scored> {
  const table = await readTable(annotations);
  const replies = await predictions(answers);
  const letters = table.columns.filter((column) => /^[A-Z]$/.test(column));
  const judged = Array.from({ length: table.length }, (_, row) => judge(table, row, letters, replies));
  warn(table, judged, replies, printer);
  const questions = groupBy(judged, ({ index }) => index % TURN);
  const hits = new Map<Judged, number>();
  for (const main of judged.filter(({ index }) => index === index % TURN)) {
    const rows = questions.get(main.index) ?? [];
    hits.set(main, rows.every(({ letter, expected }) => letter === expected) ? 1 : 0);
  }
  const [name, own] = chooseSplit(table, [...hits.keys()], split);
  return report(table, name, own, hits, judged, printer);
}

function judge(
  table: Table,
  row: number,
  letters: readonly string[],
  replies: ReadonlyMap<string, string>,
): Judged {
  const index = table.integer(row, "index");
  const reply = replies.get(String(index)) ?? null;
  const texts = new Map<string, string>();
  for (const letter of letters) {
    const text = table.cell(row, letter);
    if (text !== null) texts.set(letter, text);
  }
  // The server reads the sheet with pandas: an empty cell, or one with a word for it, becomes "nan".
  const read = reply === null || isMissing(reply) ? "nan" : reply;
  return { row, index, reply, expected: table.cell(row, "answer"), letter: inferLetter(read, texts) };
}

function warn(
  table: Table,
  judged: readonly Judged[],
  replies: ReadonlyMap<string, string>,
  printer: Printer,
): void {
  if (judged.every(({ expected }) => expected === null)) {
    throw new BenchmarkError(
      `${table.path}: the right answers are not in it. Only the server can score this split.`,
      {
        where: table.path,
        item: "answer",
      },
    );
  }
  const unanswered = judged.filter(({ reply }) => reply === null).length;
  if (unanswered > 0)
    printer.warn(`${count(unanswered, "row")} without an answer: their questions are wrong`);
  const known = new Set(judged.map(({ index }) => String(index)));
  const unknown = [...replies.keys()].filter((key) => !known.has(key)).length;
  if (unknown > 0) printer.warn(`${count(unknown, "answer")} to rows that the table does not have`);
}

/** The questions of one split: the one asked for, else "dev", else the first. */
function chooseSplit(table: Table, questions: Judged[], wanted: string | undefined): [string, Judged[]] {
  if (!table.columns.includes("split")) return ["none", questions];
  const splits = groupBy(questions, ({ row }) => table.cell(row, "split") ?? "");
  const name = wanted ?? (splits.has("dev") ? "dev" : ([...splits.keys()][0] ?? "dev"));
  const own = splits.get(name);
  if (own !== undefined) return [name, own];
  throw new BenchmarkError(`${table.path}: there is no question of the split ${name}.`, { item: name });
}

function report(
  table: Table,
  split: string,
  own: readonly Judged[],
  hits: ReadonlyMap<Judged, number>,
  judged: readonly Judged[],
  printer: Printer,
): Scored {
  const mean = (some: readonly Judged[]) =>
    some.reduce((sum, one) => sum + (hits.get(one) ?? 0), 0) / some.length;
  const overall = mean(own);
  const parts: Part[] = [];
  const local: Record<string, unknown> = { split, Overall: overall };
  for (const column of ["l2-category", "category"]) {
    if (!table.columns.includes(column)) continue;
    const groups = groupBy(own, ({ row }) => table.cell(row, column) ?? "");
    for (const [name, members] of [...groups].sort(([a], [b]) => compareText(a, b))) {
      const value = mean(members);
      local[ABBREVIATIONS[name] ?? name] = value;
      parts.push({ name: ABBREVIATIONS[name] ?? name, value: value * 100, count: members.length });
    }
  }
  printer.print(`${split}: ${fixed(overall * 100, 2)}% (${count(own.length, "question")})\n`);
  for (const { name, value } of parts) printer.print(`  ${name}: ${fixed(value, 2)}%\n`);
  local.hits = Object.fromEntries(own.map((one) => [one.index, hits.get(one)]));
  local.inferred = Object.fromEntries(judged.map(({ index, letter }) => [index, letter ?? "Z"]));
  const inSplit = new Set(own.map(({ index }) => index));
  return {
    scores: { circular_accuracy: overall },
    figure: overall * 100,
    parts,
    items: judged.filter(({ index }) => inSplit.has(index % TURN)).map((one) => item(table, one)),
    details: { local },
  };
}

function item(table: Table, { row, index, reply, expected, letter }: Judged): Item {
  const texts = LETTERS.flatMap((name) => {
    const text = table.columns.includes(name) ? table.cell(row, name) : null;
    return text === null ? [] : [`${name}. ${text}`];
  });
  return {
    id: String(index),
    group: table.columns.includes("category") ? (table.cell(row, "category") ?? "") : "",
    question: [table.cell(row, "question") ?? "", ...texts].join("\n"),
    answer: reply,
    expected: expected ?? "",
    score: letter === expected ? 1 : 0,
  };
}
