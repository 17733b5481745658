import { warnOnce } from "../../base/env.ts";
import { OptionError } from "../../base/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { GenerationConfig } from "../configuration_utils.ts";
import { mergeCustom } from "../merge_custom.ts";
import { idList, type LogitsProcessFunction, LogitsProcessorList, plainIds } from "./base.ts";
import {
  NoBadWordsLogitsProcessor,
  type PrefixAllowedTokensFn,
  SequenceBiasLogitsProcessor,
  SuppressTokensAtBeginLogitsProcessor,
  SuppressTokensLogitsProcessor,
} from "./bias.ts";
import {
  EpsilonLogitsWarper,
  EtaLogitsWarper,
  MinPLogitsWarper,
  TemperatureLogitsWarper,
  TopHLogitsWarper,
  TopKLogitsWarper,
  TopPLogitsWarper,
  TypicalLogitsWarper,
} from "./filters.ts";
import { type GuidanceModel, UnbatchedClassifierFreeGuidanceLogitsProcessor } from "./guidance.ts";
import {
  ExponentialDecayLengthPenalty,
  ForcedBOSTokenLogitsProcessor,
  ForcedEOSTokenLogitsProcessor,
  MinLengthLogitsProcessor,
  MinNewTokensLengthLogitsProcessor,
} from "./length.ts";
import { InfNanRemoveLogitsProcessor, LogitNormalization } from "./numeric.ts";
import { PrefixConstrainedLogitsProcessor } from "./prefix.ts";
import {
  EncoderNoRepeatNGramLogitsProcessor,
  EncoderRepetitionPenaltyLogitsProcessor,
  NoRepeatNGramLogitsProcessor,
  RepetitionPenaltyLogitsProcessor,
} from "./repetition.ts";

/** What the processors of a call to `generate` come from, beside its settings. */
export interface ProcessorSources {
  /** Tokens of the prompt, pads included; 0 where there are embeddings alone. */
  input_ids_seq_length: number;
  /** The prompt's tokens, int32 [B, P], where there are some. */
  encoder_input_ids?: Tensor | null;
  /** 1 for tokens, 0 for pads, [rows, L]. */
  attention_mask?: Tensor | null;
  prefix_allowed_tokens_fn?: PrefixAllowedTokensFn | null;
  /** The caller's own. One of a class that is made here takes that one's place; others come after. */
  logits_processor?: Iterable<LogitsProcessFunction> | null;
  /** Rows of scores, where there is a watermark. */
  vocab_size?: number;
  /** The model, where there is guidance. */
  model?: GuidanceModel | null;
  negative_prompt_ids?: Tensor | null;
  negative_prompt_attention_mask?: Tensor | null;
}

/** Settings and sources, and the ids that end a text (null: none). */
interface Call extends ProcessorSources {
  config: GenerationConfig;
  eos_token_id: readonly number[] | null;
}

/**
 * All processors of a call, in Transformers' order.
 *
 * @param config with the defaults filled in; `max_length` is that of the call
 */
export function get_logits_processor(
  config: GenerationConfig,
  sources: ProcessorSources,
): LogitsProcessorList {
  const eos = config.eos_token_id;
  const call = { ...sources, config, eos_token_id: eos === null ? null : idList(eos) };
  const own = [...biases(call), ...repetitions(call), ...lengths(call), ...constraints(call)];
  const processors = mergeCustom(new LogitsProcessorList(own), sources.logits_processor ?? []);
  if (config.do_sample === true) processors.extend(filters(call));
  if (config.watermarking_config !== null) {
    if (sources.vocab_size === undefined) {
      throw new OptionError("watermarking_config needs the size of the vocabulary", { where: "vocab_size" });
    }
    processors.push(config.watermarking_config.construct_processor(sources.vocab_size));
  }
  if (config.renormalize_logits === true) processors.push(new LogitNormalization());
  return processors;
}

function biases({ config, ...sources }: Call): LogitsProcessFunction[] {
  const out: LogitsProcessFunction[] = [];
  const { guidance_scale, sequence_bias } = config;
  if (guidance_scale !== null && guidance_scale !== 1) {
    if (!sources.model) throw new OptionError("guidance_scale needs a model", { where: "guidance_scale" });
    out.push(
      new UnbatchedClassifierFreeGuidanceLogitsProcessor(guidance_scale, sources.model, {
        unconditional_ids: sources.negative_prompt_ids ?? null,
        unconditional_attention_mask: sources.negative_prompt_attention_mask ?? null,
        use_cache: config.use_cache ?? true,
      }),
    );
  }
  if (sequence_bias !== null) out.push(new SequenceBiasLogitsProcessor(sequence_bias));
  return out;
}

