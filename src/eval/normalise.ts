// The answer normaliser of the VQA challenge, as the original programs have it, mistakes included.

import { CONTRACTIONS } from "./contractions.ts";
import { strip, words } from "./python/text.ts";

const PUNCTUATION = [...';/[]"{}()=+\\_-><@`,?!'];
const NUMBERS: ReadonlyMap<string, string> = new Map([
  ["none", "0"],
  ...["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"].map(
    (word, value): [string, string] => [word, String(value)],
  ),
]);
const ARTICLES: ReadonlySet<string> = new Set(["a", "an", "the"]);
/** Meant as a flag, passed as a count by the original: only so many dots are deleted. */
const MAX_DOTS = 32;

/** A model's or a person's answer as VQAv2, VizWiz and TextVQA compare it ("EvalAI"). */
export function normalise(answer: string): string {
  const split = answer.toLowerCase().replaceAll(",", "").replaceAll("?", "").replaceAll("'s", " 's");
  return digitsAndArticles(punctuation(onOneLine(strip(split))));
}

/** The same as the VQA authors' own evaluator does it, for answers that `onOneLine` has gone over. */
export function normaliseVqa(answer: string): string {
  // A comma between digits anywhere lets every sign be deleted: alive here, dead above where commas are gone.
  return digitsAndArticles(punctuation(answer, /\p{Nd},\p{Nd}/u.test(answer)));
}

/** Line feeds and tabs become spaces; none at the ends. */
export function onOneLine(answer: string): string {
  return strip(answer.replaceAll("\n", " ").replaceAll("\t", " "));
}

function punctuation(text: string, deleteAll = false): string {
  let result = text;
  for (const sign of PUNCTUATION) {
    const atSpace = text.includes(`${sign} `) || text.includes(` ${sign}`);
    result = result.replaceAll(sign, atSpace || deleteAll ? "" : " ");
  }
  let dots = 0;
  return result.replace(/\.(?!\p{Nd})/gu, (dot) => (dots++ < MAX_DOTS ? "" : dot));
}

function digitsAndArticles(text: string): string {
  return words(text.toLowerCase())
    .map((word) => NUMBERS.get(word) ?? word)
    .filter((word) => !ARTICLES.has(word))
    .map((word) => CONTRACTIONS.get(word) ?? word)
    .join(" ");
}

/**
 * How ten people judge an answer: for each of them, a third of the others who said the same, at most one; the mean.
 *
 * @param matches whether each of the people said the same, in their order (it shows in the last digit)
 */
export function consensus(matches: readonly boolean[]): number {
  const total = matches.filter(Boolean).length;
  let sum = 0;
  for (const match of matches) sum += Math.min(1, (total - (match ? 1 : 0)) / 3);
  return sum / matches.length;
}
