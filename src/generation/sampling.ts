import { OptionError } from "../base/errors.ts";
import { softmax } from "./probabilities.ts";

/**
 * Random numbers that a seed repeats: xoshiro128** (Blackman and Vigna), its state filled from the seed by splitmix32.
 * The numbers are this library's own: torch's sampling cannot be repeated from outside of it.
 */
export class Random {
  readonly #state = new Uint32Array(4);

  /** @param seed where left out, other numbers each time */
  constructor(seed?: number) {
    if (seed === undefined) globalThis.crypto.getRandomValues(this.#state);
    else this.#fill(seed);
  }

  #fill(seed: number): void {
    if (!Number.isSafeInteger(seed)) {
      throw new OptionError(`seed: expected a whole number, got ${seed}`, { where: "seed", got: seed });
    }
    let word = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      if (i === 1) word ^= Math.floor(seed / 2 ** 32); // the upper half counts, too
      word = (word + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      this.#state[i] = mixed ^ (mixed >>> 15);
    }
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.#state;
    const product = Math.imul(s[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** A number from 0 to 1, 1 excluded, with 53 random bits. */
  uniform(): number {
    return ((this.bits() >>> 5) * 2 ** 26 + (this.bits() >>> 6)) * 2 ** -53;
  }

  /** A place, each as likely as the softmax of the scores says. */
  sample(scores: Float32Array): number {
    return this.multinomial(softmax(scores), 1)[0];
  }

  /**
   * Places, each as likely as its weight.
   *
   * @param weights not negative; they need not come to 1
   * @param replacement whether a place may come twice. Where it may not, places of weight 0 come when no others are left
   * @throws OptionError where no place has a weight, or there are fewer places than `count`
   */
  multinomial(weights: ArrayLike<number>, count: number, replacement = false): number[] {
    const left = Float64Array.from(weights);
    let total = left.reduce((sum, weight) => sum + weight, 0);
    const places: number[] = [];
    while (places.length < count) {
      if (places.length > 0 && !replacement && !(total > 0)) return this.#rest(places, left.length, count);
      const place = this.#place(left, total);
      places.push(place);
      if (replacement) continue;
      left[place] = 0;
      total = left.reduce((sum, weight) => sum + weight, 0);
    }
    return places;
  }

  /** Fills up with the first places that have not come. */
  #rest(places: number[], length: number, count: number): number[] {
    if (count > length) {
      throw new OptionError(`Cannot draw ${count} different tokens of ${length}`, {
        expected: count,
        got: length,
      });
    }
    for (let place = 0; places.length < count; place++) if (!places.includes(place)) places.push(place);
    return places;
  }

  #place(weights: Float64Array, total: number): number {
    if (!(total > 0) || !Number.isFinite(total)) {
      throw new OptionError(
        "No token can be drawn: the scores are all minus infinity, or not numbers. Do processors forbid every token?",
        { where: "scores", expected: "at least one finite score", got: total },
      );
    }
    const aim = this.uniform() * total;
    let sum = 0;
    let last = 0;
    for (let i = 0; i < weights.length; i++) {
      if (weights[i] === 0) continue;
      last = i;
      sum += weights[i];
      if (sum > aim) return i;
    }
    return last; // rounding: the sum came out a little below the total
  }
}
