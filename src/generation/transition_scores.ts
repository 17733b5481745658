import { OptionError, ShapeError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { type Ids, idRows } from "../tensor/ids.ts";
import { Tensor } from "../tensor/tensor.ts";
import { logSoftmax } from "./probabilities.ts";

export interface TransitionScoreOptions {
  /** What a beam search gave, [R, new tokens]. Without: row by row. */
  beam_indices?: Ids | null;
  /** Takes the logarithms of probabilities of the scores first. */
  normalize_logits?: boolean;
}

/**
 * The scores that the generated tokens had when they were chosen.
 *
 * @param sequences what `generate` gave, int32 [R, L]
 * @param scores those of each step, float32 [rows, V]
 * @returns float32 [R, new tokens]; 0 past a sequence's end
 * @throws ShapeError where the three do not belong together
 */
export function transitionScores(
  sequences: Ids,
  scores: readonly Tensor[] | null | undefined,
  vocab_size: number,
  options: TransitionScoreOptions = {},
): Tensor {
  checkOptions("compute_transition_scores", options, ["beam_indices", "normalize_logits"]);
  if (!scores || scores.length === 0) {
    throw new OptionError(
      "scores: there are none. Call generate with output_scores and return_dict_in_generate.",
      { where: "scores" },
    );
  }
  for (const step of scores) checkStep(step, scores[0].shape[0], vocab_size);
  const tokens = idRows("sequences", sequences);
  const origins = originsOf(options.beam_indices, tokens, scores);
  const length = Math.max(...origins.map((row) => row.filter((origin) => origin >= 0).length));
  const first = tokens[0].length - length;
  if (first < 0) mismatch("sequences", `at least ${length} columns`, tokens[0].length);
  const out = new Float32Array(tokens.length * length);
  for (const [r, row] of origins.entries()) {
    for (let t = 0; t < length; t++) {
      if (row[t] < 0) continue;
      const at = row[t] * vocab_size;
      const values = (scores[t].data as Float32Array).subarray(at, at + vocab_size);
      out[r * length + t] = scoreOf(tokens[r][first + t], values, options.normalize_logits === true);
    }
  }
  return new Tensor("float32", [tokens.length, length], out);
}

/** [R, new tokens]: the row of scores that each token came from, -1 past the end. */
function originsOf(
  beam_indices: Ids | null | undefined,
  tokens: readonly number[][],
  scores: readonly Tensor[],
): number[][] {
  const rows = scores[0].shape[0];
  if (!beam_indices) {
    if (tokens.length !== rows) mismatch("sequences", `${rows} rows, as scores has`, tokens.length);
    return tokens.map((_, row) => Array<number>(scores.length).fill(row));
  }
  const origins = idRows("beam_indices", beam_indices);
  if (origins.length !== tokens.length) {
    mismatch("beam_indices", `${tokens.length} rows, as sequences has`, origins.length);
  }
  if (origins.some((row) => row.slice(scores.length).some((origin) => origin >= 0))) {
    mismatch("beam_indices", `at most ${scores.length} columns, as scores has steps`, origins[0].length);
  }
  const outside = origins.flat().find((origin) => origin >= rows);
  if (outside !== undefined) mismatch("beam_indices", `rows of scores, below ${rows}`, outside);
  return origins;
}

function scoreOf(token: number, values: Float32Array, normalize: boolean): number {
  if (token < 0 || token >= values.length) {
    mismatch("sequences", `generated tokens from 0 to ${values.length - 1}`, token);
  }
  return normalize ? logSoftmax(values)[token] : values[token];
}

function checkStep({ dtype, shape }: Tensor, rows: number, vocab_size: number): void {
  if (dtype === "float32" && shape.length === 2 && shape[0] === rows && shape[1] === vocab_size) return;
  mismatch("scores", `a float32 [${rows}, ${vocab_size}] for each step`, `${dtype} [${shape}]`);
}

function mismatch(where: string, expected: string, got: unknown): never {
  throw new ShapeError(`compute_transition_scores: ${where}: expected ${expected}, got ${got}`, {
    where,
    expected,
    got,
  });
}
