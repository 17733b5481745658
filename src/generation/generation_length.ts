import { warnOnce } from "../base/env.ts";
import { OptionError } from "../base/errors.ts";
import { GENERATION_DEFAULTS } from "../models/generation_defaults.ts";
import type { GenerationConfig } from "./configuration_utils.ts";

/** Tokens that are generated where nothing says how many. */
const DEFAULT_NEW_TOKENS = GENERATION_DEFAULTS.max_length;

/** How long a generated row may and must be, prompt included. */
export interface Lengths {
  max_length: number;
  /** Together with the prompt's own length: no end before. */
  min_length: number;
}

/**
 * The length rules of Transformers' `generate`.
 *
 * @param prompt columns of the rows that tokens are appended to
 * @param embedded columns of the prompt that are no tokens: embeddings alone
 */
export function lengthsOf(config: GenerationConfig, prompt: number, embedded: number): Lengths {
  const { max_new_tokens, max_length, min_new_tokens, min_length } = config;
  if (max_new_tokens !== null && max_new_tokens <= 0) {
    throw new OptionError(`max_new_tokens: expected a whole number from 1, got ${max_new_tokens}`, {
      where: "max_new_tokens",
      got: max_new_tokens,
    });
  }
  const limit = limitOf(max_new_tokens, max_length, prompt, embedded);
  const least = min_new_tokens === null ? (min_length ?? 0) - embedded : prompt + min_new_tokens;
  if (least > limit) {
    warnOnce(
      `generate: at least ${least} tokens (prompt included) were asked for, but at most ${limit}: the most wins`,
    );
  }
  return { max_length: limit, min_length: Math.max(0, least) };
}

function limitOf(
  max_new_tokens: number | null,
  max_length: number | null,
  prompt: number,
  embedded: number,
): number {
  if (max_new_tokens !== null) {
    if (max_length !== null)
      warnOnce("generate: both max_new_tokens and max_length are set: max_new_tokens counts");
    return prompt + max_new_tokens;
  }
  if (max_length === null) {
    warnOnce(
      `generate: neither max_new_tokens nor max_length is set: ${DEFAULT_NEW_TOKENS} new tokens are generated`,
    );
    return prompt + DEFAULT_NEW_TOKENS;
  }
  const limit = max_length - embedded;
  if (prompt >= limit) {
    throw new OptionError(
      `max_length: the prompt has ${prompt + embedded} tokens, pictures included, which leaves none of ${max_length}. ` +
        "Set max_new_tokens instead.",
      { where: "max_length", expected: `more than ${prompt + embedded}`, got: max_length },
    );
  }
  return limit;
}
