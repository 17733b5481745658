import { ApiError } from "./errors.ts";

/** Lets a number of requests be computed at once, and a number of others wait in line. */
export class Admission {
  readonly #running: number;
  readonly #queued: number;
  readonly #line = new Set<() => void>();
  #inWork = 0;

  constructor(running: number, queued: number) {
    this.#running = running;
    this.#queued = queued;
  }

  get running(): number {
    return this.#inWork;
  }

  get waiting(): number {
    return this.#line.size;
  }

  /**
   * Waits for a place.
   *
   * @returns gives the place back; may be called more than once
   * @throws ApiError 429 where the line is full; the signal's reason where that aborts while waiting
   */
  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#inWork < this.#running && this.#line.size === 0) this.#inWork++;
    else await this.#wait(signal);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#leave();
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    if (this.#line.size >= this.#queued) {
      throw new ApiError(429, "Too many requests are waiting. Try again in a second.", {
        type: "rate_limit_error",
        code: "queue_full",
        headers: { "Retry-After": "1" },
      });
    }
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#line.delete(go);
        reject(signal.reason);
      };
      const go = (): void => {
        signal.removeEventListener("abort", abort);
        resolve();
      };
      signal.addEventListener("abort", abort, { once: true });
      this.#line.add(go);
    });
  }

  /** The place goes to who has waited longest. */
  #leave(): void {
    const [next] = this.#line;
    if (!next) {
      this.#inWork--;
      return;
    }
    this.#line.delete(next);
    next();
  }
}
