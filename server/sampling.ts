import {
  type LogitsProcess,
  TemperatureLogitsWarper,
  TopKLogitsWarper,
  TopPLogitsWarper,
} from "../src/index.ts";
import { invalid } from "./errors.ts";
import type { LogprobRecorder } from "./logprobs.ts";

/** How tokens are chosen, as OpenAI's requests say it. */
export interface SamplingRequest {
  temperature?: number;
  top_p?: number;
  /** Not of OpenAI's. */
  top_k?: number;
  seed?: number;
  presence_penalty?: number;
  frequency_penalty?: number;
  logit_bias?: Record<string, number>;
}

/** What it means to `generate`. */
export interface Sampling {
  do_sample: boolean;
  temperature?: number;
  top_p?: number;
  top_k?: number;
  seed?: number;
  logits_processor?: LogitsProcess[];
}

/**
 * Penalties and biases come before the temperature, and log probabilities are those of the model before all of them:
 * hence the warpers are ours to put in order where there are some.
 *
 * @param choice which of the answers to one request: each has its own seed
 * @param constraint leaves only the tokens that the answer's format allows
 */
export function samplingOf(
  request: SamplingRequest,
  choice: number,
  vocabulary: number,
  recorder?: LogprobRecorder,
  constraint?: LogitsProcess,
): Sampling {
  const { temperature = request.top_p === undefined && !request.top_k ? 0 : 1, top_p = 1 } = request;
  const processors: LogitsProcess[] = [];
  if (recorder) processors.push(recorder.process);
  const { presence_penalty = 0, frequency_penalty = 0, logit_bias } = request;
  if (presence_penalty !== 0 || frequency_penalty !== 0) {
    processors.push(penalties(presence_penalty, frequency_penalty));
  }
  if (logit_bias) processors.push(bias(logit_bias, vocabulary));
  if (constraint) processors.push(constraint);
  const greedy = temperature === 0;
  const seed = request.seed === undefined ? undefined : Math.abs(request.seed + choice);
  if (!greedy && processors.length === 0) {
    return { do_sample: true, temperature, top_p, top_k: request.top_k ?? 0, seed };
  }
  if (!greedy && temperature !== 1) processors.push(new TemperatureLogitsWarper(temperature));
  if (!greedy && request.top_k) processors.push(new TopKLogitsWarper(request.top_k));
  if (!greedy && top_p < 1) processors.push(new TopPLogitsWarper(top_p));
  const logits_processor = processors.length > 0 ? processors : undefined;
  if (greedy) return { do_sample: false, logits_processor };
  return { do_sample: true, temperature: 1, top_p: 1, top_k: 0, seed, logits_processor };
}

/** OpenAI's penalties: for each token that was generated before, once and for each time. The prompt does not count. */
function penalties(presence: number, frequency: number): LogitsProcess {
  const counts = new Map<number, number>();
  let seen: number | undefined;
  return (input_ids, scores) => {
    const ids = input_ids.data;
    for (let i = seen ?? ids.length; i < ids.length; i++) {
      const id = Number(ids[i]);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    seen = ids.length;
    const data = scores.data as Float32Array;
    for (const [id, count] of counts) data[id] -= presence + frequency * count;
    return scores;
  };
}

function bias(logit_bias: Record<string, number>, vocabulary: number): LogitsProcess {
  const entries = Object.entries(logit_bias).map(([id, value]): [number, number] => [Number(id), value]);
  const unknown = entries.find(([id]) => id >= vocabulary);
  if (unknown)
    throw invalid("logit_bias", `there is no token ${unknown[0]}, the last one is ${vocabulary - 1}`);
  return (_, scores) => {
    const data = scores.data as Float32Array;
    for (const [id, value] of entries) data[id] += value;
    return scores;
  };
}
