import type { Piece } from "./choice.ts";

/**
 * Milliseconds between two events of one answer. To write an event, and to read it, takes longer than a step of a small
 * model, and nobody sees text come in smaller pieces than this.
 */
const PACE = 4;

/** Pieces of one answer on their way to the client: those that come soon after another wait, and go together. */
export class PacedPieces {
  readonly #send: (piece: Piece) => void;
  #waiting: Piece | undefined;
  #sent = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (piece: Piece) => void) {
    this.#send = send;
  }

  push({ text, logprobs }: Piece): void {
    const { text: before = "", logprobs: earlier = [] } = this.#waiting ?? {};
    this.#waiting = { text: before + text, logprobs: [...earlier, ...logprobs] };
    if (performance.now() - this.#sent >= PACE) this.flush();
    // Mostly, another piece comes in time, at a moment when the device is at work.
    else this.#timer ??= setTimeout(() => this.flush(), 2 * PACE);
  }

  /** Sends what waits. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const piece = this.#waiting;
    if (!piece) return;
    this.#waiting = undefined;
    this.#sent = performance.now();
    this.#send(piece);
  }
}
