import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { TextTokenizer } from "../../src/text/text_tokenizer.ts";

/** The absolute path of a file of the repository. */
export function repositoryPath(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/** A JSON file of the repository. The caller says what is in it. */
export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(repositoryPath(path), "utf8")) as T;
}

/** Where a tokenizer of the fixtures lies. */
export function tokenizerPath(name: string): string {
  return name === "llava-demo"
    ? "checkpoints/llava-demo/tokenizer.json"
    : `tests/fixtures/text/tokenizers/${name}.json`;
}

/** A tokenizer of the fixtures. */
export function tokenizerNamed(name: string): TextTokenizer {
  return new TextTokenizer(readJson(tokenizerPath(name)));
}
