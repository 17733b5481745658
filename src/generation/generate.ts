import { warnOnce } from "../base/env.ts";
import { OptionError, UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import type { DynamicCache } from "../nn/dynamic_cache.ts";
import type { Ids } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { GenerationConfig, GenerationSettings } from "./configuration_utils.ts";
import { Decoding, type DecodingRules } from "./decoding.ts";
import { GENERATION_FIELDS } from "./generation_fields.ts";
import { type GenerationInputs, type PromptRows, promptRows, promptsOf } from "./generation_inputs.ts";
import { lengthsOf } from "./generation_length.ts";
import type { GenerationModel } from "./generation_model.ts";
import { GenerateDecoderOnlyOutput } from "./generation_output.ts";
import { effectiveSettings, splitSettings } from "./generation_settings.ts";
import type { LogitsProcessFunction } from "./logits_process/base.ts";
import { get_logits_processor } from "./logits_process/builder.ts";
import { argmax, Random } from "./sampling.ts";
import { get_stopping_criteria, type StoppingFunction, type StoppingTokenizer } from "./stopping_criteria.ts";
import type { BaseStreamer } from "./streamers.ts";

/** Arguments of `generate`: settings, what is to be continued, and who takes part. */
export interface GenerateOptions extends GenerationSettings, GenerationInputs {
  /** [N, C, S, S]: the pictures of all rows, in the order of their placeholders. */
  pixel_values?: Tensor | null;
  /** [N, 2]: height and width of each picture without padding, for a tower that takes pictures of any size. */
  image_sizes?: Ids | null;
  vision_feature_layer?: number | readonly number[] | null;
  vision_feature_select_strategy?: "default" | "full" | null;
  mm_encoder_outputs?: unknown;
  generation_config?: GenerationConfig | null;
  /** Run after the built-in ones; one of the same class takes the built-in one's place. */
  logits_processor?: Iterable<LogitsProcessFunction> | null;
  stopping_criteria?: Iterable<StoppingFunction> | null;
  /** Allowed next tokens of a row: (row, its ids) -> ids. */
  prefix_allowed_tokens_fn?: ((batch_id: number, input_ids: Tensor) => number[]) | null;
  /** Told of every token. One row only. */
  streamer?: BaseStreamer | null;
  /** Needed for `stop_strings`. */
  tokenizer?: StoppingTokenizer | null;
  /** Our own: sampling with the same seed gives the same tokens. */
  seed?: number;
  /** Our own: checked before every step. */
  signal?: AbortSignal;
}

const ARGUMENTS = [
  "input_ids",
  "attention_mask",
  "inputs_embeds",
  "past_key_values",
  "generation_config",
  "logits_processor",
  "stopping_criteria",
  "prefix_allowed_tokens_fn",
  "streamer",
  "tokenizer",
  "seed",
  "signal",
] as const satisfies readonly (keyof GenerateOptions)[];

/** Arguments of Transformers' `generate` that this version does not have. */
const UNSUPPORTED: readonly string[] = [
  "assistant_model",
  "assistant_tokenizer",
  "negative_prompt_ids",
  "negative_prompt_attention_mask",
  "synced_gpus",
  "custom_generate",
  "trust_remote_code",
  "use_model_defaults",
];

/**
 * Continues prompts.
 *
 * @returns int32 [B * num_return_sequences, L], prompts included, padded on the right; an object with
 *   `return_dict_in_generate`
 * @throws OptionError naming an option that is unknown or cannot be; ShapeError where inputs do not fit together
 */
export async function generate(
  model: GenerationModel,
  options: GenerateOptions,
): Promise<Tensor | GenerateDecoderOnlyOutput> {
  try {
    return await decode(model, options);
  } catch (error) {
    // Who reads from the streamer would wait for ever.
    options.streamer?.fail(error);
    throw error;
  }
}

async function decode(
  model: GenerationModel,
  options: GenerateOptions,
): Promise<Tensor | GenerateDecoderOnlyOutput> {
  const [settings, rest] = splitSettings(options);
  checkArguments(model, rest);
  const { signal, streamer } = options;
  signal?.throwIfAborted();
  const config = effectiveSettings(settings, options.generation_config ?? undefined, model.generation_config);
  if (config.pad_token_id === null && config.eos_token_id !== null) {
    config.pad_token_id = [config.eos_token_id].flat()[0];
  }
  const rows = promptRows(options, config);
  warnOfRightPadding(rows);
  const rules = decodingRules(options, config, rows);
  if (streamer && rows.tokens.length * rules.num_return_sequences > 1) {
    throw new OptionError("streamer: it can follow one row only", {
      where: "streamer",
      got: rows.tokens.length,
    });
  }
  if (options.past_key_values && rules.num_return_sequences > 1) {
    throw new OptionError(
      "num_return_sequences: a cache that was given can be continued in one way only; clone it",
      {
        where: "num_return_sequences",
        expected: 1,
        got: rules.num_return_sequences,
      },
    );
  }
  const source = await model.encode({
    input_ids: rows.tokens[0].length > 0 ? rows.tokens : undefined,
    cached: rows.cached,
    inputs_embeds: options.inputs_embeds ?? undefined,
    pictures: pick(rest, model.pictureArguments),
    signal,
  });
  const given = options.past_key_values ?? undefined;
  const caches = given ?? model.newCache(rows.tokens.length);
  const before = caches.get_seq_length();
  let decoding: Decoding | undefined;
  try {
    streamer?.put(new Tensor("int32", [rows.tokens.length, rows.tokens[0].length], rows.tokens.flat()));
    const prompts = promptsOf(rows, given, source);
    decoding = new Decoding(prompts, caches, rows.length - rows.cached, rules, streamer ?? undefined, signal);
    await model.scheduler.add(decoding);
    decoding.finish();
    streamer?.end();
  } catch (error) {
    release(given, decoding?.caches ?? caches, before);
    throw error;
  } finally {
    decoding?.release();
    source?.free();
  }
  return output(config, decoding, given);
}

/** After a failure: a cache that was given is as before, one of our own is gone. */
function release(given: DynamicCache | undefined, own: DynamicCache, before: number): void {
  if (given) given.crop(before - given.get_seq_length());
  if (own !== given) own.dispose();
}

function output(
  config: GenerationConfig,
  decoding: Decoding,
  given: DynamicCache | undefined,
): Tensor | GenerateDecoderOnlyOutput {
  const { tokens, scores, logits, caches } = decoding;
  const sequences = new Tensor("int32", [tokens.length, tokens[0].length], tokens.flat());
  const wanted = config.return_dict_in_generate && config.use_cache;
  if (!wanted && caches !== given) caches.dispose();
  if (!config.return_dict_in_generate) return sequences;
  return new GenerateDecoderOnlyOutput({
    sequences,
    scores: config.output_scores ? scores : undefined,
    logits: config.output_logits ? logits : undefined,
    past_key_values: wanted ? caches : undefined,
  });
}

function decodingRules(options: GenerateOptions, config: GenerationConfig, rows: PromptRows): DecodingRules {
  const prompt = rows.tokens[0].length;
  const { max_length, min_length } = lengthsOf(config, prompt, rows.length - prompt);
  const resolved = Object.assign(config, { max_length, min_length });
  const copies = config.num_return_sequences ?? 1;
  const processors = get_logits_processor(resolved, {
    input_ids_seq_length: prompt,
    encoder_input_ids: repeated(rows.tokens, copies),
    attention_mask: repeated(rows.mask, copies),
    prefix_allowed_tokens_fn: options.prefix_allowed_tokens_fn ?? undefined,
    logits_processor: options.logits_processor ?? undefined,
  });
  const criteria = get_stopping_criteria(resolved, {
    stopping_criteria: options.stopping_criteria ?? undefined,
    tokenizer: options.tokenizer ?? undefined,
  });
  const watched = Boolean(options.logits_processor || options.stopping_criteria);
  const random = config.do_sample ? new Random(options.seed) : undefined;
  return {
    process: processors.length > 0 ? (ids, scores) => processors(ids, scores) : undefined,
    pick: (scores) => (random ? random.sample(scores) : argmax(scores)),
    stop: async (ids, scores) => criteria(ids, scores),
    pad_token_id: config.pad_token_id ?? 0,
    padsEnded: config.eos_token_id !== null,
    lockstep: watched || config.output_scores === true || config.output_logits === true,
    num_return_sequences: copies,
    output_scores: config.return_dict_in_generate === true && config.output_scores === true,
    output_logits: config.return_dict_in_generate === true && config.output_logits === true,
  };
}

function checkArguments(model: GenerationModel, rest: Record<string, unknown>): void {
  const unsupported = UNSUPPORTED.find((name) => rest[name] !== undefined && rest[name] !== null);
  if (unsupported) {
    throw new UnsupportedError(`generate: ${unsupported} is not supported yet`, { where: unsupported });
  }
  const known = [...ARGUMENTS, ...model.pictureArguments, ...UNSUPPORTED, ...Object.keys(GENERATION_FIELDS)];
  checkOptions("generate", rest, known);
}

/** Each row `copies` times: [B, L] -> int32 [B * copies, L] */
function repeated(rows: readonly (readonly (number | boolean)[])[], copies: number): Tensor {
  const all = rows.flatMap((row) => Array.from({ length: copies }, () => row.map(Number)));
  return new Tensor("int32", [all.length, rows[0].length], all.flat());
}

function pick(from: Record<string, unknown>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}

/** Allowed here, and answered as each row alone would be; Transformers continues after the padding. */
function warnOfRightPadding({ mask }: PromptRows): void {
  if (mask.length > 1 && mask.some((row) => !row[row.length - 1])) {
    warnOnce(
      "generate: the prompts are padded on the right; each is continued from its own last token. " +
        "Transformers would continue after the padding: set padding_side to 'left' to compare.",
    );
  }
}
