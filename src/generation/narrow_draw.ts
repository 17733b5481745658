import { Tensor } from "../tensor/tensor.ts";
import type { LogitsProcessFunction } from "./logits_process/base.ts";
import {
  MinPLogitsWarper,
  TemperatureLogitsWarper,
  TopKLogitsWarper,
  TopPLogitsWarper,
} from "./logits_process/filters.ts";
import { kthLargest } from "./probabilities.ts";
import type { Random } from "./sampling.ts";

const { fround } = Math;

/** Logits of the next token, [V] -> the token */
export type Draw = (logits: Float32Array) => number;

/**
 * Sampling among the k best tokens, without making arrays of the whole vocabulary: the best are taken out first, in the
 * order of their ids, and what follows sees them alone. The same tokens come as by the processors themselves: what they
 * remove has probability zero, and adds nothing to any sum.
 *
 * @param processors a temperature or none, `top_k`, then `top_p` and `min_p` or none
 * @returns undefined where there are others
 */
export function narrowDraw(processors: Iterable<LogitsProcessFunction>, random: Random): Draw | undefined {
  const [first, ...others] = processors;
  const warm = first instanceof TemperatureLogitsWarper;
  const [topK, ...rest] = warm ? others : [first, ...others];
  if (!(topK instanceof TopKLogitsWarper)) return undefined;
  if (!rest.every((one) => one instanceof TopPLogitsWarper || one instanceof MinPLogitsWarper)) {
    return undefined;
  }
  const temperature = warm ? fround(first.temperature) : 1;
  return (logits) => {
    const [ids, scores] = best(logits, topK.top_k, temperature);
    let left = new Tensor("float32", [1, scores.length], scores);
    for (const filter of rest) left = filter(NO_IDS, left);
    return ids[random.sample(left.data as Float32Array)];
  };
}

/** Filters look at scores alone, but ask for a row of ids. */
const NO_IDS = new Tensor("int32", [1, 0], new Int32Array());

/** The k best of the logits over the temperature and all that equal the last of them: their places, and themselves. */
function best(logits: Float32Array, k: number, temperature: number): [number[], Float32Array] {
  const least = fround(kthLargest(logits, k) / temperature);
  const ids: number[] = [];
  const scores: number[] = [];
  for (let i = 0; i < logits.length; i++) {
    const score = fround(logits[i] / temperature);
    if (score < least) continue;
    ids.push(i);
    scores.push(score);
  }
  return [ids, Float32Array.from(scores)];
}
