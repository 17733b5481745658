import { softmax } from "./probabilities.ts";
import { topk } from "./topk.ts";

const { fround } = Math;

/** So low that no sum of logarithms comes near: the score of what is not there. As in Transformers. */
const NOTHING = -1e9;

/** How a beam search goes. */
export interface BeamRules {
  num_beams: number;
  /** At most `num_beams`. */
  num_return_sequences: number;
  /** Tokens, prompt included, that a sequence has at most. */
  max_length: number;
  /** Scores are divided by length ** length_penalty: above 0, longer sequences gain. */
  length_penalty: number;
  /** true: ends when `num_beams` sequences have ended; false: when better ones are unlikely; "never": impossible. */
  early_stopping: boolean | "never";
  pad_token_id: number | null;
  eos_token_id: readonly number[] | null;
  /** For sampling: draws `count` different places, each as likely as its weight. Where left out, the best are taken. */
  draw?: (weights: Float32Array, count: number) => readonly number[];
}

/** A sequence that is looked at. */
interface Beam {
  /** Prompt and new tokens. */
  readonly tokens: readonly number[];
  /** For each new token the row that it came from, counted over all prompts. */
  readonly origins: readonly number[];
  readonly score: number;
  /** A criterion has ended it. */
  readonly finished: boolean;
}

/** How each running beam goes on. Rows: all prompts' beams, prompt by prompt. */
export interface BeamStep {
  /** The row that each row goes on from: its cache is to be taken over. */
  readonly origins: readonly number[];
  /** The token that each row is to be fed next. */
  readonly tokens: readonly number[];
  /** Whether the search is at its end. */
  readonly done: boolean;
}

/** What a beam search has found. Rows: `num_return_sequences` for each prompt, the best first. */
export interface BeamResult {
  /** [rows, L], prompt included, filled up with pads. */
  readonly sequences: number[][];
  /** Sums of logarithms over length ** length_penalty. */
  readonly sequences_scores: number[];
  /** [rows, new tokens]: the row that each token came from; -1 past the end. */
  readonly beam_indices: number[][];
}

/** For rows of tokens, whether each ends. */
export type BeamStop = (
  tokens: readonly (readonly number[])[],
) => readonly boolean[] | Promise<readonly boolean[]>;

/**
 * The state of a beam search over several prompts: which sequences run on, which have ended. It asks no model; it is
 * told scores and says how to go on. All is float32 and in the order of Transformers.
 */
export class BeamSearch {
  readonly #rules: BeamRules;
  readonly #promptLength: number;
  readonly #fill: number;
  /** Candidates of a step: so many that some are left where all ends of text are among them. */
  readonly #candidates: number;
  #prompts: PromptBeams[];

