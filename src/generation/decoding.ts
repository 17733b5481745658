import type { DynamicCache } from "../nn/dynamic_cache.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Group } from "./scheduler.ts";
import type { SequenceOutput } from "./scheduler_step.ts";
import { type Input, Sequence } from "./sequence.ts";

/** How tokens are chosen and when rows end. Shapes: B rows that are computed, V the vocabulary. */
export interface DecodingRules {
  /** [B, L], [B, V] -> [B, V]; undefined: scores are the logits. */
  process?: (input_ids: Tensor, scores: Tensor) => Tensor | Promise<Tensor>;
  /** A row of scores -> the next token. */
  pick: (scores: Float32Array) => number;
  /** [B, L], [B, V] -> for each row whether it ends here. */
  stop: (input_ids: Tensor, scores: Tensor) => Promise<boolean[]>;
  /** What ended rows get. */
  pad_token_id: number;
  /** Whether a row that has ended gets padding. Without an end-of-sequence token it goes on until all have ended. */
  padsEnded: boolean;
  /** Computes ended rows on, fed with padding, as Transformers does: where somebody looks at their scores. */
  lockstep: boolean;
  /** Continuations of each prompt. */
  num_return_sequences: number;
  output_scores: boolean;
  output_logits: boolean;
}

/** Told of every token. `put` first gets the prompt, as Transformers' streamers do. */
export interface TokenSink {
  put(value: Tensor): void;
}

/** One row that is being continued. */
interface Row {
  sequence: Sequence;
  /** The padded row: prompt and what was chosen. */
  tokens: number[];
  /** A criterion has said so. */
  stopped: boolean;
  /** It gets padding from now on. */
  ended: boolean;
  /** Columns, counted from those that were new, that the cache holds. */
  kept: number[];
}

/** What a row begins with. */
export interface Prompt {
  /** [L], padding included. */
  tokens: readonly number[];
  /** What the cache does not hold yet, padding left out. */
  input: Input;
  /** Columns of `input`, counted from the first that the cache does not hold. */
  columns: readonly number[];
}

/** Greedy search and sampling: each row goes its own way. */
export class Decoding implements Group {
  readonly signal: AbortSignal | undefined;
  /** Processed scores of each step, [B, V]. */
  readonly scores: Tensor[] = [];
  /** Logits of each step, [B, V]. */
  readonly logits: Tensor[] = [];
  caches: DynamicCache;
  readonly #rules: DecodingRules;
  readonly #sink: TokenSink | undefined;
  /** Caches of ended rows that are computed on; what they hold is nobody's. */
  readonly #shadows: Sequence[] = [];
  #rows: Row[];
  #column: number;
  #reach: number;
  #expanded: boolean;

  /**
   * @param caches one row for each prompt
   * @param newColumns columns of the prompts, padding included, that the caches do not hold yet
   */
  constructor(
    prompts: readonly Prompt[],
    caches: DynamicCache,
    newColumns: number,
    rules: DecodingRules,
    sink?: TokenSink,
    signal?: AbortSignal,
  ) {
    this.caches = caches;
    this.#rules = rules;
    this.#sink = sink;
    this.signal = signal;
    this.#rows = prompts.map(({ tokens, input, columns }, b) => {
      const sequence = new Sequence(caches.row(b));
      sequence.feed(input);
      return { sequence, tokens: [...tokens], stopped: false, ended: false, kept: [...columns] };
    });
    this.#column = newColumns;
    this.#reach = Math.max(...this.#rows.map(({ sequence }) => sequence.reach));
    this.#expanded = rules.num_return_sequences === 1;
  }

  get sequences(): readonly Sequence[] {
    return this.#live().map(({ sequence }) => sequence);
  }

  /** Transformers goes on counting rows that have ended. */
  get reach(): number {
    return this.#reach;
  }

  /** All rows, padded on the right: [B, L] */
  get tokens(): number[][] {
    return this.#rows.map(({ tokens }) => tokens);
  }

  async choose(outputs: readonly SequenceOutput[]): Promise<boolean> {
    const rules = this.#rules;
    let logits = outputs.map(({ logits: [last] }) => last);
    if (!this.#expanded) logits = this.#expand(logits);
    const raw = this.#stack(logits);
    if (rules.output_logits) this.logits.push(raw);
    const scores = rules.process ? await rules.process(this.#ids(), copy(raw)) : raw;
    if (rules.output_scores) this.scores.push(scores);
    const V = scores.shape[1];
    const chosen = this.#rows.map((row, b) =>
      row.ended ? rules.pad_token_id : rules.pick((scores.data as Float32Array).subarray(b * V, b * V + V)),
    );
    for (const [b, { tokens }] of this.#rows.entries()) tokens.push(chosen[b]);
    this.#sink?.put(new Tensor("int32", [chosen.length], chosen));
    const stops = await rules.stop(this.#ids(), scores);
    for (const [b, row] of this.#rows.entries()) row.stopped ||= stops[b];
    if (this.#rows.every(({ stopped }) => stopped)) return false;
    this.#feed(chosen);
    return true;
  }

  /** Writes into the caches which columns they hold. */
  finish(): void {
    this.caches.extend(
      Math.max(...this.#rows.map(({ kept }) => (kept[kept.length - 1] ?? -1) + 1)),
      this.#rows.map(({ kept }) => kept.map((column) => this.caches.get_seq_length() + column)),
    );
  }

  /** Forgets what ended rows computed on. */
  release(): void {
    for (const { cache } of this.#shadows.splice(0)) cache.dispose();
  }

  /** Rows that are computed; scores of the others are zero, and nobody looks at them. */
  #live(): Row[] {
    return this.#rules.lockstep ? this.#rows : this.#rows.filter(({ ended }) => !ended);
  }

  /** Several continuations of each prompt, which is computed once. */
  #expand(logits: readonly Float32Array[]): Float32Array[] {
    const n = this.#rules.num_return_sequences;
    const origin = this.#rows.flatMap((_, b) => Array<number>(n).fill(b));
    const caches = this.caches.select(origin);
    this.caches.dispose();
    this.caches = caches;
    this.#rows = origin.map((b, i) => {
      const { tokens, kept } = this.#rows[b];
      return {
        ...this.#rows[b],
        sequence: new Sequence(caches.row(i)),
        tokens: [...tokens],
        kept: [...kept],
      };
    });
    this.#expanded = true;
    return origin.map((b) => logits[b]);
  }

  #feed(chosen: readonly number[]): void {
    for (const [b, row] of this.#rows.entries()) {
      if (row.stopped && !row.ended && this.#rules.padsEnded) this.#end(row);
      if (row.ended && !this.#rules.lockstep) continue;
      row.sequence.feed({ ids: [chosen[b]], positions: [row.sequence.cache.length] });
      if (!row.ended) row.kept.push(this.#column);
    }
    this.#column++;
    this.#reach++;
  }

  /** [B, L] */
  #ids(): Tensor {
    const rows = this.#rows;
    return new Tensor(
      "int32",
      [rows.length, rows[0].tokens.length],
      rows.flatMap(({ tokens }) => tokens),
    );
  }

  /** The logits of all rows, zero for those that are not computed any more: [B, V] */
  #stack(logits: readonly Float32Array[]): Tensor {
    const V = logits[0].length;
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

function copy({ dtype, shape, data }: Tensor): Tensor {
  return new Tensor(dtype, shape, data.slice());
}
