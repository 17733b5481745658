import { checkOptions } from "../../base/options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { entropy, kthLargest, largest, logSoftmax, maximum, softmax, takeLargest } from "../probabilities.ts";
import {
  editRows,
  type FilterOptions,
  filterOptions,
  LogitsProcessor,
  numberWhere,
  wholeNumber,
} from "./base.ts";

const { fround } = Math;

/** s / T. Below 1 the likeliest tokens gain, above 1 the others. */
export class TemperatureLogitsWarper extends LogitsProcessor {
  readonly temperature: number;

  /** @throws OptionError where the temperature is not above 0 */
  constructor(temperature: number) {
    super();
    const expected = "a number above 0 (for greedy search, set do_sample to false)";
    numberWhere("TemperatureLogitsWarper", "temperature", temperature, expected, (t) => t > 0);
    this.temperature = temperature;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    const temperature = fround(this.temperature);
    return editRows("TemperatureLogitsWarper", input_ids, scores, (row) => {
      for (let i = 0; i < row.length; i++) row[i] /= temperature;
    });
  }
}

/** Keeps the k best scores, and those that equal the last of them. */
export class TopKLogitsWarper extends LogitsProcessor {
  readonly top_k: number;
  readonly filter_value: number;
  readonly min_tokens_to_keep: number;

  constructor(top_k: number, options: FilterOptions = {}) {
    super();
    wholeNumber("TopKLogitsWarper", "top_k", top_k, 1);
    const { filter_value, min_tokens_to_keep } = filterOptions("TopKLogitsWarper", options);
    this.top_k = Math.max(top_k, min_tokens_to_keep);
    this.filter_value = filter_value;
    this.min_tokens_to_keep = min_tokens_to_keep;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("TopKLogitsWarper", input_ids, scores, (row) => {
      const least = kthLargest(row, this.top_k);
      for (let i = 0; i < row.length; i++) if (row[i] < least) row[i] = this.filter_value;
    });
  }
}

/** Keeps the fewest best tokens whose probabilities come to top_p. */
export class TopPLogitsWarper extends LogitsProcessor {
  readonly top_p: number;
  readonly filter_value: number;
  readonly min_tokens_to_keep: number;

  constructor(top_p: number, options: FilterOptions = {}) {
    super();
    numberWhere("TopPLogitsWarper", "top_p", top_p, "a number from 0 to 1", (p) => p >= 0 && p <= 1);
    this.top_p = top_p;
    const { filter_value, min_tokens_to_keep } = filterOptions("TopPLogitsWarper", options);
    this.filter_value = filter_value;
    this.min_tokens_to_keep = min_tokens_to_keep;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("TopPLogitsWarper", input_ids, scores, (row) => {
      const kept = this.#kept(softmax(row), row);
      removeAllBut(row, kept, this.filter_value);
    });
  }

  /** A token goes where it and all that are less likely come to at most 1 - top_p. */
  #kept(probabilities: Float32Array, row: Float32Array): number[] {
    const limit = fround(1 - this.top_p);
    const kept: number[] = [];
    let below = 0;
    for (let i = 0; i < probabilities.length; i++) below += probabilities[i];
    takeLargest(row, (place, rank) => {
      // What is left of a difference cannot be told from nothing; but only nothing is removed for top_p = 1.
      const gone = limit > 0 ? fround(below) <= limit : probabilities[place] === 0;
      if (gone && rank >= this.min_tokens_to_keep) return true;
      kept.push(place);
      below -= probabilities[place];
      return false;
    });
    return kept;
  }
}

/** Keeps the best of the top 100 tokens until their part of the entropy passes top_h. */
export class TopHLogitsWarper extends LogitsProcessor {
  readonly top_n = 100;
  readonly top_h: number;
  readonly filter_value: number;

  constructor(top_h: number, options: { filter_value?: number } = {}) {
    super();
    numberWhere("TopHLogitsWarper", "top_h", top_h, "a number above 0, up to 1", (h) => h > 0 && h <= 1);
    checkOptions("TopHLogitsWarper", options, ["filter_value"]);
    this.top_h = top_h;
    this.filter_value = options.filter_value ?? Number.NEGATIVE_INFINITY;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("TopHLogitsWarper", input_ids, scores, (row) => {
      const places = largest(row, this.top_n);
      const top = Float32Array.from(places, (place) => row[place]);
      const limit = fround(entropy(top) * fround(this.top_h));
      let sum = 0;
      let count = 0;
      for (const p of softmax(top)) {
        sum += fround(-p * fround(Math.log(p)));
        if (count > 0 && !(fround(sum) <= limit)) break;
        count++;
      }
      removeAllBut(row, places.subarray(0, count), this.filter_value);
    });
  }
}

/** Removes tokens whose probability is below min_p of the likeliest one's. */
export class MinPLogitsWarper extends LogitsProcessor {
  readonly min_p: number;
  readonly filter_value: number;
  readonly min_tokens_to_keep: number;

