import { type RawImage, type Tensor, TextStreamer } from "../src/index.ts";
import type { Loaded } from "./model.ts";
import { generationSettings, type Sampling } from "./options.ts";

/** A part of what is said: a picture, or words. */
export type Part = { type: "image"; image: RawImage } | { type: "text"; text: string };

/** One turn of a conversation. */
export type Turn = {
  role: "user" | "assistant";
  content: Part[];
};

/** What the model said, and how long it took. Times are milliseconds. */
export interface Answer {
  text: string;
  image_tokens: number;
  prompt_tokens: number;
  generated_tokens: number;
  finish_reason: "stop" | "length";
  timings: {
    image_ms: number;
    vision_ms: number;
    prefill_ms: number;
    first_token_ms: number;
    decode_ms: number;
    decode_tokens_per_second: number;
  };
}

/** What the model takes of a conversation, and when and how long it was made. Times are milliseconds. */
export interface Prepared {
  input_ids: Tensor;
  attention_mask: Tensor;
  pixel_values?: Tensor;
  image_sizes?: Tensor;
  begin: number;
  image_ms: number;
}

/** Notes when tokens come, and hands their text on. The first `put` is the prompt's, whose pictures have been looked at. */
class TimedStreamer extends TextStreamer {
  readonly times: number[] = [];
  readonly #show: (text: string) => void;

  constructor(tokenizer: Loaded["processor"]["tokenizer"], show: (text: string) => void) {
    super(tokenizer, { skip_prompt: true, skip_special_tokens: true });
    this.#show = show;
  }

  override put(value: Tensor): void {
    this.times.push(performance.now());
    super.put(value);
  }

  override on_finalized_text(text: string): void {
    if (text !== "") this.#show(text);
  }
}

/** Asks a model. Pictures that it was shown lately are not looked at again. */
export class Asker {
  readonly #loaded: Loaded;
  readonly #sampling: Sampling;

  /** @param sampling how answers are made where the question does not say */
  constructor(loaded: Loaded, sampling: Sampling) {
    this.#loaded = loaded;
    this.#sampling = sampling;
  }

  /**
   * Answers the last turn of a conversation.
   *
   * @param show told of the text as it comes
   */
  async ask(conversation: Turn[], show: (text: string) => void, signal: AbortSignal): Promise<Answer> {
    return this.answer(await this.prepare(conversation), show, signal);
  }

  /** Makes of a conversation what the model takes; its pictures need not be kept any longer. */
  async prepare(conversation: Turn[]): Promise<Prepared> {
    const begin = performance.now();
    const { input_ids, attention_mask, pixel_values, image_sizes } =
      await this.#loaded.processor.apply_chat_template(conversation, {
        add_generation_prompt: true,
        tokenize: true,
        return_dict: true,
      });
    return {
      input_ids,
      attention_mask,
      pixel_values,
      image_sizes,
      begin,
      image_ms: performance.now() - begin,
    };
  }

  async answer(
    { input_ids, attention_mask, pixel_values, image_sizes, begin, image_ms }: Prepared,
    show: (text: string) => void,
    signal: AbortSignal,
    sampling = this.#sampling,
  ): Promise<Answer> {
    const { model, processor } = this.#loaded;
    const prepared = performance.now();
    const streamer = new TimedStreamer(processor.tokenizer, show);
    const sequences = await model.generate({
      input_ids,
      attention_mask,
      pixel_values,
      image_sizes,
      streamer,
      signal,
      ...generationSettings(sampling),
    });
    const { times } = streamer;
    const [looked, first] = times;
    const prompt = Array.from(input_ids.data, Number);
    const generated = Array.from(sequences.data, Number).slice(prompt.length);
    const decode_ms = (times.at(-1) ?? 0) - (first ?? 0);
    const eos = [model.generation_config.eos_token_id].flat();
    return {
      text: processor.decode(generated, { skip_special_tokens: true }),
      image_tokens: prompt.filter((id) => id === model.config.image_token_id).length,
      prompt_tokens: prompt.length,
      generated_tokens: generated.length,
      finish_reason: eos.includes(generated.at(-1) ?? -1) ? "stop" : "length",
      timings: {
        image_ms,
        vision_ms: looked - prepared,
        prefill_ms: first - looked,
        first_token_ms: first - begin,
        decode_ms,
        decode_tokens_per_second: decode_ms > 0 ? ((generated.length - 1) * 1000) / decode_ms : 0,
      },
    };
  }
}
