import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { compare, type Finding } from "./compare.ts";
import { NOTES } from "./notes.ts";
import { publicTypes } from "./public_types.ts";
import { itemsOf, readSurface } from "./surface.ts";
import { tables } from "./tables.ts";

const ROOT = new URL("../../", import.meta.url);
const SURFACE = new URL("tests/fixtures/surface.json", ROOT);
const BEGIN = "<!-- begin: written by npm run docs:compatibility -->";
const END = "<!-- end -->";

/** docs/compatibility.md */
export const DOCUMENT = fileURLToPath(new URL("docs/compatibility.md", ROOT));

/** The names of Transformers' surface, and what became of each here. */
export function findings(): Finding[] {
  const configFile = fileURLToPath(new URL("tsconfig.json", ROOT));
  const { config } = ts.readConfigFile(configFile, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, fileURLToPath(ROOT));
  const types = publicTypes(fileURLToPath(new URL("src/index.ts", ROOT)), options);
  return compare(itemsOf(readSurface(SURFACE)), types, NOTES);
}

/** The document with its generated part as it must be. */
export function written(found: readonly Finding[]): string {
  const text = readFileSync(DOCUMENT, "utf8");
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT}: the marks of the generated part are gone`);
  const made = tables(found, readSurface(SURFACE).transformers);
  return `${text.slice(0, begin)}${BEGIN}\n${made}\n${text.slice(end)}`;
}
