// Reads the sheets of an .xlsx file, by the format's own description: enough for what these tests check.

import { readFile } from "node:fs/promises";
import { unzipSync } from "fflate";

type Cell = string | number | null;

/** The rows of each sheet, by its name. An empty cell is null. */
export async function readXlsx(path: string): Promise<Record<string, Cell[][]>> {
  const files = unzipSync(await readFile(path));
  const text = (name: string) => new TextDecoder().decode(files[name]);
  const shared = files["xl/sharedStrings.xml"] === undefined ? [] : items(text("xl/sharedStrings.xml"));
  const names = [...text("xl/workbook.xml").matchAll(/<sheet [^>]*name="([^"]*)"/g)].map(([, name]) => name);
  return Object.fromEntries(
    names.map((name, i) => [name, rows(text(`xl/worksheets/sheet${i + 1}.xml`), shared)]),
  );
}

function items(xml: string): string[] {
  return [...xml.matchAll(/<si>(.*?)<\/si>/gs)].map(([, item]) => plain(item));
}

function plain(xml: string): string {
  return [...xml.matchAll(/<t[^>]*>(.*?)<\/t>/gs)].map(([, part]) => unescapeXml(part)).join("");
}

function rows(xml: string, shared: readonly string[]): Cell[][] {
  const parsed = [...xml.matchAll(/<row [^>]*>(.*?)<\/row>/gs)].map(([, row]) => {
    const cells: Cell[] = [];
    for (const [, attributes, , inside] of row.matchAll(/<c ([^>]*?)(\/>|>(.*?)<\/c>)/gs)) {
      cells[column(attributes)] = cell(attributes, inside ?? "", shared);
    }
    return cells;
  });
  const width = Math.max(0, ...parsed.map((row) => row.length));
  return parsed.map((row) => Array.from({ length: width }, (_, i) => row[i] ?? null));
}

function column(attributes: string): number {
  const letters = /r="([A-Z]+)/.exec(attributes)?.[1] ?? "";
  return [...letters].reduce((sum, letter) => sum * 26 + letter.charCodeAt(0) - 64, 0) - 1;
}

function cell(attributes: string, inside: string, shared: readonly string[]): Cell {
  const type = /t="(\w+)"/.exec(attributes)?.[1] ?? "n";
  if (/<f\b/.test(inside)) throw new Error("a formula");
  if (type === "inlineStr") return plain(inside) || null;
  const value = /<v>(.*?)<\/v>/s.exec(inside)?.[1];
  if (value === undefined) return null;
  if (type === "s") return shared[Number(value)] || null;
  return type === "n" ? Number(value) : unescapeXml(value) || null;
}

function unescapeXml(text: string): string {
  const signs: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(#x?)?(\w+);/g, (_, number, name) =>
    number === undefined
      ? (signs[name] ?? "")
      : String.fromCodePoint(Number.parseInt(name, number === "#x" ? 16 : 10)),
  );
}
