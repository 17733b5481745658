/** What one request, and all of them together, may take. */
export interface Limits {
  /** Bytes of a request's body. */
  bodyBytes: number;
  /** Bytes of the bodies of all requests that are being read or wait in line. */
  bodiesBytes: number;
  /** Bytes of one picture's file. */
  pictureBytes: number;
  /** Pixels of one picture: checked before any is decoded. */
  picturePixels: number;
  /** Pictures of one request. */
  pictures: number;
  /** Messages of one request. */
  messages: number;
  /** Answers to one request: `n`, times the prompts of `/v1/completions`. */
  choices: number;
  /** Requests that are computed together. */
  running: number;
  /** Requests that wait; one more is turned away with 429. */
  queued: number;
  /** Milliseconds that a request may take, waiting included. */
  deadlineMs: number;
  /** Bytes that models may take together. */
  modelBytes: number;
}

export const DEFAULT_LIMITS: Readonly<Limits> = {
  bodyBytes: 48 * 2 ** 20,
  bodiesBytes: 256 * 2 ** 20,
  pictureBytes: 20 * 2 ** 20,
  picturePixels: 50_000_000,
  pictures: 16,
  messages: 256,
  choices: 16,
  running: 16,
  queued: 64,
  deadlineMs: 600_000,
  modelBytes: Number.POSITIVE_INFINITY,
};

/** Characters that a token has at most, in the mean over a text: a longer text is refused before it is tokenised. */
export const CHARACTERS_PER_TOKEN = 16;

/** Tokens of an answer where the request does not say: those of the command line. */
export const DEFAULT_MAX_TOKENS = 256;