  constructor(min_p: number, options: FilterOptions = {}) {
    super();
    numberWhere("MinPLogitsWarper", "min_p", min_p, "a number from 0 to 1", (p) => p >= 0 && p <= 1);
    this.min_p = min_p;
    const { filter_value, min_tokens_to_keep } = filterOptions("MinPLogitsWarper", options);
    this.filter_value = filter_value;
    this.min_tokens_to_keep = min_tokens_to_keep;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("MinPLogitsWarper", input_ids, scores, (row) => {
      const probabilities = softmax(row);
      const limit = fround(fround(this.min_p) * maximum(probabilities));
      const safe = new Set(largest(probabilities, this.min_tokens_to_keep));
      for (let i = 0; i < row.length; i++) {
        if (probabilities[i] < limit && !safe.has(i)) row[i] = this.filter_value;
      }
    });
  }
}

/** Keeps the tokens whose information is nearest to the entropy, until they come to `mass`. */
export class TypicalLogitsWarper extends LogitsProcessor {
  readonly mass: number;
  readonly filter_value: number;
  readonly min_tokens_to_keep: number;

  constructor({ mass = 0.9, ...options }: FilterOptions & { mass?: number } = {}) {
    super();
    numberWhere("TypicalLogitsWarper", "mass", mass, "a number between 0 and 1", (m) => m > 0 && m < 1);
    this.mass = mass;
    const { filter_value, min_tokens_to_keep } = filterOptions("TypicalLogitsWarper", options);
    this.filter_value = filter_value;
    this.min_tokens_to_keep = min_tokens_to_keep;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("TypicalLogitsWarper", input_ids, scores, (row) => {
      const distances = unusualness(row);
      const probabilities = softmax(row);
      const last = row.length - 1;
      const nearness = distances.map((_, i) => -distances[last - i]); // reversed: of equals, the first comes first
      const safe = new Set<number>();
      let sum = 0;
      let cut = Number.POSITIVE_INFINITY;
      takeLargest(nearness, (reversed, rank) => {
        const place = last - reversed;
        if (rank < this.min_tokens_to_keep) safe.add(place);
        sum += probabilities[place];
        if (cut === Number.POSITIVE_INFINITY && !(fround(sum) < fround(this.mass))) cut = distances[place];
        return cut < Number.POSITIVE_INFINITY && rank + 1 >= this.min_tokens_to_keep;
      });
      for (let i = 0; i < row.length; i++) if (distances[i] > cut && !safe.has(i)) row[i] = this.filter_value;
    });
  }
}

/** How far each token's information is from the entropy of all. */
function unusualness(row: Float32Array): Float32Array {
  const logs = logSoftmax(row);
  let mean = 0;
  for (let i = 0; i < logs.length; i++) {
    const term = fround(logs[i] * fround(Math.exp(logs[i])));
    if (!Number.isNaN(term)) mean -= term;
  }
  const center = fround(mean);
  return logs.map((log) => Math.abs(-log - center));
}

/** Removes tokens whose probability is below epsilon, but not the best. */
export class EpsilonLogitsWarper extends LogitsProcessor {
  readonly epsilon: number;
  readonly filter_value: number;
  readonly min_tokens_to_keep: number;

  constructor(epsilon: number, options: FilterOptions = {}) {
    super();
    numberWhere("EpsilonLogitsWarper", "epsilon", epsilon, "a number between 0 and 1", (e) => e > 0 && e < 1);
    this.epsilon = epsilon;
    const { filter_value, min_tokens_to_keep } = filterOptions("EpsilonLogitsWarper", options);
    this.filter_value = filter_value;
    this.min_tokens_to_keep = min_tokens_to_keep;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("EpsilonLogitsWarper", input_ids, scores, (row) => {
      removeUnlikely(row, fround(this.epsilon), this);
    });
  }
}

/** Like EpsilonLogitsWarper, with a limit that falls where the entropy is high. */
export class EtaLogitsWarper extends LogitsProcessor {
  readonly epsilon: number;
  readonly filter_value: number;
  readonly min_tokens_to_keep: number;

  constructor(epsilon: number, options: FilterOptions = {}) {
    super();
    numberWhere("EtaLogitsWarper", "epsilon", epsilon, "a number between 0 and 1", (e) => e > 0 && e < 1);
    this.epsilon = fround(epsilon);
    const { filter_value, min_tokens_to_keep } = filterOptions("EtaLogitsWarper", options);
    this.filter_value = filter_value;
    this.min_tokens_to_keep = min_tokens_to_keep;
  }

  override __call__(input_ids: Tensor, scores: Tensor): Tensor {
    return editRows("EtaLogitsWarper", input_ids, scores, (row) => {
      const spread = fround(Math.exp(-entropy(row)));
      const eta = Math.min(this.epsilon, fround(fround(Math.sqrt(this.epsilon)) * spread));
      removeUnlikely(row, eta, this);
    });
  }
}

function removeUnlikely(row: Float32Array, limit: number, options: Required<FilterOptions>): void {
  const probabilities = softmax(row);
  const least = kthLargest(row, options.min_tokens_to_keep);
  for (let i = 0; i < row.length; i++) {
    if (probabilities[i] < limit && row[i] < least) row[i] = options.filter_value;
  }
}

function removeAllBut(row: Float32Array, kept: ArrayLike<number>, filter_value: number): void {
  const scores = Array.from(kept, (place) => row[place]);
  row.fill(filter_value);
  for (let i = 0; i < kept.length; i++) row[kept[i]] = scores[i];
}
