import { OptionError } from "../base/errors.ts";
import { softmax } from "./probabilities.ts";

const { fround } = Math;

/** How tokens are looked up in the text itself. */
export interface PromptLookupRules {
  /** Tokens that are proposed at most. */
  num_output_tokens: number;
  /** Tokens at the end of the text that are looked for, at most. */
  max_matching_ngram_size: number;
  /** Tokens that the text has at most, prompt included. */
  max_length: number;
  eos_token_id: readonly number[] | null;
  /** Whether the processors rule out a token after these; where left out, none are. */
  forbidden?: (ids: readonly number[], token: number) => boolean | Promise<boolean>;
}

/**
 * Proposes what followed the text's last tokens where they stood before: the first place from the left, the longest
 * run of last tokens first. Nothing, where they stood nowhere else.
 *
 * @param ids one text, prompt included
 */
export async function promptLookup(ids: readonly number[], rules: PromptLookupRules): Promise<number[]> {
  const { num_output_tokens, max_matching_ngram_size, max_length, eos_token_id } = rules;
  if (max_matching_ngram_size <= 0 || num_output_tokens <= 0) {
    throw new OptionError("max_matching_ngram_size and prompt_lookup_num_tokens must be above 0", {
      where: max_matching_ngram_size <= 0 ? "max_matching_ngram_size" : "prompt_lookup_num_tokens",
    });
  }
  if (max_length === ids.length + 1) return []; // the model adds one by itself
  for (let size = Math.min(max_matching_ngram_size, ids.length - 1); size > 0; size--) {
    for (let at = 0; at + size <= ids.length; at++) {
      if (!sameRun(ids, at, ids.length - size, size)) continue;
      const end = Math.min(at + size + num_output_tokens, ids.length, max_length);
      const found = await allowedPart(ids, ids.slice(at + size, end), rules.forbidden);
      if (found.length === 0) continue;
      const stop = found.findIndex((token) => eos_token_id?.includes(token));
      return stop < 0 ? found : found.slice(0, stop);
    }
  }
  return [];
}

function sameRun(ids: readonly number[], a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (ids[a + i] !== ids[b + i]) return false;
  return true;
}

/** The tokens before the first that is forbidden. */
async function allowedPart(
  ids: readonly number[],
  tokens: number[],
  forbidden: PromptLookupRules["forbidden"],
): Promise<number[]> {
  if (forbidden === undefined) return tokens;
  for (const [i, token] of tokens.entries()) {
    if (await forbidden([...ids, ...tokens.slice(0, i)], token)) return tokens.slice(0, i);
  }
  return tokens;
}

/**
 * What stays of proposed tokens where the model chose for itself: those that are the same from the beginning, and the
 * model's next one.
 *
 * @param chosen the model's choice at each proposed token, and one more
 */
export function acceptChosen(proposed: readonly number[], chosen: readonly number[]): number[] {
  let same = 0;
  while (same < proposed.length && proposed[same] === chosen[same]) same++;
  return chosen.slice(0, same + 1);
}

/** Where chance comes from. */
export interface Chance {
  /** From 0 to 1, 1 excluded. */
  uniform(): number;
  /** A place, each as likely as its weight. */
  draw(weights: Float32Array): number;
}

/**
 * What stays of tokens that a draft model has drawn (arXiv 2211.17192, algorithm 1): each with the probability p / q;
 * after the last, one of the model's own. The result is distributed as the model's own sampling is.
 *
 * @param draft the draft model's scores for each proposed token, [V] each
 * @param scores the model's scores at each proposed token, and one more, [V] each
 * @param weight below 1, the draft model's word counts for the rest (arXiv 2604.07622)
 */
export function acceptDrawn(
  proposed: readonly number[],
  draft: readonly Float32Array[],
  scores: readonly Float32Array[],
  chance: Chance,
  weight: number | null = null,
): number[] {
  const uniforms = proposed.map(() => chance.uniform());
  for (const [i, token] of proposed.entries()) {
    const [p, q] = [softmax(scores[i]), softmax(draft[i])];
    const ratio = fround(p[token] / q[token]);
    const threshold = weight === null ? ratio : fround(fround(1 - weight) + fround(fround(weight) * ratio));
    if (uniforms[i] <= threshold) continue;
    return [...proposed.slice(0, i), chance.draw(remainder(p, q, weight))];
  }
  return [...proposed, chance.draw(softmax(scores[proposed.length]))];
}

/** What the model says more than the draft model. */
function remainder(p: Float32Array, q: Float32Array, weight: number | null): Float32Array {
  const more = p.map((probability, i) => Math.max(0, probability - q[i]));
  const sum = fround(more.reduce((total, m) => total + m, 0));
  if (weight !== null && sum <= 2 ** -126) return p; // the two say the same
  return more.map((m) => m / sum);
}

/** Cuts accepted tokens where the text would be too long, or ends. */
export function cutAccepted(
  tokens: readonly number[],
  room: number,
  eos_token_id: readonly number[] | null,
): number[] {
  const fitting = tokens.slice(0, room);
  const stop = fitting.findIndex((token) => eos_token_id?.includes(token));
  return stop < 0 ? fitting : fitting.slice(0, stop + 1);
}

/** Tokens that a draft model may propose next. */
export function draftLength(num_assistant_tokens: number, max_length: number, length: number): number {
  return Math.max(0, Math.min(Math.trunc(num_assistant_tokens), max_length - length - 1));
}

/** The length of drafts after one was looked at: 2 more where all was accepted, else 1 less. */
export function adaptDraftLength(
  num_assistant_tokens: number,
  schedule: string | null,
  all: boolean,
): number {
  if (schedule !== "heuristic" && schedule !== "heuristic_transient") return num_assistant_tokens;
  return all ? num_assistant_tokens + 2 : Math.max(1, num_assistant_tokens - 1);
}
