import { warnOnce } from "../base/env.ts";
import { OptionError } from "../base/errors.ts";
import type { DynamicCache } from "../nn/dynamic_cache.ts";
import { Tensor } from "../tensor/tensor.ts";
import { checkCacheSettings, isStatic, reserve } from "./cache_settings.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import { checkArguments, type GenerateOptions } from "./generate_options.ts";
import { type PromptRows, promptRows, promptsOf } from "./generation_inputs.ts";
import { lengthsOf } from "./generation_length.ts";
import type { GenerationModel } from "./generation_model.ts";
import { GenerateBeamDecoderOnlyOutput, GenerateDecoderOnlyOutput } from "./generation_output.ts";
import { effectiveSettings, splitSettings } from "./generation_settings.ts";
import { Guide } from "./guide.ts";
import type { Sequence } from "./sequence.ts";
import { strategyOf } from "./strategies.ts";
import type { Strategy } from "./strategy.ts";

/** What `generate` gives: the rows alone, or more with `return_dict_in_generate`. */
export type Generated = Tensor | GenerateDecoderOnlyOutput | GenerateBeamDecoderOnlyOutput;

/**
 * Continues prompts.
 *
 * @returns int32 [B * num_return_sequences, L], prompts included, padded on the right; an object with
 *   `return_dict_in_generate`
 * @throws OptionError naming an option that is unknown or cannot be; ShapeError where inputs do not fit together
 */
export async function generate(model: GenerationModel, options: GenerateOptions): Promise<Generated> {
  try {
    return await decode(model, options);
  } catch (error) {
    // Who reads from the streamer would wait for ever.
    options.streamer?.fail(error);
    throw error;
  }
}

async function decode(model: GenerationModel, options: GenerateOptions): Promise<Generated> {
  const [settings, rest] = splitSettings(options);
  checkArguments(rest, model.pictureArguments);
  const { signal, streamer } = options;
  signal?.throwIfAborted();
  const config = effectiveSettings(settings, options.generation_config ?? undefined, model.generation_config);
  // Embeddings stand for the prompt alone: without a cache, nobody could tell them from what comes after.
  if (options.inputs_embeds) config.use_cache = true;
  const given = options.past_key_values ?? undefined;
  checkCacheSettings(config, given);
  const makeStrategy = strategyOf(config.get_generation_mode({ assistant_model: options.assistant_model }));
  const rows = promptRows(options, config, (past, batch) => model.bindCache(past, batch));
  warnOfRightPadding(rows);
  checkTogether(options, config, rows);
  Object.assign(config, lengthsOf(config, rows.tokens[0].length, rows.length - rows.tokens[0].length));
  const pictures = pick(rest, model.pictureArguments);
  const source = await model.encode({
    input_ids: rows.tokens[0].length > 0 ? rows.tokens : undefined,
    cached: rows.cached,
    inputs_embeds: options.inputs_embeds ?? undefined,
    pictures,
    signal,
  });
  const caches = given ?? model.newCache(rows.tokens.length);
  const before = caches.get_seq_length();
  // Beams change places among the rows of a cache.
  const rowsBefore = given && (config.num_beams ?? 1) > 1 ? given.clone() : undefined;
  const guide = new Guide(model.ask);
  const begun: Sequence[] = [];
  let strategy: Strategy | undefined;
  try {
    if (isStatic(config)) await reserve(config, caches, rows.length - rows.tokens[0].length);
    streamer?.put(new Tensor("int32", [rows.tokens.length, rows.tokens[0].length], rows.tokens.flat()));
    const prompts = promptsOf(rows, given, source);
    strategy = makeStrategy({
      model,
      options,
      config,
      rows,
      prompts,
      pictures,
      guide,
      caches,
      begun,
      newColumns: rows.length - rows.cached,
    });
    await strategy.begin?.();
    await model.scheduler.add(strategy);
    strategy.finish();
    streamer?.reused(begun.reduce((sum, { adopted }) => sum + adopted, 0));
    streamer?.end();
  } catch (error) {
    if (rowsBefore) given?.restore(rowsBefore);
    else release(given, strategy?.caches ?? caches, before);
    throw error;
  } finally {
    strategy?.release();
    rowsBefore?.dispose();
    guide.release();
  }
  return output(config, strategy, given);
}

/** After a failure: a cache that was given is as before, one of our own is gone. */
function release(given: DynamicCache | undefined, own: DynamicCache, before: number): void {
  if (given) given.crop(before - given.get_seq_length());
  if (own !== given) own.dispose();
}

function output(
  config: GenerationConfig,
  { tokens, steps, caches, beams }: Strategy,
  given: DynamicCache | undefined,
): Generated {
  const sequences = new Tensor("int32", [tokens.length, tokens[0].length], tokens.flat());
  const wanted = config.return_dict_in_generate && config.use_cache;
  if (!wanted && caches !== given) caches.dispose();
  if (!config.return_dict_in_generate) return sequences;
  const { scores, logits, attentions, hidden_states } = steps;
  const past_key_values = wanted ? caches : undefined;
  const fields = { sequences, scores, logits, attentions, hidden_states, past_key_values };
  if (!beams) return new GenerateDecoderOnlyOutput(fields);
  const { beam_indices: origins, sequences_scores: sums } = beams;
  return new GenerateBeamDecoderOnlyOutput({
    ...fields,
    sequences_scores: config.output_scores ? new Tensor("float32", [sums.length], sums) : undefined,
    beam_indices: new Tensor("int32", [origins.length, origins[0].length], origins.flat()),
  });
}

/** @throws OptionError for what cannot go together */
function checkTogether(options: GenerateOptions, config: GenerationConfig, rows: PromptRows): void {
  const copies = config.num_return_sequences ?? 1;
  if (options.streamer && (config.num_beams ?? 1) > 1) {
    throw new OptionError("streamer: beams cannot be streamed, as the best is known at the end only", {
      where: "streamer",
      expected: "num_beams: 1",
      got: config.num_beams,
    });
  }
  if (options.streamer && rows.tokens.length * copies > 1) {
    throw new OptionError("streamer: it can follow one row only", {
      where: "streamer",
      got: rows.tokens.length,
    });
  }
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
