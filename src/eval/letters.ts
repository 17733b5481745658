// Which option a reply means.

import { length, SPACE, words } from "./python/text.ts";

/** The options a question can have in ScienceQA. */
export const OPTIONS = ["A", "B", "C", "D", "E"] as const;

/**
 * ScienceQA's reading of a reply: the letter alone, a letter with ". " after it, or exactly one "The answer is X" with
 * something after it on the line. Undefined where none of these.
 */
export function answerLetter(reply: string): string | undefined {
  const options: readonly string[] = OPTIONS;
  if (options.includes(reply)) return reply;
  const [first, ...rest] = [...reply];
  if (options.includes(first) && rest[0] === "." && rest[1] === " ") return first;
  const found = [...reply.matchAll(/The answer is ([A-Z])[^\n]/gu)];
  return found.length === 1 ? found[0][1] : undefined;
}

const REFUSALS = [
  "Sorry, I can't help with images of people yet.",
  "I can't process this file.",
  "I'm sorry, but without the image provided",
  "Cannot determine the answer",
];
const SIGNS = /[.()[\],:;!*#{}]/g;
// Python's `i` also takes the dotted capital and the dotless small i of Turkish for an i.
const ANSWER_IS = new RegExp(`answer[${SPACE}]+[iİı]s[${SPACE}]+\\**([ABCD])`, "iu");

/**
 * MMBench's reading of a reply, by exact matching: its letter, "Z" for none of them, undefined where it says neither.
 *
 * @param options the texts by letter, in order
 */
export function inferLetter(reply: string, options: ReadonlyMap<string, string>): string | undefined {
  // VLMEvalKit gives up on replies with this text before anything else, the options' texts apart.
  if (!reply.includes("Failed to obtain answer via API")) {
    const letter = letterAmongWords(reply, [...options.keys()]);
    if (letter !== undefined) return letter;
  }
  return optionInText(reply.toLowerCase(), options);
}

function letterAmongWords(reply: string, letters: readonly string[]): string | undefined {
  if (REFUSALS.some((refusal) => reply.includes(refusal))) return "Z";
  const parts = words(reply.replace(SIGNS, " "));
  const named = letters.filter((letter) => parts.includes(letter));
  if (named.length === 1) {
    if (parts.indexOf(named[0]) > parts.length - 5) return named[0];
  } else if (named.length === 0 && parts.includes("Z")) {
    return "Z";
  }
  const letter = ANSWER_IS.exec(reply)?.[1].toUpperCase();
  return letter !== undefined && letters.includes(letter) ? letter : undefined;
}

function optionInText(reply: string, options: ReadonlyMap<string, string>): string | undefined {
  let size = 0;
  for (const text of options.values()) size += length(text);
  if (length(reply) > 2 * size) return undefined;
  const found = [...options].filter(([, text]) => reply.includes(text.toLowerCase()));
  return found.length === 1 ? found[0][0] : undefined;
}
