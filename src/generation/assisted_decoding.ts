import { OptionError } from "../base/errors.ts";
import type { DynamicCache } from "../nn/dynamic_cache.ts";
import { argmax } from "../tensor/argmax.ts";
import { Tensor } from "../tensor/tensor.ts";
import { acceptChosen, acceptDrawn } from "./assisted.ts";
import { isStatic } from "./cache_settings.ts";
import { DraftModel } from "./draft_model.ts";
import { type Draft, type Drafter, PromptLookup } from "./drafter.ts";
import { sliceBlocks } from "./layer_outputs.ts";
import type { LogitsProcessorList } from "./logits_process/base.ts";
import { UnbatchedClassifierFreeGuidanceLogitsProcessor } from "./logits_process/guidance.ts";
import { SynthIDTextWatermarkLogitsProcessor } from "./logits_process/synthid.ts";
import { softmax } from "./probabilities.ts";
import { Random } from "./sampling.ts";
import type { Choice } from "./scheduler.ts";
import type { SequenceOutput, TraceBlock, Traced } from "./scheduler_step.ts";
import { extended, type Input, type Sequence } from "./sequence.ts";
import { keptOutputs, StepOutputs } from "./step_outputs.ts";
import type { StoppingCriteriaList } from "./stopping_criteria.ts";
import { criteriaOf, type GenerationCall, processorsOf, promptSequence, type Strategy } from "./strategy.ts";

/**
 * Greedy search and sampling of one row, several tokens a step: something quicker goes ahead, and the model looks at
 * all of its tokens at once. What comes out is what the model alone would give.
 */
export class AssistedDecoding implements Strategy {
  readonly signal: AbortSignal | undefined;
  readonly steps: StepOutputs;
  readonly caches: DynamicCache;
  readonly sequences: readonly [Sequence];
  readonly #call: GenerationCall;
  readonly #processors: LogitsProcessorList;
  readonly #criteria: StoppingCriteriaList;
  readonly #random: Random | undefined;
  readonly #drafter: Drafter;
  readonly #row: number[];
  /** Columns of what was fed and stays, counted from those that were new. */
  readonly #columns: number[];
  #draft: Draft = { tokens: [] };
  /** Rows of the input before the draft's. */
  #rows: number;
  #stepColumns: number;
  /** Columns with those of the step, the draft's left out. */
  #width: number;

