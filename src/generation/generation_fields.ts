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
import type { SequenceBias } from "./logits_process/bias.ts";
import type {
  BaseWatermarkingConfig,
  SynthIDTextWatermarkingOptions,
  WatermarkingOptions,
} from "./watermarking_config.ts";

/** Settings of `generate`. Null or absent: the global default. */
export interface GenerationSettings {
  max_length?: number | null;
  max_new_tokens?: number | null;
  min_length?: number | null;
  min_new_tokens?: number | null;
  early_stopping?: boolean | "never" | null;
  /** Seconds. */
  max_time?: number | null;
  stop_strings?: string | string[] | null;
  do_sample?: boolean | null;
  num_beams?: number | null;
  use_mtp?: boolean | null;
  use_cache?: boolean | null;
  cache_implementation?: string | null;
  cache_config?: Record<string, unknown> | null;
  max_cache_len?: number | null;
  temperature?: number | null;
  top_k?: number | null;
  top_p?: number | null;
  min_p?: number | null;
  top_h?: number | null;
  typical_p?: number | null;
  epsilon_cutoff?: number | null;
  eta_cutoff?: number | null;
  repetition_penalty?: number | null;
  encoder_repetition_penalty?: number | null;
  length_penalty?: number | null;
  no_repeat_ngram_size?: number | null;
  bad_words_ids?: number[][] | null;
  renormalize_logits?: boolean | null;
  forced_bos_token_id?: number | null;
  forced_eos_token_id?: number | number[] | null;
  remove_invalid_values?: boolean | null;
  /** `[start, factor]`: from `start` tokens past the prompt, the end grows likelier by `factor` a token. */
  exponential_decay_length_penalty?: [number, number] | null;
  suppress_tokens?: number[] | null;
  begin_suppress_tokens?: number[] | null;
  sequence_bias?: SequenceBias | null;
  token_healing?: boolean | null;
  guidance_scale?: number | null;
  watermarking_config?: BaseWatermarkingConfig | WatermarkingOptions | SynthIDTextWatermarkingOptions | null;
  num_return_sequences?: number | null;
  output_attentions?: boolean | null;
  output_hidden_states?: boolean | null;
  output_scores?: boolean | null;
  output_logits?: boolean | null;
  return_dict_in_generate?: boolean | null;
  pad_token_id?: number | null;
  bos_token_id?: number | null;
  eos_token_id?: number | number[] | null;
  encoder_no_repeat_ngram_size?: number | null;
  decoder_start_token_id?: number | number[] | null;
  is_assistant?: boolean | null;
  num_assistant_tokens?: number | null;
  num_assistant_tokens_schedule?: string | null;
  assistant_confidence_threshold?: number | null;
  prompt_lookup_num_tokens?: number | null;
  max_matching_ngram_size?: number | null;
  assistant_early_exit?: number | null;
  assistant_lookbehind?: number | null;
  target_lookbehind?: number | null;
  assistant_ensemble_weight?: number | null;
  speculation_type?: string | null;
  compile_config?: unknown;
  disable_compile?: boolean | null;
  continuous_batching_config?: unknown;
  low_memory?: boolean | null;
  penalty_alpha?: number | null;
  dola_layers?: unknown;
  diversity_penalty?: number | null;
  num_beam_groups?: number | null;
  constraints?: unknown;
  force_words_ids?: unknown;
  prefill_chunk_size?: number | null;
  transformers_version?: string | null;
}

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

/** Whether Python holds a float at this path of a GenerationConfig's JSON. */
export function isFloatIn([name, ...place]: readonly string[]): boolean {
  if (name === "watermarking_config") return place[0] === "bias" || place[0] === "greenlist_ratio";
  if (name === "exponential_decay_length_penalty") return place[0] === "1";
  if (name === "sequence_bias") return place.length === 2 && place[1] === "1";
  return GENERATION_FIELDS[name]?.float === true;
}

/** Settings that ask for more than tokens. */
export const EXTRA_OUTPUTS = [
  "output_attentions",
  "output_hidden_states",
  "output_scores",
  "output_logits",
] as const;

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
