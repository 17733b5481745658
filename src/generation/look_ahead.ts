import type { Share } from "./scheduler_step.ts";

/** Rows that are computed ahead of each sequence. */
const AHEAD = 3;
/** Milliseconds that a list of steps may take: less than a frame of a screen, so that text still flows. */
const LIST_MS = 10;

/**
 * Where a step is short, to wake threads for it, and JavaScript between two of them, take as long as what is computed. So
 * a few steps become one list, in which the device goes on with the likeliest tokens by itself. What is computed of a
 * sequence after its end is wasted: rows of steps that others need anyway. Of one that is alone it would be whole steps,
 * which the next caller waits for.
 */
export class LookAhead {
  /** Milliseconds that the latest step of so many sequences took, by their number. */
  readonly #took = new Map<number, number>();

  /** How many rows of each of these sequences to compute ahead. */
  rows(shares: readonly Share[]): number {
    const took = this.#took.get(shares.length) ?? LIST_MS;
    const wanted = shares.some(({ left = Number.POSITIVE_INFINITY }) => left > AHEAD);
    return shares.length > 1 && wanted && took * (1 + AHEAD) <= LIST_MS ? AHEAD : 0;
  }

  took(sequences: number, ms: number): void {
    this.#took.set(sequences, ms);
  }
}

/**
 * Whether each is a token, the only row of its sequence that waits, and the likeliest one comes after it. A prompt's last row
 * may be a picture's, or, with `promptsApart`, multiplied by other products than what is foreseen.
 */
export function areForeseeable(shares: readonly Share[], promptsApart: boolean): boolean {
  return shares.every(
    ({ sequence, rows, prompt, greedy, traced }) =>
      rows === 1 && sequence.awaitsToken && !(prompt && promptsApart) && greedy && !traced,
  );
}
