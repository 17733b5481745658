import { ShapeError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { editRows, LogitsProcessor, matrix, numberWhere, plainIds, refuse, wholeNumber } from "./base.ts";

const { fround } = Math;

/** Makes each of the ids less likely by the penalty, once. */
function penalize(row: Float32Array, ids: ArrayLike<number>, penalty: number): void {
  const p = fround(penalty);
  for (const id of new Set(Array.from(ids))) {
    if (id < row.length) row[id] = row[id] < 0 ? row[id] * p : row[id] / p;
  }
}

/** Makes tokens less likely that stand in the text already, prompt included: s < 0 ? s * penalty : s / penalty. */
export class RepetitionPenaltyLogitsProcessor extends LogitsProcessor {
  readonly penalty: number;
  readonly prompt_ignore_length: number | readonly number[] | null;

  /**
   * @param options.prompt_ignore_length tokens at the beginning that do not count: one number, or one a row (int32 [B])
   */
  constructor(
    penalty: number,
    options: { prompt_ignore_length?: number | readonly number[] | Tensor | null } = {},
  ) {
    super();
    const name = "RepetitionPenaltyLogitsProcessor";
    numberWhere(name, "penalty", penalty, "a number above 0", (p) => p > 0);
    checkOptions(name, options, ["prompt_ignore_length"]);
    const ignored = options.prompt_ignore_length ?? null;
    if (typeof ignored === "number") wholeNumber(name, "prompt_ignore_length", ignored, 0);
    if (ignored instanceof Tensor && ignored.shape.length !== 1) {
      refuse(name, "prompt_ignore_length", "a number, or one a row", ignored.shape);
    }
    this.penalty = penalty;
    this.prompt_ignore_length = ignored instanceof Tensor ? Array.from(ignored.data, Number) : ignored;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    const ignored = this.prompt_ignore_length;
    if (typeof ignored === "object" && ignored !== null && ignored.length !== input_ids.shape[0]) {
      throw new ShapeError(
        `RepetitionPenaltyLogitsProcessor: prompt_ignore_length has ${ignored.length} rows, input_ids has ${input_ids.shape[0]}`,
        { expected: input_ids.shape[0], got: ignored.length },
      );
    }
    return editRows("RepetitionPenaltyLogitsProcessor", input_ids, scores, (row, ids, i) => {
      const skip = typeof ignored === "number" ? ignored : (ignored?.[i] ?? 0);
      penalize(row, Array.prototype.slice.call(ids, skip), this.penalty);
    });
  }
}

/** The tokens of a prompt: [B, P]. */
export type PromptIds = Tensor;

/** The prompt's rows. One may serve several hypotheses that follow each other. */
class Prompts {
  readonly #ids: Int32Array;
  readonly #rows: number;
  readonly #length: number;

  constructor(name: string, prompt: PromptIds) {
    const two =
      prompt.shape.length === 1 ? new Tensor(prompt.dtype, [1, ...prompt.shape], prompt.data) : prompt;
    [this.#rows, this.#length] = matrix(name, "encoder_input_ids", two);
    this.#ids = plainIds(two);
  }

  /** The prompt of a row among `rows`. */
  of(row: number, rows: number): Int32Array {
    const prompt = Math.min(Math.floor(row / Math.max(1, Math.floor(rows / this.#rows))), this.#rows - 1);
    return this.#ids.subarray(prompt * this.#length, (prompt + 1) * this.#length);
  }
}

/** Makes the prompt's tokens likelier: as RepetitionPenaltyLogitsProcessor, by 1 / penalty. */
export class EncoderRepetitionPenaltyLogitsProcessor extends LogitsProcessor {
  readonly penalty: number;
  readonly #prompts: Prompts;

  constructor(penalty: number, encoder_input_ids: PromptIds) {
    super();
    const name = "EncoderRepetitionPenaltyLogitsProcessor";
    numberWhere(name, "penalty", penalty, "a number above 0", (p) => p > 0);
    this.penalty = 1 / penalty;
    this.#prompts = new Prompts(name, encoder_input_ids);
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    const rows = scores.shape[0];
    return editRows("EncoderRepetitionPenaltyLogitsProcessor", input_ids, scores, (row, _, i) => {
      penalize(row, this.#prompts.of(i, rows), this.penalty);
    });
  }
}

/** Forbids what followed the last n - 1 of `ids` anywhere in `text`. */
function banFollowers(row: Float32Array, ids: ArrayLike<number>, text: ArrayLike<number>, n: number): void {
  const suffix = ids.length - (n - 1);
  if (suffix < 0) return;
  for (let start = 0; start + n <= text.length; start++) {
    let same = true;
    for (let i = 0; same && i < n - 1; i++) same = text[start + i] === ids[suffix + i];
    const next = text[start + n - 1];
    if (same && next < row.length) row[next] = Number.NEGATIVE_INFINITY;
  }
}

/** Forbids any sequence of `ngram_size` tokens to come twice, prompt included. */
export class NoRepeatNGramLogitsProcessor extends LogitsProcessor {
  readonly ngram_size: number;

  constructor(ngram_size: number) {
    super();
    wholeNumber("NoRepeatNGramLogitsProcessor", "ngram_size", ngram_size, 1);
    this.ngram_size = ngram_size;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("NoRepeatNGramLogitsProcessor", input_ids, scores, (row, ids) => {
      banFollowers(row, ids, ids, this.ngram_size);
    });
  }
}

/** Forbids any sequence of `encoder_ngram_size` tokens that stands in the prompt. */
export class EncoderNoRepeatNGramLogitsProcessor extends LogitsProcessor {
  readonly ngram_size: number;
  readonly #prompts: Prompts;

  constructor(encoder_ngram_size: number, encoder_input_ids: PromptIds) {
    super();
    const name = "EncoderNoRepeatNGramLogitsProcessor";
    wholeNumber(name, "encoder_ngram_size", encoder_ngram_size, 1);
    this.ngram_size = encoder_ngram_size;
    this.#prompts = new Prompts(name, encoder_input_ids);
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    const rows = scores.shape[0];
    return editRows("EncoderNoRepeatNGramLogitsProcessor", input_ids, scores, (row, ids, i) => {
      banFollowers(row, ids, this.#prompts.of(i, rows), this.ngram_size);
    });
  }
}
