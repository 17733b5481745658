import {
  either,
  type Field,
  type FieldTable,
  flag,
  integer,
  LIMITS,
  listOf,
  nullable,
  number,
  oneOf,
  record,
  text,
  tokenId,
} from "../models/config_fields.ts";

const LENGTH = 2 ** 31 - 1;

/** A field that is null until it is set. */
function unset(field: Field): Field {
  return { ...nullable(field), default: null };
}

const count = unset(integer(null, 0, LENGTH));
const positive = unset(integer(null, 1, LENGTH));
const real = unset(number(0));
const yes = unset(flag(null));
const word = unset(text(null));
const id = unset(tokenId(null));
const ids = unset(listOf(tokenId(null)));
const idOrIds = unset(either(tokenId(null), listOf(tokenId(null))));
const words = unset(either(text(""), listOf(text(""))));
const object = unset(record(null));
const anything: Field = { default: null, expected: "anything", accepts: () => true };

const early: Field = {
  default: null,
  expected: 'true, false or "never"',
  accepts: (v) => v === null || typeof v === "boolean" || v === "never",
};
const decay: Field = {
  default: null,
  expected: "a pair [start, factor] of numbers",
  accepts: (v) => v === null || (Array.isArray(v) && v.length === 2 && v.every(Number.isFinite)),
};
const biases: Field = {
  default: null,
  expected: "a list of [token ids, bias], or a Map from token ids to bias",
  accepts: (v) => v === null || v instanceof Map || (Array.isArray(v) && v.length <= LIMITS.list),
};

/** Cache implementations that Transformers knows, the deprecated ones included. */
export const CACHE_IMPLEMENTATIONS: readonly string[] = [
  ...["dynamic", "offloaded", "static", "offloaded_static", "quantized", "paged"],
  ...["sliding_window", "hybrid", "hybrid_chunked", "offloaded_hybrid", "offloaded_hybrid_chunked"],
];

/** The fields of a GenerationConfig, in Transformers' order. Each is null until it is set. */
export const GENERATION_FIELDS: FieldTable = {
  max_length: count,
  max_new_tokens: positive,
  min_length: count,
  min_new_tokens: count,
  early_stopping: early,
  max_time: unset(number(0, 0)),
  stop_strings: words,
  do_sample: yes,
  num_beams: unset(integer(null, 1, 4096)),
  use_mtp: yes,
  use_cache: yes,
  cache_implementation: unset(oneOf(null, CACHE_IMPLEMENTATIONS)),
  cache_config: object,
  max_cache_len: positive,
  temperature: real,
  top_k: count,
  top_p: real,
  min_p: real,
  top_h: real,
  typical_p: real,
  epsilon_cutoff: real,
  eta_cutoff: real,
  repetition_penalty: real,
  encoder_repetition_penalty: real,
  length_penalty: real,
  no_repeat_ngram_size: count,
  bad_words_ids: unset(listOf(listOf(tokenId(null)))),
  renormalize_logits: yes,
  forced_bos_token_id: id,
  forced_eos_token_id: idOrIds,
  remove_invalid_values: yes,
  exponential_decay_length_penalty: decay,
  suppress_tokens: ids,
  begin_suppress_tokens: ids,
  sequence_bias: biases,
  token_healing: yes,
  guidance_scale: real,
  watermarking_config: object,
  num_return_sequences: unset(integer(null, 1, 4096)),
  output_attentions: yes,
  output_hidden_states: yes,
  output_scores: yes,
  output_logits: yes,
  return_dict_in_generate: yes,
  pad_token_id: id,
  bos_token_id: id,
  eos_token_id: idOrIds,
  encoder_no_repeat_ngram_size: count,
  decoder_start_token_id: idOrIds,
  is_assistant: yes,
  num_assistant_tokens: count,
  num_assistant_tokens_schedule: unset(oneOf(null, ["constant", "heuristic", "heuristic_transient"])),
  assistant_confidence_threshold: real,
  prompt_lookup_num_tokens: positive,
  max_matching_ngram_size: positive,
  assistant_early_exit: positive,
  assistant_lookbehind: count,
  target_lookbehind: count,
  assistant_ensemble_weight: unset({
    ...number(0),
    expected: "a number between 0 and 1, both excluded",
    accepts: (v) => Number.isFinite(v) && (v as number) > 0 && (v as number) < 1,
  }),
  speculation_type: word,
  compile_config: anything,
  disable_compile: yes,
  continuous_batching_config: anything,
  low_memory: yes,
  penalty_alpha: real,
  dola_layers: anything,
  diversity_penalty: real,
  num_beam_groups: count,
  constraints: anything,
  force_words_ids: anything,
  prefill_chunk_size: positive,
  _from_model_config: yes,
  transformers_version: word,
};

/** Arguments of `generate` that no config holds. */
export const GENERATE_ARGUMENTS: readonly string[] = [
  "logits_processor",
  "stopping_criteria",
  "prefix_allowed_tokens_fn",
  "synced_gpus",
  "assistant_model",
  "streamer",
  "negative_prompt_ids",
  "negative_prompt_attention_mask",
];
