import {
  type FieldTable,
  flag,
  integer,
  LIMITS,
  listOf,
  nullable,
  oneOf,
  record,
  text,
} from "./config_fields.ts";
import { GENERATION_DEFAULTS } from "./generation_defaults.ts";

/** Other names of element types. */
export const DTYPE_ALIASES: Readonly<Record<string, string>> = {
  half: "float16",
  float: "float32",
  double: "float64",
};

const DTYPES = [
  ...["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"],
  ...["int64", "int32", "int16", "int8", "uint8", "bool"],
  ...Object.keys(DTYPE_ALIASES),
];

const PROBLEM_TYPES = ["regression", "single_label_classification", "multi_label_classification"];

/** Fields of every configuration. */
export const COMMON_FIELDS: FieldTable = {
  transformers_version: nullable(text(null)),
  architectures: nullable(listOf(text(""))),
  output_hidden_states: nullable(flag(false)),
  return_dict: nullable(flag(true)),
  dtype: nullable(oneOf(null, DTYPES)),
  chunk_size_feed_forward: integer(0, 0, LIMITS.hidden),
  is_encoder_decoder: flag(false),
  id2label: nullable(record(null)),
  label2id: nullable(record(null)),
  problem_type: nullable(oneOf(null, PROBLEM_TYPES)),
};

/** Keys that no table declares and that are worked into fields, or mean something to Python alone. */
export const CONSUMED_KEYS: readonly string[] = [
  "model_type",
  "torch_dtype",
  "name_or_path",
  "_name_or_path",
  "output_attentions",
  "num_labels",
  "attn_implementation",
  "experts_implementation",
  "_attn_implementation_internal",
  "_experts_implementation_internal",
  "_is_quantized",
  "_auto_class",
  "_commit_hash",
  "_post_init_done",
  "ignore_keys_at_rope_validation",
  "base_model_tp_plan",
  "base_model_pp_plan",
  "base_model_fsdp_plan",
  "distributed_config",
  ...Object.keys(GENERATION_DEFAULTS),
];

/** Old spellings of RoPE, in configs that have `rope_parameters`. */
export const ROPE_KEYS: readonly string[] = ["rope_theta", "rope_scaling", "partial_rotary_factor"];

/** Keys that no table declares, and that files often hold. They are kept. */
export const KNOWN_EXTRAS: readonly string[] = [
  "quantization_config",
  "original_max_position_embeddings",
  "head_dim",
  "ignore_index",
  "pad_token_id",
  "bos_token_id",
  "eos_token_id",
  "vocab_size",
];
