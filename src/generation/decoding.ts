import type { DynamicCache } from "../nn/dynamic_cache.ts";
import { argmax } from "../tensor/argmax.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { TracedRow } from "./layer_outputs.ts";
import { type Draw, narrowDraw } from "./narrow_draw.ts";
import { Random } from "./sampling.ts";
import type { SequenceOutput, Traced } from "./scheduler_step.ts";
import { extended, type Input, Sequence } from "./sequence.ts";
import { keptOutputs, StepOutputs } from "./step_outputs.ts";
import { tokenRule } from "./stopping_criteria.ts";
import { criteriaOf, type GenerationCall, processorsOf, promptSequence, type Strategy } from "./strategy.ts";

/** How tokens are chosen and when rows end. Shapes: B rows that are computed, V the vocabulary. */
interface DecodingRules {
  /** [B, L], [B, V] -> [B, V]; undefined: scores are the logits. */
  process?: (input_ids: Tensor, scores: Tensor) => Tensor | Promise<Tensor>;
  /** A row of scores -> the next token. */
  pick: (scores: Float32Array) => number;
  /** The likeliest token is picked, and nobody looks at scores. */
  greedy: boolean;
  /** Picks from the logits themselves, where nobody looks at scores. */
  draw?: Draw;
  /** [B, L], [B, V] where anybody looks at scores -> for each row whether it ends here. */
  stop: (input_ids: Tensor, scores?: Tensor) => boolean[] | Promise<boolean[]>;
  /** Says the same of a row, where its latest token and its length are all that has to be looked at. */
  stopAt?: (token: number, length: number) => boolean;
  /** The caller's own criteria may look at what the streamer made of a token. */
  tellsFirst: boolean;
  /** Tokens of a row at most, prompt and padding included. */
  max_length: number;
  /** What ended rows get. */
  pad_token_id: number;
  /** Whether a row that has ended gets padding. Without an end-of-sequence token it goes on until all have ended. */
  padsEnded: boolean;
  /** Computes ended rows on, fed with padding, as Transformers does: where somebody looks at what they give. */
  lockstep: boolean;
  /** Computes all of a row anew for every token. */
  recompute: boolean;
  /** Continuations of each prompt. With a cache that was given, each is a row from the beginning. */
  num_return_sequences: number;
}

/** Told of every token. */
interface TokenSink {
  put(value: Tensor): void;
}

/** One row that is being continued. */
interface Row {
  sequence: Sequence;
  /** What it is computed from. */
  input: Input;
  /** The padded row: prompt and what was chosen. */
  tokens: number[];
  /** A criterion has said so. */
  stopped: boolean;
  /** It gets padding from now on. */
  ended: boolean;
  /** Columns, counted from those that were new, of what was fed. */
  columns: number[];
  /** How many of them its cache holds; the rest was computed beside, after the row's end. */
  kept: number;
}

/** Greedy search and sampling: each row goes its own way. */
export class Decoding implements Strategy {
  readonly signal: AbortSignal | undefined;
  readonly steps: StepOutputs;
  caches: DynamicCache;
  readonly #rules: DecodingRules;
  readonly tell: (() => void) | undefined;
  readonly #sink: TokenSink | undefined;
  /** Tokens [B] that the sink has not been told of. */
  readonly #untold: Tensor[] = [];
  /** Caches of ended rows that are computed on; what they hold is nobody's. */
  readonly #shadows: Sequence[] = [];
  #rows: Row[];
  /** Columns of what was new and is computed; those of the step among them. */
  #columns: number;
  #stepColumns: number;
  #reach: number;
  #expanded: boolean;

