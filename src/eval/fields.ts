// Fields of rows, where the original would raise a KeyError or a TypeError.

import { BenchmarkError } from "./errors.ts";
import type { Row } from "./files.ts";
import { isObject, type Json, keyOf, pythonText } from "./python/json.ts";

/** The value of a field. @throws BenchmarkError where it is missing */
export function field(row: Row, name: string): Json {
  const found = row.value.get(name);
  if (found !== undefined) return found;
  throw new BenchmarkError(`${placeOf(row)}: "${name}" is missing.`, { ...factsOf(row), expected: name });
}

/** Where a row stands, and which question it is about if it says so. */
export function placeOf(row: Row): string {
  const id = questionOf(row);
  return id === undefined ? row.where : `${row.where} (question ${id})`;
}

function factsOf(row: Row): { where: string; item: string } {
  return { where: row.where, item: questionOf(row) ?? row.where };
}

function questionOf({ value }: Row): string | undefined {
  const id = value.get("question_id");
  return id === undefined ? undefined : pythonText(id);
}

/** A field that must be a text. */
export function textField(row: Row, name: string): string {
  const found = field(row, name);
  if (typeof found === "string") return found;
  throw wrongType(row, name, "a text", found);
}

/** A field that must be a list. */
export function listField(row: Row, name: string): Json[] {
  const found = field(row, name);
  if (Array.isArray(found)) return found;
  throw wrongType(row, name, "a list", found);
}

/** A field that must be an object, with the place it came from. */
export function objectField(row: Row, name: string): Row {
  const found = field(row, name);
  if (isObject(found)) return { value: found, where: `${row.where}, ${name}` };
  throw wrongType(row, name, "an object", found);
}

/** A field that serves as a key: a text or a number. */
export function keyField(row: Row, name: string): string {
  const found = field(row, name);
  const key = keyOf(found);
  if (key === undefined) throw wrongType(row, name, "a text or a number", found);
  return key;
}

export function wrongType(row: Row, name: string, expected: string, got: Json): BenchmarkError {
  const shown = pythonText(got);
  const short = shown.length > 40 ? `${shown.slice(0, 40)}...` : shown;
  const facts = { ...factsOf(row), expected, got: short };
  return new BenchmarkError(`${placeOf(row)}: "${name}" must be ${expected}, got ${short}.`, facts);
}

/** Rows by the key of one field; of several with the same key the last stands, in the place of the first. */
export function byKey(rows: readonly Row[], name: string): Map<string, Row> {
  const result = new Map<string, Row>();
  for (const row of rows) result.set(keyField(row, name), row);
  return result;
}

/** The value of a question's id as one reads it. */
export function idText(row: Row, name = "question_id"): string {
  return pythonText(field(row, name));
}
