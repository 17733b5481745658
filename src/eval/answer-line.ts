import { randomInt } from "node:crypto";
import type { Question } from "./benchmark.ts";
import { dumps, type Writable } from "./python/json.ts";

// Without the signs that look alike.
const SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** The line of an answer, with its end. */
export function answerLine(question: Question, text: string, model: string): string {
  const fields = new Map<string, Writable>([
    ["question_id", question.id],
    ...Object.entries(question.afterId ?? {}),
    ["prompt", question.prompt],
    ["text", text],
    ...Object.entries(question.afterText ?? {}),
    ["answer_id", Array.from({ length: 22 }, () => SIGNS[randomInt(SIGNS.length)]).join("")],
    ["model_id", model],
    ["metadata", {}],
  ]);
  return `${dumps(fields)}\n`;
}
