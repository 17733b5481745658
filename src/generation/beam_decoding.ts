import type { DynamicCache } from "../nn/dynamic_cache.ts";
import { Tensor } from "../tensor/tensor.ts";
import { type BeamResult, BeamSearch } from "./beam_search.ts";
import type { Prompt } from "./generation_inputs.ts";
import type { TracedRow } from "./layer_outputs.ts";
import type { LogitsProcessorList } from "./logits_process/base.ts";
import { logSoftmax } from "./probabilities.ts";
import { Random } from "./sampling.ts";
import type { SequenceOutput, Traced } from "./scheduler_step.ts";
import { extended, Sequence } from "./sequence.ts";
import { keptOutputs, StepOutputs } from "./step_outputs.ts";
import type { StoppingCriteriaList } from "./stopping_criteria.ts";
import { criteriaOf, type GenerationCall, processorsOf, promptSequence, type Strategy } from "./strategy.ts";

/**
 * Beam search, and sampling with beams. Prompts are computed once; then each has `num_beams` rows, whose caches share
 * pages and change places as the beams do. A cache that was given has the rows of all beams from the beginning, as in
 * Transformers. Shapes: B prompts, b beams, V the vocabulary.
 */
export class BeamDecoding implements Strategy {
  readonly signal: AbortSignal | undefined;
  readonly steps: StepOutputs;
  /** [B] at first, then [B * b]: the beams that ran on last, as in Transformers. */
  caches: DynamicCache;
  readonly #search: BeamSearch;
  readonly #beams: number;
  readonly #prompts: readonly Prompt[];
  readonly #processors: LogitsProcessorList;
  readonly #criteria: StoppingCriteriaList;
  /** Computes all of a row anew for every token. */
  readonly #recompute: boolean;
  #sequences: Sequence[];
  #result: BeamResult | undefined;
  #expanded: boolean;
  readonly #promptColumns: number;
  /** Columns of what was new and is computed; those of the step among them. */
  #columns: number;
  #stepColumns: number;

