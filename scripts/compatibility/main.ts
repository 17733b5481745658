/*
 * Holds the public types against the names of Transformers (tests/fixtures/surface.json), and writes what it finds into
 * docs/compatibility.md. What is to be said about a name stands in notes.ts.
 *
 *   npm run docs:compatibility
 */
import { writeFileSync } from "node:fs";
import { DOCUMENT, findings, written } from "./document.ts";

const found = findings();
writeFileSync(DOCUMENT, written(found));
const lost = found.filter(({ state }) => state === "throws" || state === "missing");
console.log(`${found.length} names, ${lost.length} of them throw or are missing`);
for (const { item, why } of lost.filter(({ why }) => why === "not there yet"))
  console.log(`${item.path}: ${why}`);
