import { OptionError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type EosIds, editRows, idList, LogitsProcessor, refuse } from "./base.ts";

/** What is added to the score of a token that completes a sequence: `[ids, bias]`, or a Map from ids to bias. */
export type SequenceBias =
  | readonly (readonly [readonly number[], number])[]
  | ReadonlyMap<readonly number[], number>;

/** Adds to the score of a token that would complete a sequence. A single token is always completed. */
export class SequenceBiasLogitsProcessor extends LogitsProcessor {
  readonly sequence_bias: readonly (readonly [readonly number[], number])[];

  /** @throws OptionError where it is not a list of token ids with a number each */
  constructor(sequence_bias: SequenceBias) {
    super();
    const pairs = sequence_bias instanceof Map ? [...sequence_bias] : sequence_bias;
    const name = "SequenceBiasLogitsProcessor";
    const expected = "a list of [token ids, number]";
    if (!Array.isArray(pairs) || pairs.length === 0)
      refuse(name, "sequence_bias", `${expected}, not empty`, pairs);
    for (const pair of pairs as unknown[]) {
      const [ids, bias] = Array.isArray(pair) ? pair : [];
      const known = areIds(ids) && ids.length > 0 && typeof bias === "number" && !Number.isNaN(bias);
      if (!known) refuse(name, "sequence_bias", expected, pair);
    }
    // As keys of a dictionary do, a sequence that is given again takes the later bias.
    const unique = new Map(pairs.map((pair) => [pair[0].join(), pair] as const));
    this.sequence_bias = [...unique.values()];
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    const V = scores.shape[scores.shape.length - 1];
    const outside = this.sequence_bias.flatMap(([ids]) => ids.filter((id) => id >= V));
    if (outside.length > 0) {
      throw new OptionError(
        `sequence_bias: the vocabulary has ${V} tokens, so there is no ${outside.join(", ")}`,
        {
          where: "sequence_bias",
          expected: V,
          got: outside,
        },
      );
    }
    return editRows("SequenceBiasLogitsProcessor", input_ids, scores, (row, ids) => this.#add(row, ids));
  }

  #add(row: Float32Array, ids: ArrayLike<number>): void {
    const sums = new Map<number, number>();
    for (const [sequence, bias] of this.sequence_bias) {
      if (!endsWith(ids, sequence, sequence.length - 1)) continue;
      const last = sequence[sequence.length - 1];
      sums.set(last, Math.fround((sums.get(last) ?? 0) + Math.fround(bias)));
    }
    for (const [id, bias] of sums) row[id] += bias;
  }
}

/** Whether the first `length` of `sequence` are the last of `ids`. */
function endsWith(ids: ArrayLike<number>, sequence: readonly number[], length: number): boolean {
  if (length > ids.length) return false;
  for (let i = 0; i < length; i++) if (ids[ids.length - length + i] !== sequence[i]) return false;
  return true;
}

function areIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);
}

/** Forbids token sequences. A sequence that is the end of a text alone is not forbidden. */
export class NoBadWordsLogitsProcessor extends LogitsProcessor {
  readonly bad_word_ids: readonly (readonly number[])[];
  readonly #bias: SequenceBiasLogitsProcessor | undefined;

  constructor(bad_words_ids: readonly (readonly number[])[], options: { eos_token_id?: EosIds | null } = {}) {
    super();
    const name = "NoBadWordsLogitsProcessor";
    checkOptions(name, options, ["eos_token_id"]);
    const valid = Array.isArray(bad_words_ids) && bad_words_ids.length > 0 && bad_words_ids.every(areIds);
    if (!valid) refuse(name, "bad_words_ids", "a list of lists of token ids, not empty", bad_words_ids);
    const eos = idList(options.eos_token_id ?? []);
    const kept = bad_words_ids.filter((ids) => ids.length !== 1 || !eos.includes(ids[0]));
    const pairs = kept.map((ids) => [ids, Number.NEGATIVE_INFINITY] as const);
    this.bad_word_ids = bad_words_ids;
    this.#bias = pairs.length > 0 ? new SequenceBiasLogitsProcessor(pairs) : undefined;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return this.#bias?.__call__(input_ids, scores) ?? scores;
  }
}

/** Never lets these tokens come. */
export class SuppressTokensLogitsProcessor extends LogitsProcessor {
  readonly suppress_tokens: readonly number[];

  constructor(suppress_tokens: Iterable<number>) {
    super();
    this.suppress_tokens = [...suppress_tokens];
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("SuppressTokensLogitsProcessor", input_ids, scores, (row) => {
      forbid(row, this.suppress_tokens);
    });
  }
}

/** Does not let these tokens come first: where the text is `begin_index` tokens long. */
export class SuppressTokensAtBeginLogitsProcessor extends LogitsProcessor {
  readonly begin_suppress_tokens: readonly number[];
  begin_index: number;

  constructor(begin_suppress_tokens: Iterable<number>, begin_index: number) {
    super();
    this.begin_suppress_tokens = [...begin_suppress_tokens];
    this.begin_index = begin_index;
  }

  set_begin_index(begin_index: number): void {
    this.begin_index = begin_index;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("SuppressTokensAtBeginLogitsProcessor", input_ids, scores, (row, ids) => {
      if (ids.length === this.begin_index) forbid(row, this.begin_suppress_tokens);
    });
  }
}

/** Forbids tokens; ids outside the vocabulary are none. */
export function forbid(row: Float32Array, ids: readonly number[]): void {
  for (const id of ids) if (id >= 0 && id < row.length) row[id] = Number.NEGATIVE_INFINITY;
}

/** Gives the tokens that may come next, for a prompt and what there is so far. */
export type PrefixAllowedTokensFn = (batch_id: number, input_ids: Tensor) => readonly number[];
