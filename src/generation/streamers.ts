import { warnOnce } from "../base/env.ts";
import { OptionError, ShapeError } from "../base/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What a streamer needs of a tokenizer. */
export interface StreamTokenizer {
  decode(token_ids: number[], options?: object): string;
}

/** Is told of the prompt and then of every token, while `generate` goes on. */
export abstract class BaseStreamer {
  /** New tokens: the prompt [1, P] first, then [1] at a time. */
  abstract put(value: Tensor): void;
  /** There will be no more. */
  abstract end(): void;
  /** Our own, before `end`: how many of the prompt's tokens were not computed, as an earlier prompt began with them, too. */
  reused(_tokens: number): void {}
  /** There will be no more, as generating failed; the error itself goes to who called `generate`. */
  fail(_reason: unknown): void {}
}

/** Options of a streamer; what is not named here goes to `decode`. */
export interface TextStreamerOptions {
  /** Leaves the prompt out. */
  skip_prompt?: boolean;
  skip_special_tokens?: boolean;
  [decodeOption: string]: unknown;
}

/** Ranges of CJK ideographs: written without spaces, so each can be shown at once. */
const CJK: readonly (readonly [first: number, last: number])[] = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b820, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
];

/** Prints text as soon as whole words are there. Override `on_finalized_text` to do something else with it. */
export class TextStreamer extends BaseStreamer {
  readonly tokenizer: StreamTokenizer;
  readonly skip_prompt: boolean;
  readonly decode_kwargs: Readonly<Record<string, unknown>>;
  token_cache: number[] = [];
  print_len = 0;
  next_tokens_are_prompt = true;

  constructor(tokenizer: StreamTokenizer, options: TextStreamerOptions = {}) {
    super();
    const { skip_prompt = false, ...decode_kwargs } = options;
    this.tokenizer = tokenizer;
    this.skip_prompt = skip_prompt;
    this.decode_kwargs = decode_kwargs;
  }

  /** @throws ShapeError where there is more than one row */
  put(value: Tensor): void {
    if (value.shape.length > 1 && value.shape[0] > 1) {
      throw new ShapeError(`A streamer follows one text; these are ${value.shape[0]}`, {
        expected: 1,
        got: value.shape[0],
      });
    }
    if (this.skip_prompt && this.next_tokens_are_prompt) {
      this.next_tokens_are_prompt = false;
      return;
    }
    this.token_cache.push(...Array.from(value.data, Number));
    const text = this.tokenizer.decode(this.token_cache, this.decode_kwargs);
    this.on_finalized_text(this.#cut(text));
  }

  /** The part of the text that will not change any more and has not been given out. */
  #cut(text: string): string {
    if (text.endsWith("\n")) {
      const rest = text.slice(this.print_len);
      this.token_cache = [];
      this.print_len = 0;
      return rest;
    }
    const end = endsInIdeograph(text) ? text.length : text.lastIndexOf(" ") + 1;
    const ready = text.slice(this.print_len, end);
    this.print_len += ready.length;
    return ready;
  }

  end(): void {
    let rest = "";
    if (this.token_cache.length > 0) {
      rest = this.tokenizer.decode(this.token_cache, this.decode_kwargs).slice(this.print_len);
      this.token_cache = [];
      this.print_len = 0;
    }
    this.next_tokens_are_prompt = true;
    this.on_finalized_text(rest, { stream_end: true });
  }

  /** Takes the next piece of text. Here: prints it, and a new line at the end. */
  on_finalized_text(text: string, { stream_end = false }: { stream_end?: boolean } = {}): void {
    const out = stream_end ? `${text}\n` : text;
    if (typeof process !== "undefined" && process.stdout) process.stdout.write(out);
    else
      warnOnce("TextStreamer prints to standard output, and there is none here. Use TextIteratorStreamer.");
  }
}

function endsInIdeograph(text: string): boolean {
  const last = Array.from(text.slice(-2)).pop()?.codePointAt(0) ?? 0;
  return CJK.some(([first, end]) => last >= first && last <= end);
}

/** Options of a streamer that is read from. */
export interface TextIteratorStreamerOptions extends TextStreamerOptions {
  /** Seconds to wait for the next piece of text; null: for ever. */
  timeout?: number | null;
}

/**
 * Gives text as soon as whole words are there: `for await (const text of streamer)`. The loop ends with the text. Run
 * `generate` without awaiting it first.
 */
export class TextIteratorStreamer extends TextStreamer implements AsyncIterableIterator<string> {
  /** Seconds; null: for ever. */
  readonly timeout: number | null;
  /** Pieces that nobody has taken; undefined is the end. */
  readonly text_queue: (string | undefined)[] = [];
  readonly #waiting: (() => void)[] = [];
  #ended = false;
  #failure: { readonly reason: unknown } | undefined;

  constructor(tokenizer: StreamTokenizer, { timeout = null, ...options }: TextIteratorStreamerOptions = {}) {
    super(tokenizer, options);
    if (timeout !== null && !(timeout >= 0)) {
      throw new OptionError(`timeout: expected seconds or null, got ${timeout}`, {
        where: "timeout",
        got: timeout,
      });
    }
    this.timeout = timeout;
  }

  override on_finalized_text(text: string, { stream_end = false }: { stream_end?: boolean } = {}): void {
    this.text_queue.push(text);
    if (stream_end) this.text_queue.push(undefined);
    this.#wake();
  }

  /** The reader gets what there is, and then the error. */
  override fail(reason: unknown): void {
    this.#failure = { reason };
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Rejects with a TimeoutError (DOMException) where nothing comes in time. */
  async next(): Promise<IteratorResult<string, undefined>> {
    if (this.#ended) return { done: true, value: undefined };
    while (this.text_queue.length === 0) {
      if (this.#failure) throw this.#failure.reason;
      await this.#more();
    }
    const value = this.text_queue.shift();
    if (value !== undefined) return { done: false, value };
    // A streamer can be used for another text, whose end it then waits for.
    return { done: true, value };
  }

  /** Leaving the loop: what is still to come is nobody's. */
  async return(): Promise<IteratorResult<string, undefined>> {
    this.#ended = true;
    return { done: true, value: undefined };
  }

  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
      if (this.timeout === null) return;
      timer = setTimeout(() => {
        reject(new DOMException(`No text came within ${this.timeout} s`, "TimeoutError"));
      }, this.timeout * 1000);
    });
  }
}

/** The same; in Python, the form for asyncio. */
export class AsyncTextIteratorStreamer extends TextIteratorStreamer {}
