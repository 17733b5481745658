import { ApiError } from "./errors.ts";

/** A request's part of the memory for bodies. */
export interface BodyShare {
  /** @throws ApiError 429 where there is no room for so many bytes more */
  take(bytes: number): void;
  /** Gives all of it back; may be called more than once. */
  free(): void;
}

/** Bounds what the bodies of all requests take together, from when they are read until what they bring has been used. */
export class BodyBudget {
  readonly #most: number;
  #bytes = 0;

  /** @param most bytes of all bodies together */
  constructor(most: number) {
    this.#most = most;
  }

  /** Bytes that are taken. */
  get bytes(): number {
    return this.#bytes;
  }

  share(): BodyShare {
    let own = 0;
    return {
      take: (bytes) => {
        if (this.#bytes + bytes > this.#most) throw full();
        this.#bytes += bytes;
        own += bytes;
      },
      free: () => {
        this.#bytes -= own;
        own = 0;
      },
    };
  }
}

function full(): ApiError {
  return new ApiError(429, "Too many bytes of other requests are being read. Try again in a second.", {
    type: "rate_limit_error",
    code: "bodies_full",
    headers: { "Retry-After": "1" },
  });
}
