import { BaseStreamer, DecodeStream, type JSONSchema, type Tensor } from "../src/index.ts";
import { constraintOf, eosOf, heldError } from "./constraint.ts";
import { type ChosenLogprob, LogprobRecorder } from "./logprobs.ts";
import type { Loaded } from "./model_pool.ts";
import type { Prompt } from "./prompt.ts";
import { type SamplingRequest, samplingOf } from "./sampling.ts";
import { StopCutter } from "./stop_cutter.ts";

export type FinishReason = "stop" | "length";

/** New text, with the tokens that it is made of where their probabilities are wanted. */
export interface Piece {
  text: string;
  logprobs: ChosenLogprob[];
}

/** One answer, whole. */
export interface Choice {
  text: string;
  tokens: number;
  /** Tokens of the prompt that were not computed again. */
  cached: number;
  finish_reason: FinishReason;
  logprobs: ChosenLogprob[];
}

export interface ChoiceRequest extends SamplingRequest {
  max_tokens: number;
  stop: readonly string[];
  /** What the answer must be. */
  schema?: JSONSchema;
  /** How many of the likeliest tokens are wanted at each place; undefined: no probabilities at all. */
  top_logprobs?: number;
}

/** Told of what comes, as it comes. */
export interface ChoiceListener {
  onToken(): void;
  onPiece(piece: Piece): void;
}

/** Makes text of tokens as they come: never half a character, and nothing of a stop string. */
class PieceStreamer extends BaseStreamer {
  readonly pieces: Piece[] = [];
  tokens: number[] = [];
  cached = 0;
  readonly cutter: StopCutter;
  readonly #decode: DecodeStream;
  readonly #recorder: LogprobRecorder | undefined;
  readonly #listener: ChoiceListener;
  readonly #eos: readonly number[];
  #prompt = true;
  #pending: ChosenLogprob[] = [];

  constructor(
    tokenizer: Loaded["processor"]["tokenizer"],
    stop: readonly string[],
    recorder: LogprobRecorder | undefined,
    listener: ChoiceListener,
    eos: readonly number[],
  ) {
    super();
    this.#eos = eos;
    this.cutter = new StopCutter(stop);
    this.#recorder = recorder;
    this.#listener = listener;
    this.#decode = new DecodeStream({
      decode: (ids, skip_special_tokens) => tokenizer.decode([...ids], { skip_special_tokens }),
    });
  }

  override put(value: Tensor): void {
    if (this.#prompt) {
      this.#prompt = false;
      return;
    }
    const id = Number(value.data[0]);
    this.tokens.push(id);
    this.#listener.onToken();
    if (this.#recorder && !this.#eos.includes(id)) {
      this.#pending.push(this.#recorder.chosen(id, this.tokens.length === 1));
    }
    this.#emit(this.cutter.push(this.#decode.step(id) ?? ""));
  }

  override reused(tokens: number): void {
    this.cached = tokens;
  }

  override end(): void {
    this.#emit(this.cutter.push(this.#decode.flush()) + this.cutter.flush());
    if (this.#pending.length > 0) this.#send("");
  }

  #emit(text: string): void {
    if (text !== "") this.#send(text);
  }

  #send(text: string): void {
    const piece = { text, logprobs: this.#pending };
    this.#pending = [];
    this.pieces.push(piece);
    this.#listener.onPiece(piece);
  }
}

/** Continues a prompt. Answers that are under way at the same time are computed together. */
export async function generateChoice(
  { model, processor }: Pick<Loaded, "model" | "processor">,
  prompt: Prompt,
  request: ChoiceRequest,
  index: number,
  listener: ChoiceListener,
  signal: AbortSignal,
): Promise<Choice> {
  const eos = eosOf(model);
  const recorder = request.top_logprobs === undefined ? undefined : new LogprobRecorder(request.top_logprobs);
  const streamer = new PieceStreamer(processor.tokenizer, request.stop, recorder, listener, eos);
  const constraint = request.schema && constraintOf({ model, processor }, request.schema, request.max_tokens);
  const generated = model.generate({
    input_ids: [prompt.ids],
    pixel_values: prompt.pixel_values,
    image_sizes: prompt.image_sizes,
    max_new_tokens: request.max_tokens,
    ...samplingOf(request, index, model.config.text_config.vocab_size, recorder, constraint),
    stopping_criteria: request.stop.length > 0 ? [() => streamer.cutter.stopped] : undefined,
    streamer,
    signal,
  });
  await (constraint ? generated.catch(heldError) : generated);
  const { tokens, pieces, cutter, cached } = streamer;
  return {
    text: pieces.map(({ text }) => text).join(""),
    tokens: tokens.length,
    cached,
    finish_reason: cutter.stopped || eos.includes(tokens.at(-1) ?? -1) ? "stop" : "length",
    logprobs: pieces.flatMap(({ logprobs }) => logprobs),
  };
}