  constructor(call: GenerationCall) {
    this.caches = call.caches;
    this.steps = new StepOutputs(keptOutputs(call.config));
    this.signal = call.options.signal;
    this.#sink = call.options.streamer ?? undefined;
    this.tell = this.#sink && (() => this.#tell());
    this.#rules = decodingRules(call, this.steps);
    this.#rows = call.prompts.map(({ tokens, input, columns }, b) => {
      const sequence = promptSequence(call, b);
      sequence.feed(input);
      const row = { sequence, input, tokens: [...tokens], stopped: false, ended: false };
      return { ...row, columns: [...columns], kept: columns.length };
    });
    this.#columns = call.newColumns;
    this.#stepColumns = call.newColumns;
    this.#reach = Math.max(...this.#rows.map(({ sequence }) => sequence.reach));
    this.#expanded = call.prompts.length === call.rows.tokens.length * this.#rules.num_return_sequences;
  }

  get sequences(): readonly Sequence[] {
    return this.#live().map(({ sequence }) => sequence);
  }

  /** Transformers goes on counting rows that have ended. */
  get reach(): number {
    return this.#reach;
  }

  /** Columns up to the longest that is asked for. */
  get left(): number {
    return this.#rules.max_length - this.#rows[0].tokens.length;
  }

  get traced(): Traced | undefined {
    return this.steps.traced;
  }

  get greedy(): boolean {
    return this.#rules.greedy;
  }

  get tokens(): number[][] {
    return this.#rows.map(({ tokens }) => tokens);
  }

  async choose(computed: readonly SequenceOutput[]): Promise<boolean> {
    const rules = this.#rules;
    const outputs = this.#expanded ? computed : this.#expand(computed);
    this.steps.addLayers(() => this.#traces(outputs), this.#stepColumns, this.#width);
    const scores = rules.greedy || rules.draw ? undefined : await this.#scores(outputs);
    const chosen = scores ? this.#pick(scores) : this.#unseen(outputs);
    for (const [b, { tokens }] of this.#rows.entries()) tokens.push(chosen[b]);
    if (this.#sink) this.#untold.push(new Tensor("int32", [chosen.length], chosen));
    if (rules.tellsFirst) this.#tell();
    const { tokens } = this.#rows[0];
    const stops = rules.stopAt
      ? chosen.map((token) => rules.stopAt?.(token, tokens.length))
      : await rules.stop(this.#ids(), scores);
    for (const [b, row] of this.#rows.entries()) row.stopped ||= stops[b] === true;
    if (this.#rows.every(({ stopped }) => stopped)) {
      this.#tell();
      return false;
    }
    this.#feed(chosen);
    return true;
  }

  #tell(): void {
    for (const chosen of this.#untold.splice(0)) this.#sink?.put(chosen);
  }

  finish(): void {
    const kept = this.#rows.map(({ columns, kept }) => columns.slice(0, kept));
    const before = this.caches.get_seq_length();
    this.caches.extend(
      Math.max(...kept.map((columns) => (columns[columns.length - 1] ?? -1) + 1)),
      kept.map((columns) => columns.map((column) => before + column)),
    );
  }

  release(): void {
    for (const { cache } of this.#shadows.splice(0)) cache.dispose();
  }

  /** Columns of the batch, those of the step included. */
  get #width(): number {
    return this.caches.get_seq_length() + this.#columns;
  }

  /** Rows that are computed; scores of the others are zero, and nobody looks at them. */
  #live(): Row[] {
    return this.#rules.lockstep ? this.#rows : this.#rows.filter(({ ended }) => !ended);
  }

  /** Several continuations of each prompt, which is computed once. */
  #expand(outputs: readonly SequenceOutput[]): SequenceOutput[] {
    const n = this.#rules.num_return_sequences;
    const origin = this.#rows.flatMap((_, b) => Array<number>(n).fill(b));
    const caches = this.caches.select(origin);
    this.caches.dispose();
    this.caches = caches;
    this.#rows = origin.map((b, i) => {
      const { tokens, columns } = this.#rows[b];
      const sequence = new Sequence(caches.row(i));
      return { ...this.#rows[b], sequence, tokens: [...tokens], columns: [...columns] };
    });
    this.#expanded = true;
    return origin.map((b) => outputs[b]);
  }

  #feed(chosen: readonly number[]): void {
    const { padsEnded, lockstep } = this.#rules;
    for (const [b, row] of this.#rows.entries()) {
      if (row.stopped && !row.ended && padsEnded) this.#end(row);
      if (row.ended && !lockstep) continue;
      this.#feedRow(row, chosen[b]);
      if (!row.ended) row.kept = row.columns.length;
    }
    this.#stepColumns = this.#rules.recompute ? this.#columns + 1 : 1;
    this.#columns++;
    this.#reach++;
  }

  #feedRow(row: Row, token: number): void {
    const { sequence } = row;
    row.columns.push(this.#columns);
    if (!this.#rules.recompute) {
      sequence.feed({ ids: [token], positions: [sequence.cache.length] });
      return;
    }
    row.input = extended(row.input, [token]);
    sequence.cache.crop(0);
    sequence.feed(row.input);
  }

  /** [B]: what the step gave of the layers. */
  #traces(outputs: readonly SequenceOutput[]): TracedRow[] {
    const [held, first] = [this.caches.get_seq_length(), this.#columns - this.#stepColumns];
    return this.#rows.map(({ columns }, b) => ({
      blocks: outputs[b].trace,
      columns: columns.filter((column) => column >= first).map((column) => column - first),
      keys: [...this.caches.columns(b), ...columns.map((column) => held + column)],
    }));
  }

  /** [B, L] */
  #ids(): Tensor {
    const L = this.#rows[0].tokens.length;
    const ids = new Int32Array(this.#rows.length * L);
    for (const [b, { tokens }] of this.#rows.entries()) ids.set(tokens, b * L);
    return new Tensor("int32", [this.#rows.length, L], ids);
  }

  /** What tokens are picked by: [B, V] */
  async #scores(outputs: readonly SequenceOutput[]): Promise<Tensor> {
    const { process } = this.#rules;
    const raw = this.#stack(outputs.map(({ logits: [last] }) => last));
    this.steps.addLogits(raw);
    // Processors may write to what they are given.
    const given = this.steps.logits ? copy(raw) : raw;
    const scores = process ? await process(this.#ids(), given) : raw;
    this.steps.addScores(scores);
    return scores;
  }

  /** [B, V] -> the next token of each row. */
  #pick({ shape, data }: Tensor): number[] {
    const { pad_token_id, pick } = this.#rules;
    const V = shape[1];
    return this.#rows.map((row, b) =>
      row.ended ? pad_token_id : pick((data as Float32Array).subarray(b * V, b * V + V)),
    );
  }

  /** The next token of each row, where nobody looks at scores: the device has picked it, or it is drawn. */
  #unseen(outputs: readonly SequenceOutput[]): number[] {
    const { pad_token_id, draw } = this.#rules;
    const live = this.#live();
    return this.#rows.map((row) => {
      if (row.ended) return pad_token_id;
      const { best, logits } = outputs[live.indexOf(row)];
      return draw ? draw(logits[0]) : best[0];
    });
  }

  /** The logits of all rows, zero for those that are not computed any more: [B, V] */
  #stack(logits: readonly Float32Array[]): Tensor {
    const V = logits[0].length;
    if (this.#rows.length === 1) return new Tensor("float32", [1, V], logits[0]);
    const data = new Float32Array(this.#rows.length * V);
    const live = this.#live();
    for (const [i, row] of logits.entries()) data.set(row, this.#rows.indexOf(live[i]) * V);
    return new Tensor("float32", [this.#rows.length, V], data);
  }

  #end(row: Row): void {
    row.ended = true;
    if (!this.#rules.lockstep) return;
    row.sequence = new Sequence(row.sequence.cache.clone());
    this.#shadows.push(row.sequence);
  }
}

function decodingRules(call: GenerationCall, steps: StepOutputs): DecodingRules {
  const { options, config } = call;
  const copies = config.num_return_sequences ?? 1;
  const processors = processorsOf(call, copies);
  const criteria = criteriaOf(call);
  const watched = Boolean(options.logits_processor || options.stopping_criteria);
  const random = config.do_sample ? new Random(options.seed) : undefined;
  const { scores, logits } = keptOutputs(config);
  // An assistant's criterion of confidence looks at scores.
  const unseen = !watched && !scores && !logits && config.is_assistant !== true;
  return {
    greedy: unseen && !random && processors.length === 0,
    draw: unseen && random ? narrowDraw(processors, random) : undefined,
    process: processors.length > 0 ? (ids, scores) => processors(ids, scores) : undefined,
    pick: (scores) => (random ? random.sample(scores) : argmax(scores)),
    stop: (ids, scores) => criteria(ids, scores),
    stopAt: tokenRule(criteria),
    tellsFirst: Boolean(options.stopping_criteria),
    max_length: config.max_length ?? Number.POSITIVE_INFINITY,
    pad_token_id: config.pad_token_id ?? 0,
    padsEnded: config.eos_token_id !== null,
    lockstep: watched || steps.any,
    recompute: config.use_cache === false,
    num_return_sequences: copies,
  };
}

function copy({ dtype, shape, data }: Tensor): Tensor {
  return new Tensor(dtype, shape, data.slice());
}