function repetitions({ config, eos_token_id, ...sources }: Call): LogitsProcessFunction[] {
  const out: LogitsProcessFunction[] = [];
  const prompt = sources.encoder_input_ids ?? null;
  const prompted = prompt !== null && !plainIds(prompt).some((id) => id < 0);
  const lost = (option: string): void => {
    warnOnce(`${option} has no effect without input_ids.`);
  };
  const partly = (option: string): void => {
    if (sources.input_ids_seq_length > 0) return;
    warnOnce(`${option} looks at the new tokens alone, as the prompt is embeddings without input_ids.`);
  };
  if (config.encoder_repetition_penalty !== null && config.encoder_repetition_penalty !== 1) {
    if (!prompted) lost("encoder_repetition_penalty");
    else out.push(new EncoderRepetitionPenaltyLogitsProcessor(config.encoder_repetition_penalty, prompt));
  }
  if (config.repetition_penalty !== null && config.repetition_penalty !== 1) {
    const prompt_ignore_length = sources.attention_mask ? leftPads(sources.attention_mask) : null;
    out.push(new RepetitionPenaltyLogitsProcessor(config.repetition_penalty, { prompt_ignore_length }));
    partly("repetition_penalty");
  }
  if ((config.no_repeat_ngram_size ?? 0) > 0) {
    out.push(new NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size as number));
    partly("no_repeat_ngram_size");
  }
  if ((config.encoder_no_repeat_ngram_size ?? 0) > 0) {
    if (!prompted) lost("encoder_no_repeat_ngram_size");
    else
      out.push(
        new EncoderNoRepeatNGramLogitsProcessor(config.encoder_no_repeat_ngram_size as number, prompt),
      );
  }
  if (config.bad_words_ids !== null)
    out.push(new NoBadWordsLogitsProcessor(config.bad_words_ids, { eos_token_id }));
  return out;
}

/** Tokens before the first that counts, row by row. */
function leftPads(mask: Tensor): number[] {
  const [rows, length] = mask.shape;
  return Array.from({ length: rows }, (_, row) => {
    const first = mask.data.subarray(row * length, (row + 1) * length).findIndex((bit) => Number(bit) !== 0);
    return Math.max(0, first);
  });
}

function lengths({ config, eos_token_id, ...sources }: Call): LogitsProcessFunction[] {
  const out: LogitsProcessFunction[] = [];
  if (eos_token_id === null) return out;
  if ((config.min_length ?? 0) > 0) {
    out.push(new MinLengthLogitsProcessor(config.min_length as number, eos_token_id));
  }
  if ((config.min_new_tokens ?? 0) > 0) {
    const prompt = sources.input_ids_seq_length;
    out.push(new MinNewTokensLengthLogitsProcessor(prompt, config.min_new_tokens as number, eos_token_id));
  }
  return out;
}

function constraints({ config, eos_token_id, ...sources }: Call): LogitsProcessFunction[] {
  const out: LogitsProcessFunction[] = [];
  const prompt = sources.input_ids_seq_length;
  if (sources.prefix_allowed_tokens_fn) {
    out.push(new PrefixConstrainedLogitsProcessor(sources.prefix_allowed_tokens_fn, config.num_beams ?? 1));
  }
  if (config.forced_bos_token_id !== null)
    out.push(new ForcedBOSTokenLogitsProcessor(config.forced_bos_token_id));
  if (config.forced_eos_token_id !== null) {
    const end = config.max_length ?? Number.POSITIVE_INFINITY;
    out.push(new ForcedEOSTokenLogitsProcessor(end, config.forced_eos_token_id));
  }
  if (config.remove_invalid_values === true) out.push(new InfNanRemoveLogitsProcessor());
  if (config.exponential_decay_length_penalty !== null) {
    if (eos_token_id === null) {
      throw new OptionError("exponential_decay_length_penalty needs an eos_token_id", {
        where: "eos_token_id",
      });
    }
    out.push(
      new ExponentialDecayLengthPenalty(config.exponential_decay_length_penalty, eos_token_id, prompt),
    );
  }
  if (config.suppress_tokens !== null) out.push(new SuppressTokensLogitsProcessor(config.suppress_tokens));
  if (config.begin_suppress_tokens !== null) {
    // A forced first token takes the place of the beginning.
    const begin = prompt > 1 || config.forced_bos_token_id === null ? prompt : prompt + 1;
    out.push(new SuppressTokensAtBeginLogitsProcessor(config.begin_suppress_tokens, begin));
  }
  return out;
}

/** What only sampling looks at. */
function filters({ config, eos_token_id }: Call): LogitsProcessFunction[] {
  const out: LogitsProcessFunction[] = [];
  const { temperature, top_h, top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff } = config;
  const inside = (value: number | null): value is number => value !== null && value > 0 && value < 1;
  // With beams, one token that does not end the text must be left.
  const min_tokens_to_keep = (config.num_beams ?? 1) > 1 ? (eos_token_id?.length ?? 1) + 1 : 1;
  const keep = { min_tokens_to_keep };
  if (temperature !== null && temperature !== 1) out.push(new TemperatureLogitsWarper(temperature));
  if (top_h !== null) out.push(new TopHLogitsWarper(top_h));
  if (top_k !== null && top_k !== 0) out.push(new TopKLogitsWarper(top_k, keep));
  if (top_p !== null && top_p < 1) out.push(new TopPLogitsWarper(top_p, keep));
  if (min_p !== null) out.push(new MinPLogitsWarper(min_p, keep));
  if (typical_p !== null && typical_p < 1) out.push(new TypicalLogitsWarper({ mass: typical_p, ...keep }));
  if (inside(epsilon_cutoff)) out.push(new EpsilonLogitsWarper(epsilon_cutoff, keep));
  if (inside(eta_cutoff)) out.push(new EtaLogitsWarper(eta_cutoff, keep));
  return out;
}
