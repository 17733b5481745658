import { UnsupportedError } from "../base/errors.ts";

/** A setting or argument that is not done here: its name, the values that turn it off, and why it is not. */
type Refusal = readonly [name: string, off: readonly unknown[], reason: string];

const DRAFTS =
  "drafts come from assistant_model, which must have the same tokens, or from prompt_lookup_num_tokens";
const REMOTE = "Transformers 5 has it no more, either: it loads it as code from the Hub";
const COMPILE = "nothing is compiled beforehand; leave it out";
const BATCHING = "calls of generate that overlap share steps by themselves; leave it out";

const REFUSALS: readonly Refusal[] = [
  ["num_beam_groups", [1], REMOTE],
  ["diversity_penalty", [0], REMOTE],
  ["penalty_alpha", [0], REMOTE],
  ["dola_layers", [], REMOTE],
  ["constraints", [], REMOTE],
  ["force_words_ids", [], REMOTE],
  ["custom_generate", [], REMOTE],
  ["trust_remote_code", [false], "no code is loaded from checkpoints"],
  ["assistant_early_exit", [], DRAFTS],
  ["assistant_tokenizer", [], DRAFTS],
  ["use_mtp", [false], `no LLaVA predicts several tokens at once; ${DRAFTS}`],
  ["speculation_type", [], DRAFTS],
  ["token_healing", [false], "not there yet"],
  ["cache_config", [], "what keys and values are kept in is the model's: `cacheDtype` of from_pretrained"],
  [
    "low_memory",
    [false],
    "Transformers 5 has it no more, either, and beams share the pages of their caches in any case",
  ],
  ["compile_config", [], COMPILE],
  ["continuous_batching_config", [], BATCHING],
  ["synced_gpus", [false], "a model lives on one device"],
];

/** Names of what is refused. */
export const REFUSED: readonly string[] = REFUSALS.map(([name]) => name);

/** @throws UnsupportedError naming what is set and is not done here, with the reason */
export function refuseUnsupported(values: object): void {
  for (const [name, off, reason] of REFUSALS) {
    const value = (values as Readonly<Record<string, unknown>>)[name];
    if (value === null || value === undefined || off.includes(value)) continue;
    throw new UnsupportedError(`generate: ${name} is not supported: ${reason}`, { where: name, got: value });
  }
}