  /** @throws OptionError for what cannot be with drafts */
  constructor(call: GenerationCall) {
    refuse(call);
    const { options, config, caches, prompts } = call;
    this.#call = call;
    this.caches = caches;
    this.signal = options.signal;
    this.steps = new StepOutputs(keptOutputs(config));
    this.sequences = [promptSequence(call, 0)];
    this.#processors = processorsOf(call, 1);
    refuseStateful(this.#processors);
    this.#criteria = criteriaOf(call);
    this.#random = config.do_sample ? new Random(options.seed) : undefined;
    const looksUp = config.prompt_lookup_num_tokens !== null;
    this.#drafter = looksUp
      ? new PromptLookup(call, this.#processors)
      : new DraftModel(call, this.#processors, this.#random);
    this.#row = [...prompts[0].tokens];
    this.#columns = [...prompts[0].columns];
    this.#rows = this.#columns.length;
    this.#stepColumns = call.newColumns;
    this.#width = caches.get_seq_length() + call.newColumns;
  }

  get traced(): Traced | undefined {
    return this.steps.traced;
  }

  get tokens(): number[][] {
    return [this.#row];
  }

  begin(): Promise<void> {
    return this.#feed(this.#call.prompts[0].input);
  }

  async choose([{ logits, trace }]: readonly SequenceOutput[]): Promise<Choice> {
    const proposed = this.#draft.tokens.length;
    const scores = await this.#scores(logits);
    const accepted = this.#accept(scores.map(({ data }) => data as Float32Array));
    const { tokens, ended } = await this.#untilEnd(accepted, scores);
    const kept = tokens.length - 1;
    this.#row.push(...tokens);
    this.#call.options.streamer?.put(new Tensor("int32", [1, tokens.length], [...tokens]));
    const { cache } = this.sequences[0];
    cache.crop(cache.length - (proposed - kept));
    this.#drafter.judged(proposed, kept);
    for (const [i, score] of scores.slice(0, kept + 1).entries()) {
      this.steps.addScores(score);
      this.steps.addLogits(rowOf(logits[i]));
    }
    this.#addLayers(trace, kept);
    if (ended) return false;
    const next = { ids: tokens.slice(-1), positions: [cache.length] };
    this.#columns.push(this.#width - this.caches.get_seq_length());
    this.#rows = 1;
    this.#stepColumns = 1;
    this.#width++;
    return { until: this.#feed(next) };
  }

  finish(): void {
    const before = this.caches.get_seq_length();
    const columns = this.#columns.map((column) => before + column);
    this.caches.extend((this.#columns[this.#columns.length - 1] ?? -1) + 1, [columns]);
  }

  release(): void {
    this.#drafter.release();
  }

  /** Gives the sequence its next rows, and a draft after them. */
  async #feed(input: Input): Promise<void> {
    this.#draft = await this.#drafter.propose(this.#row);
    const { tokens } = this.#draft;
    this.sequences[0].feed(extended(input, tokens), tokens.length + 1);
  }

  /** Processed scores at each proposed token, and one more: [1, V] each. */
  async #scores(logits: readonly Float32Array[]): Promise<Tensor[]> {
    const raw = logits.map(rowOf);
    if (this.#processors.length === 0) return raw;
    const scores: Tensor[] = [];
    for (const [i, row] of raw.entries()) {
      const ids = this.#ids(this.#draft.tokens.slice(0, i));
      scores.push(await this.#processors(ids, new Tensor("float32", row.shape, row.data.slice())));
    }
    return scores;
  }

  /** Which of the proposed tokens stay, and the model's own after them. */
  #accept(scores: readonly Float32Array[]): number[] {
    const random = this.#random;
    const { tokens, scores: drawn } = this.#draft;
    const weight = this.#call.config.assistant_ensemble_weight;
    if (!random) {
      const both = (p: Float32Array, i: number): Float32Array =>
        weight !== null && drawn?.[i] ? weighed(p, drawn[i], weight) : p;
      return acceptChosen(
        tokens,
        scores.map((row, i) => argmax(both(row, i))),
      );
    }
    if (!drawn) {
      return acceptChosen(
        tokens,
        scores.map((row) => random.sample(row)),
      );
    }
    const chance = {
      uniform: () => random.uniform(),
      draw: (weights: Float32Array) => random.multinomial(weights, 1)[0],
    };
    return acceptDrawn(tokens, drawn, scores, chance, weight);
  }

  /** The tokens up to the one at which a criterion ends the row, each looked at as if it had come alone. */
  async #untilEnd(
    accepted: readonly number[],
    scores: readonly Tensor[],
  ): Promise<{ tokens: readonly number[]; ended: boolean }> {
    for (const i of accepted.keys()) {
      const tokens = accepted.slice(0, i + 1);
      const [ended] = await this.#criteria(this.#ids(tokens), scores[i]);
      if (ended) return { tokens, ended };
    }
    return { tokens: accepted, ended: false };
  }

  #ids(more: readonly number[]): Tensor {
    const row = [...this.#row, ...more];
    return new Tensor("int32", [1, row.length], row);
  }

  /** A step for each token that stays, and one for what was before the draft. */
  #addLayers(trace: readonly TraceBlock[], kept: number): void {
    const held = this.caches.get_seq_length();
    const first = this.#width - held - this.#stepColumns;
    const columns = this.#columns.slice(-this.#rows).map((column) => column - first);
    this.#addStep(sliceBlocks(trace, 0, this.#rows), columns, this.#stepColumns);
    for (let i = 0; i < kept; i++) {
      this.#columns.push(this.#width - held);
      this.#width++;
      this.#addStep(sliceBlocks(trace, this.#rows + i, this.#rows + i + 1), [0], 1);
    }
  }

  #addStep(blocks: readonly TraceBlock[], columns: readonly number[], length: number): void {
    const held = this.caches.get_seq_length();
    const keys = [...this.caches.columns(0), ...this.#columns.map((column) => held + column)];
    this.steps.addLayers(() => [{ blocks, columns, keys }], length, this.#width);
  }
}

function rowOf(logits: Float32Array): Tensor {
  return new Tensor("float32", [1, logits.length], logits);
}

/** The probabilities of the two, weighed. */
function weighed(model: Float32Array, draft: Float32Array, weight: number): Float32Array {
  const q = softmax(draft);
  return softmax(model).map((p, i) => weight * p + (1 - weight) * q[i]);
}

function refuse({ config, rows }: GenerationCall): void {
  const refuse = (where: string, reason: string, got: unknown): never => {
    throw new OptionError(`${where}: a draft model or prompt lookup ${reason}`, { where, got });
  };
  if (rows.tokens.length > 1) refuse("input_ids", "continues one row only", rows.tokens.length);
  const copies = config.num_return_sequences ?? 1;
  if (copies > 1) refuse("num_return_sequences", "gives one sequence only", copies);
  const { cache_implementation } = config;
  if (isStatic(config)) refuse("cache_implementation", "needs a cache that can shrink", cache_implementation);
  if (config.use_cache === false) refuse("use_cache", "needs the cache", false);
}

/** Processors that count on being called once for each token. */
const STATEFUL = [UnbatchedClassifierFreeGuidanceLogitsProcessor, SynthIDTextWatermarkLogitsProcessor];

function refuseStateful(processors: LogitsProcessorList): void {
  for (const processor of processors) {
    const found = STATEFUL.find((type) => processor instanceof type);
    if (!found) continue;
    throw new OptionError(
      `${found.name} keeps count of the tokens, and cannot look at drafts: leave out assistant_model or ` +
        "prompt_lookup_num_tokens",
      { where: found.name },
    );
  }
}
