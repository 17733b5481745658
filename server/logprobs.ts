import type { LogitsProcess, Tensor } from "../src/index.ts";

/** A token and the natural logarithm of its probability. */
export interface TokenLogprob {
  id: number;
  logprob: number;
}

/** A chosen token, with the likeliest at its place. */
export interface ChosenLogprob extends TokenLogprob {
  /** An answer begins with it: its leading space is not shown. */
  first: boolean;
  top: TokenLogprob[];
}

/** Keeps the model's own scores of each step, to say afterwards how likely the token was that was chosen. */
export class LogprobRecorder {
  readonly #top: number;
  #scores: Float32Array | undefined;

  /** @param top how many of the likeliest tokens are wanted */
  constructor(top: number) {
    this.#top = top;
  }

  /** Changes nothing; what comes after it may. */
  readonly process: LogitsProcess = (_input_ids: Tensor, scores: Tensor): Tensor => {
    this.#scores = (scores.data as Float32Array).slice();
    return scores;
  };

  /** Of the last step. */
  chosen(id: number, first: boolean): ChosenLogprob {
    const scores = this.#scores ?? new Float32Array(0);
    let most = Number.NEGATIVE_INFINITY;
    for (const score of scores) most = Math.max(most, score);
    let sum = 0;
    for (const score of scores) sum += Math.exp(score - most);
    const total = most + Math.log(sum);
    // -Infinity is no JSON; -9999 is what OpenAI puts in its place.
    const logprob = (i: number): number => Math.max(scores[i] - total, -9999);
    const top = likeliest(scores, this.#top).map((i) => ({ id: i, logprob: logprob(i) }));
    return { id, logprob: logprob(id), first, top };
  }
}

/** Indices of the `count` highest scores, highest first. */
function likeliest(scores: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let i = 0; i < scores.length; i++) {
    if (best.length === count && (count === 0 || scores[i] <= scores[best[count - 1]])) continue;
    const place = best.findIndex((other) => scores[other] < scores[i]);
    best.splice(place < 0 ? best.length : place, 0, i);
    if (best.length > count) best.pop();
  }
  return best;
}
