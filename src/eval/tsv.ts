// Tables as pandas' `read_table` reads them: tabs, double quotes as in CSV, many words for "missing".

import { BenchmarkError } from "./errors.ts";
import { decodeUtf8, readBytes } from "./files.ts";
import { parseIntText } from "./python/numbers.ts";

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;

const MISSING: ReadonlySet<string> = new Set(
  [
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"],
    ["<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"],
  ].flat(),
);

/** Whether pandas reads this text as no value. */
export function isMissing(text: string): boolean {
  return MISSING.has(text);
}

/** A cell's bytes in the file: from, to; quotes still around it. */
type Span = readonly [number, number];

/** A table whose cells are decoded when asked for: the pictures inside make such files large. */
export class Table {
  readonly path: string;
  readonly columns: readonly string[];
  private readonly bytes: Uint8Array;
  private readonly spans: readonly (readonly Span[])[];

  constructor(path: string, bytes: Uint8Array) {
    this.path = path;
    this.bytes = bytes;
    const [header, ...rows] = split(bytes, path);
    if (header === undefined) throw new BenchmarkError(`${path}: the table is empty.`, { where: path });
    this.columns = header.map((span) => this.decode(span));
    this.spans = rows;
    for (const [index, row] of rows.entries()) {
      if (row.length <= header.length) continue;
      throw new BenchmarkError(
        `${path}, row ${index + 1}: expected ${header.length} cells, got ${row.length}.`,
        {
          where: path,
          item: index + 1,
          expected: header.length,
          got: row.length,
        },
      );
    }
  }

  get length(): number {
    return this.spans.length;
  }

  /** A cell's text; null where it is missing. @throws BenchmarkError where there is no such column */
  cell(row: number, column: string): string | null {
    const span = this.spans[row][this.column(column)];
    if (span === undefined) return null;
    const text = this.decode(span);
    return isMissing(text) ? null : text;
  }

  /** A cell that must be a whole number. */
  integer(row: number, column: string): number {
    const text = this.cell(row, column);
    const value = text === null ? undefined : parseIntText(text);
    if (typeof value === "number") return value;
    throw new BenchmarkError(
      `${this.where(row)}: "${column}" must be a whole number, got ${text ?? "nothing"}.`,
      {
        where: this.path,
        item: row + 1,
        got: text,
      },
    );
  }

  /** Where a row stands, with its index if it has one. */
  where(row: number): string {
    const index = this.columns.includes("index") ? this.cell(row, "index") : null;
    return `${this.path}, row ${row + 1}${index === null ? "" : ` (index ${index})`}`;
  }

  private column(name: string): number {
    const index = this.columns.indexOf(name);
    if (index >= 0) return index;
    throw new BenchmarkError(
      `${this.path}: the column "${name}" is missing. It has ${this.columns.join(", ")}.`,
      {
        where: this.path,
        item: name,
        expected: name,
        got: this.columns,
      },
    );
  }

  private decode([from, to]: Span): string {
    const text = decodeUtf8(this.bytes.subarray(from, to), this.path);
    return text.startsWith('"') ? unquote(text) : text;
  }
}

export async function readTable(path: string): Promise<Table> {
  return new Table(path, await readBytes(path));
}

/** What stands in quotes, doubled ones made single, and whatever follows the closing quote. */
function unquote(text: string): string {
  let result = "";
  for (let at = 1; at < text.length; ) {
    const quote = text.indexOf('"', at);
    if (quote === -1) return result + text.slice(at);
    result += text.slice(at, quote);
    if (text[quote + 1] !== '"') return result + text.slice(quote + 1);
    result += '"';
    at = quote + 2;
  }
  return result;
}

function split(bytes: Uint8Array, path: string): Span[][] {
  const rows: Span[][] = [];
  let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  while (at < bytes.length) {
    const blank = skipSpaces(bytes, at);
    if (blank === bytes.length || bytes[blank] === LF || bytes[blank] === CR) {
      at = blank + 1;
      continue;
    }
    const row: Span[] = [];
    for (; ; at++) {
      const end = cellEnd(bytes, at, path);
      row.push([at, end]);
      at = end;
      if (bytes[at] !== TAB) break;
    }
    rows.push(row);
    at += bytes[at] === CR && bytes[at + 1] === LF ? 2 : 1;
  }
  return rows;
}

/** A line of spaces alone is a blank one. */
function skipSpaces(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] === SPACE) at++;
  return at;
}

function cellEnd(bytes: Uint8Array, from: number, path: string): number {
  let at = from;
  if (bytes[at] === QUOTE) at = closingQuote(bytes, at, path);
  while (at < bytes.length && bytes[at] !== TAB && bytes[at] !== LF && bytes[at] !== CR) at++;
  return at;
}

/** The place after the quote that closes the one at `from`. */
function closingQuote(bytes: Uint8Array, from: number, path: string): number {
  for (let at = from + 1; ; ) {
    const quote = bytes.indexOf(QUOTE, at);
    if (quote === -1) throw new BenchmarkError(`${path}: a quoted cell does not end.`, { where: path });
    if (bytes[quote + 1] !== QUOTE) return quote + 1;
    at = quote + 2;
  }
}
