import { OptionError } from "../base/errors.ts";
import type { ActivationName } from "../kernels/activation.ts";
import {
  either,
  type FieldTable,
  flag,
  LIMITS,
  listOf,
  nullable,
  number,
  record,
  tokenId,
} from "./config_fields.ts";
import type { PreTrainedConfig } from "./configuration_utils.ts";
import type { RopeParameters } from "./rope_parameters.ts";

/** What every text model's config has. */
export interface TextConfig extends PreTrainedConfig {
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  /** Elements of one head; where absent, `hidden_size / num_attention_heads` rounded down. */
  head_dim?: number;
  hidden_act: ActivationName;
  max_position_embeddings: number;
  initializer_range: number;
  rms_norm_eps: number;
  use_cache: boolean;
  pad_token_id: number | null;
  bos_token_id: number | null;
  eos_token_id: number | number[] | null;
  tie_word_embeddings: boolean;
  rope_parameters: RopeParameters;
  attention_dropout: number | null;
}

/** Elements of one attention head. */
export function headDim(config: {
  hidden_size: number;
  num_attention_heads: number;
  head_dim?: number | null;
}): number {
  return config.head_dim ?? Math.floor(config.hidden_size / config.num_attention_heads);
}

/** Fields that the text models declare alike. */
export const TEXT_FIELDS = {
  eos: (value: number | null): FieldTable[string] => nullable(either(tokenId(value), listOf(tokenId(null)))),
  dropout: nullable(number(0, 0, 1)),
  epsilon: (value: number): FieldTable[string] => number(value, 0, 1),
  initializerRange: number(0.02, 0, 1),
  rope: nullable(record(null)),
  useCache: flag(true),
  maxPositions: 2 ** 40,
  headDim: LIMITS.intermediate,
} as const;

/** @throws OptionError where the query heads cannot share the key heads evenly, or a head has no elements */
export function checkHeads(config: {
  hidden_size: number;
  num_attention_heads: number;
  num_key_value_heads: number;
}): void {
  const { num_attention_heads: heads, num_key_value_heads: shared, hidden_size } = config;
  if (heads % shared !== 0) {
    throw new OptionError(
      `num_key_value_heads: expected a divisor of num_attention_heads = ${heads}, got ${shared}`,
      { where: "num_key_value_heads", expected: `a divisor of ${heads}`, got: shared },
    );
  }
  if (heads > hidden_size) {
    throw new OptionError(
      `num_attention_heads: expected at most hidden_size = ${hidden_size}, got ${heads}`,
      {
        where: "num_attention_heads",
        expected: hidden_size,
        got: heads,
      },
    );
  }
}

/** @throws OptionError where the hidden size cannot be cut into heads of equal size */
export function checkHiddenSize(config: { hidden_size: number; num_attention_heads: number }): void {
  const { hidden_size, num_attention_heads: heads } = config;
  if (hidden_size % heads === 0) return;
  throw new OptionError(
    `hidden_size: expected a multiple of num_attention_heads = ${heads}, got ${hidden_size}`,
    { where: "hidden_size", expected: `a multiple of ${heads}`, got: hidden_size },
  );
}