  constructor(call: GenerationCall) {
    const { options, config, prompts, caches, rows } = call;
    const { num_beams, max_length, early_stopping, length_penalty, num_return_sequences } = config;
    const random = config.do_sample ? new Random(options.seed) : undefined;
    this.#beams = num_beams ?? 1;
    this.#search = new BeamSearch(rows.tokens, {
      num_beams: this.#beams,
      num_return_sequences: num_return_sequences ?? 1,
      max_length: max_length ?? Number.POSITIVE_INFINITY,
      length_penalty: length_penalty ?? 1,
      early_stopping: early_stopping ?? false,
      pad_token_id: config.pad_token_id,
      eos_token_id: config.eos_token_id === null ? null : [config.eos_token_id].flat(),
      draw: random && ((weights, count) => random.multinomial(weights, count)),
    });
    this.caches = caches;
    this.signal = options.signal;
    this.steps = new StepOutputs(keptOutputs(config));
    this.#prompts = prompts;
    this.#expanded = prompts.length === rows.tokens.length * this.#beams;
    this.#processors = processorsOf(call, this.#beams);
    this.#criteria = criteriaOf(call);
    this.#recompute = config.use_cache === false;
    this.#promptColumns = call.newColumns;
    this.#columns = call.newColumns;
    this.#stepColumns = call.newColumns;
    this.#sequences = prompts.map(({ input }, b) => {
      const sequence = promptSequence(call, b);
      sequence.feed(input);
      return sequence;
    });
  }

  get sequences(): readonly Sequence[] {
    return this.#sequences;
  }

  get traced(): Traced | undefined {
    return this.steps.traced;
  }

  get tokens(): number[][] {
    return this.beams.sequences;
  }

  /** What was found. */
  get beams(): BeamResult {
    this.#result ??= this.#search.result();
    return this.#result;
  }

  async choose(computed: readonly SequenceOutput[]): Promise<boolean> {
    const outputs = this.#expanded ? computed : this.#expand(computed);
    const { steps } = this;
    steps.addLayers(() => this.#traces(outputs), this.#stepColumns, this.#width);
    const logits = outputs.map(({ logits: [last] }) => last);
    steps.addLogits(stack(logits));
    const scores = await this.#processors(idsOf(this.#search.tokens), stack(logits.map(logSoftmax)));
    steps.addScores(scores);
    const { origins, tokens, done } = await this.#search.advance(rowsOf(scores), (candidates) =>
      this.#criteria(idsOf(candidates), steps.scores ?? null),
    );
    this.#takeRows(origins);
    if (!done) this.#feed(tokens);
    return !done;
  }

  finish(): void {
    const before = this.caches.get_seq_length();
    const kept = this.#sequences.map((_, row) => this.#columnsOf(row).map((column) => before + column));
    this.caches.extend(this.#columns, kept);
  }

  release(): void {
    // Nothing was only lent: the caches are the caller's.
  }

  /** Columns of the batch, those of the step included. */
  get #width(): number {
    return this.caches.get_seq_length() + this.#columns;
  }

  /** A row's beams are rows of their own from now on. */
  #expand(outputs: readonly SequenceOutput[]): SequenceOutput[] {
    const origins = outputs.flatMap((_, prompt) => Array<number>(this.#beams).fill(prompt));
    this.#takeRows(origins);
    this.#expanded = true;
    return origins.map((prompt) => outputs[prompt]);
  }

  #takeRows(origins: readonly number[]): void {
    this.caches.batch_select_indices(origins);
    this.#sequences = origins.map((_, row) => new Sequence(this.caches.row(row)));
  }

  #feed(tokens: readonly number[]): void {
    const rows = this.#search.tokens;
    for (const [row, sequence] of this.#sequences.entries()) {
      const { cache } = sequence;
      if (this.#recompute) {
        const { input, tokens: prompt } = this.#promptOf(row);
        cache.crop(0);
        sequence.feed(extended(input, rows[row].slice(prompt.length)));
      } else sequence.feed({ ids: [tokens[row]], positions: [cache.length] });
    }
    this.#columns++;
    this.#stepColumns = this.#recompute ? this.#columns : 1;
  }

  #promptOf(row: number): Prompt {
    return this.#prompts[Math.floor((row * this.#prompts.length) / this.#sequences.length)];
  }

  /** Columns of what was fed of a row, counted from those that were new. */
  #columnsOf(row: number): number[] {
    const first = this.#promptColumns;
    const fed = Array.from({ length: this.#columns - first }, (_, i) => first + i);
    return [...this.#promptOf(row).columns, ...fed];
  }

  /** [B * b]: what the step gave of the layers. */
  #traces(outputs: readonly SequenceOutput[]): TracedRow[] {
    const [held, first] = [this.caches.get_seq_length(), this.#columns - this.#stepColumns];
    return outputs.map(({ trace }, row) => {
      const columns = this.#columnsOf(row);
      return {
        blocks: trace,
        columns: columns.filter((column) => column >= first).map((column) => column - first),
        keys: [...this.caches.columns(row), ...columns.map((column) => held + column)],
      };
    });
  }
}

/** Rows of one length as a matrix: int32 [rows, L] */
function idsOf(rows: readonly (readonly number[])[]): Tensor {
  return new Tensor("int32", [rows.length, rows[0].length], rows.flat());
}

/** [rows] of [V] -> float32 [rows, V] */
function stack(rows: readonly Float32Array[]): Tensor {
  const V = rows[0].length;
  const data = new Float32Array(rows.length * V);
  for (const [i, row] of rows.entries()) data.set(row, i * V);
  return new Tensor("float32", [rows.length, V], data);
}

/** float32 [rows, V] -> [rows] of [V] */
function rowsOf({ shape: [rows, V], data }: Tensor): Float32Array[] {
  return Array.from({ length: rows }, (_, i) => (data as Float32Array).subarray(i * V, (i + 1) * V));
}
