import { AutoProcessor, LlavaForConditionalGeneration, load_image, type Progress, TextStreamer } from "llava";
import type { Settings } from "./settings.ts";

/** Hands words on as they come. */
class WordStreamer extends TextStreamer {
  readonly #show: (words: string) => void;
  tokens = 0;

  constructor(tokenizer: TextStreamer["tokenizer"], show: (words: string) => void) {
    super(tokenizer, { skip_prompt: true, skip_special_tokens: true });
    this.#show = show;
  }

  override put(value: Parameters<TextStreamer["put"]>[0]): void {
    if (!this.next_tokens_are_prompt) this.tokens += value.data.length;
    super.put(value);
  }

  override on_finalized_text(text: string): void {
    if (text !== "") this.#show(text);
  }
}

type Processor = Awaited<ReturnType<typeof AutoProcessor.from_pretrained>>;

/** A model and its processor, which answer one question about a picture at a time. */
export class Chat {
  readonly #model: LlavaForConditionalGeneration;
  readonly #processor: Processor;

  private constructor(model: LlavaForConditionalGeneration, processor: Processor) {
    this.#model = model;
    this.#processor = processor;
  }

  /** Loads what the address asks for. */
  static async open(
    { model: name, device, dtype }: Settings,
    progress_callback: (progress: Progress) => void,
  ): Promise<Chat> {
    const processor = await AutoProcessor.from_pretrained(name);
    const model = await LlavaForConditionalGeneration.from_pretrained(name, {
      device,
      dtype,
      progress_callback,
    });
    return new Chat(model, processor);
  }

  /** What computes, for people. */
  get device(): string {
    return `${this.#model.device}: ${this.#model.deviceDescription}`;
  }

  /**
   * Answers a question; without a picture, one about nothing in view.
   *
   * @param show told of the words as they come
   * @returns how many tokens the answer has
   * @throws the signal's reason, where it is aborted
   */
  async ask(
    picture: Blob | undefined,
    question: string,
    show: (words: string) => void,
    signal: AbortSignal,
  ): Promise<number> {
    const pictures = picture ? [{ type: "image", image: await load_image(picture) }] : [];
    const conversation = [{ role: "user", content: [...pictures, { type: "text", text: question }] }];
    const inputs = await this.#processor.apply_chat_template(conversation, {
      add_generation_prompt: true,
      tokenize: true,
      return_dict: true,
    });
    const streamer = new WordStreamer(this.#processor.tokenizer, show);
    await this.#model.generate({ ...inputs, max_new_tokens: 256, do_sample: false, streamer, signal });
    return streamer.tokens;
  }
}