  /** @param prompts one row of tokens each, all of one length */
  constructor(prompts: readonly (readonly number[])[], rules: BeamRules) {
    const { num_beams, eos_token_id, pad_token_id } = rules;
    this.#rules = rules;
    this.#promptLength = prompts[0].length;
    // A pad of 0 counts as none, as in Transformers.
    this.#fill = eos_token_id === null ? -1 : pad_token_id || eos_token_id[0];
    this.#candidates = Math.max(2, 1 + (eos_token_id?.length ?? 0)) * num_beams;
    this.#prompts = prompts.map((tokens) => ({
      running: Array.from({ length: num_beams }, (_, i) => ({
        tokens,
        origins: [],
        score: i === 0 ? 0 : NOTHING,
        finished: false,
      })),
      ended: Array.from({ length: num_beams }, () => ({
        tokens,
        origins: [],
        score: NOTHING,
        finished: false,
      })),
      hopeful: true,
    }));
  }

  /** The running sequences: rows of tokens, prompt by prompt. */
  get tokens(): (readonly number[])[] {
    return this.#prompts.flatMap(({ running }) => running.map(({ tokens }) => tokens));
  }

  /**
   * Goes on by one token.
   *
   * @param logProbs for each row the logarithms of probabilities [V], processed
   * @param stop called once, with all candidates
   */
  async advance(logProbs: readonly Float32Array[], stop: BeamStop): Promise<BeamStep> {
    const { num_beams } = this.#rules;
    const candidates = this.#prompts.map(({ running }, p) =>
      this.#candidatesOf(running, logProbs.slice(p * num_beams, (p + 1) * num_beams), p * num_beams),
    );
    const hits = [...(await stop(candidates.flat().map(({ tokens }) => tokens)))];
    const everyHit = hits.every(Boolean);
    for (const [p, prompt] of this.#prompts.entries()) {
      const own = candidates[p];
      this.#update(prompt, own, hits.splice(0, own.length));
    }
    const beams = this.#prompts.flatMap(({ running }) => running);
    return {
      origins: beams.map(({ origins }) => origins[origins.length - 1]),
      tokens: beams.map(({ tokens }) => tokens[tokens.length - 1]),
      done: everyHit || !this.#goesOn(),
    };
  }

  /** The best continuations of one prompt's beams, or drawn ones. */
  #candidatesOf(running: readonly Beam[], logProbs: readonly Float32Array[], firstRow: number): Beam[] {
    const V = logProbs[0].length;
    const scores = new Float32Array(running.length * V);
    for (const [b, { score }] of running.entries()) {
      for (let i = 0; i < V; i++) scores[b * V + i] = logProbs[b][i] + score;
    }
    const count = Math.min(this.#candidates, scores.length);
    const places = this.#rules.draw?.(softmax(scores), count) ?? topk(scores, count);
    return Array.from(places, (place) => {
      const b = Math.floor(place / V);
      return {
        tokens: [...running[b].tokens, place % V],
        origins: [...running[b].origins, firstRow + b],
        score: scores[place],
        finished: false,
      };
    });
  }

  #update(prompt: PromptBeams, candidates: readonly Beam[], hits: readonly boolean[]): void {
    const { num_beams, length_penalty, early_stopping } = this.#rules;
    const length = candidates[0].tokens.length - this.#promptLength;
    const full = early_stopping === true && prompt.ended.every(({ finished }) => finished);
    const penalty = fround(length ** length_penalty);
    const closing = candidates.map((beam, rank) => {
      const finished = hits[rank] && rank < num_beams;
      let score = fround(beam.score / penalty);
      for (const out of [full, !prompt.hopeful, !finished]) if (out) score = fround(score + NOTHING);
      return { ...beam, score, finished };
    });
    const open = candidates.map((beam, i) =>
      hits[i] ? { ...beam, score: fround(beam.score + NOTHING) } : beam,
    );
    prompt.running = best(open, num_beams);
    prompt.ended = best([...prompt.ended, ...closing], num_beams);
    prompt.hopeful = prompt.hopeful && this.#canImprove(prompt, length);
  }

  /** Whether the best running beam may still come out above the worst of those that have ended. */
  #canImprove({ running, ended }: PromptBeams, length: number): boolean {
    const { early_stopping, length_penalty, max_length } = this.#rules;
    const longest =
      early_stopping === "never" && length_penalty > 0 ? max_length - this.#promptLength : length;
    const possible = fround(running[0].score / fround(longest ** length_penalty));
    const worst = Math.min(...ended.map(({ score }) => score));
    return ended.some(({ finished }) => possible > (finished ? worst : NOTHING));
  }

  #goesOn(): boolean {
    const hopeful = this.#prompts.some((prompt) => prompt.hopeful);
    const allEnded = this.#prompts.every(({ ended }) => ended.every(({ finished }) => finished));
    return hopeful && !(this.#rules.early_stopping === true && allEnded);
  }

  /** What has been found so far. */
  result(): BeamResult {
    const beams = this.#prompts.flatMap(({ ended }) => ended.slice(0, this.#rules.num_return_sequences));
    const longest = Math.max(...beams.map(({ origins }) => origins.length));
    const filled = (list: readonly number[], length: number, fill: number): number[] => [
      ...list,
      ...new Array<number>(length - list.length).fill(fill),
    ];
    return {
      sequences: beams.map(({ tokens }) => filled(tokens, this.#promptLength + longest, this.#fill)),
      sequences_scores: beams.map(({ score }) => score),
      beam_indices: beams.map(({ origins }) => filled(origins, longest, -1)),
    };
  }
}

/** The beams of one prompt, each list best first. */
interface PromptBeams {
  running: Beam[];
  /** Places for those that have ended; at first there is nothing in them. */
  ended: Beam[];
  /** Whether better ones may still come. */
  hopeful: boolean;
}

/** The best. */
function best(beams: readonly Beam[], count: number): Beam[] {
  const scores = Float32Array.from(beams, ({ score }) => score);
  return Array.from(topk(scores, count), (place) => beams[place]);
}
