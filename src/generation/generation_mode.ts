import { warnOnce } from "../base/env.ts";
import type { GenerationConfig } from "./configuration_utils.ts";

/** How `generate` goes about it. */
export type GenerationMode =
  | "contrastive_search"
  | "greedy_search"
  | "sample"
  | "assisted_generation"
  | "dola_generation"
  | "beam_search"
  | "beam_sample"
  | "constrained_beam_search"
  | "group_beam_search";

/** How `generate` goes about it with these settings, and with a draft model if there is one. */
export function generationMode(config: GenerationConfig, assistant_model: unknown): GenerationMode {
  const base = baseMode(config);
  const assisted =
    (assistant_model !== null && assistant_model !== undefined) ||
    config.use_mtp === true ||
    config.prompt_lookup_num_tokens !== null ||
    config.assistant_early_exit !== null;
  const extendable = base === "greedy_search" || base === "sample";
  if ((assisted || config.dola_layers !== null) && !extendable) {
    warnOnce(
      `A draft model, prompt lookup or DoLa works with greedy search and sampling only, not with ${base}.`,
    );
  }
  if (config.dola_layers !== null && extendable) return "dola_generation";
  return assisted && extendable ? "assisted_generation" : base;
}

function baseMode(config: GenerationConfig): GenerationMode {
  const { num_beams, do_sample, top_k, penalty_alpha } = config;
  if (config.constraints !== null || config.force_words_ids !== null) return "constrained_beam_search";
  if (num_beams === null || num_beams === 1) {
    if (do_sample === true) return "sample";
    return (top_k ?? 0) > 1 && (penalty_alpha ?? 0) > 0 ? "contrastive_search" : "greedy_search";
  }
  if ((config.num_beam_groups ?? 1) > 1) return "group_beam_search";
  return do_sample === true ? "beam_sample" : "beam_search";
}
