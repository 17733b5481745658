// Answer lines, as scorers and converters read them.

import type { Printer } from "./benchmark.ts";
import { BenchmarkError } from "./errors.ts";
import { byKey, keyField, textField } from "./fields.ts";
import { parse, type Row, readLines, row } from "./files.ts";

/** Answers by question: of several for one question the last stands. */
export function latest(rows: readonly Row[], printer: Printer): Map<string, Row> {
  const result = byKey(rows, "question_id");
  const again = rows.length - result.size;
  if (again > 0)
    printer.warn(`${count(again, "answer line")} for a question answered before: the last one counts`);
  return result;
}

/** Lines that may be damaged: those are left out and counted. */
export async function readTolerantly(path: string): Promise<{ rows: Row[]; skipped: number }> {
  const rows: Row[] = [];
  let skipped = 0;
  for (const { text, where } of await readLines(path)) {
    let value: ReturnType<typeof parse>;
    try {
      value = parse(text, where);
    } catch (error) {
      if (!(error instanceof BenchmarkError)) throw error;
      skipped++;
      continue;
    }
    rows.push(row({ value, where }));
  }
  return { rows, skipped };
}

/**
 * The answers of an upload file: every line must have an id and a text, damaged lines are skipped. Prints the count as
 * the original does.
 */
export async function uploadAnswers(
  path: string,
  questions: number,
  printer: Printer,
): Promise<Map<string, Row>> {
  const { rows, skipped } = await readTolerantly(path);
  const answers = new Map<string, Row>();
  for (const answer of rows) {
    textOrAny(answer);
    answers.set(keyField(answer, "question_id"), answer);
  }
  printer.print(`total results: ${answers.size}, total split: ${questions}, error_line: ${skipped}\n`);
  if (skipped > 0)
    printer.warn(`${count(skipped, "line")} of ${path} could not be read and ${verb(skipped)} skipped`);
  return answers;
}

function textOrAny(answer: Row): void {
  if (!answer.value.has("text")) textField(answer, "text");
}

/** "1 line", "2 lines" */
export function count(n: number, one: string, more = `${one}s`): string {
  return `${n} ${n === 1 ? one : more}`;
}

function verb(n: number): string {
  return n === 1 ? "was" : "were";
}
