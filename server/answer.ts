import { type Choice, type ChoiceRequest, generateChoice, type Piece } from "./choice.ts";
import { asApiError, invalid } from "./errors.ts";
import { DEFAULT_MAX_TOKENS } from "./limits.ts";
import { contextOf, type Prompt } from "./prompt.ts";
import type { RequestRecord } from "./record.ts";
import type { Service, Task } from "./service.ts";

/** What both endpoints have in common of a request. */
export interface AnswerRequest extends Omit<ChoiceRequest, "max_tokens" | "stop"> {
  model: string;
  n?: number;
  max_tokens?: number;
  stop?: string | readonly string[];
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
}

/** How an endpoint writes answers. All give entries of `choices`. */
export interface Format {
  idPrefix: string;
  object: string;
  chunkObject: string;
  /** What a stream begins with, for each answer. */
  opening?(index: number): object;
  delta(index: number, piece: Piece): object;
  ending(index: number, choice: Choice): object;
  whole(index: number, choice: Choice): object;
}

/** What the endpoint makes of the model's task: its prompts, and how to write answers to them. */
export type Prepare = (task: Task) => Promise<{ prompts: Prompt[]; format: Format }>;

/** Answers a request, whole or streamed. Throws ApiError as long as nothing was sent. */
export async function answer(
  service: Service,
  request: AnswerRequest,
  raw: Request,
  record: RequestRecord,
  prepare: Prepare,
): Promise<Response> {
  record.facts.model = service.pool.idOf(request.model);
  record.facts.stream = request.stream ?? false;
  const gone = new AbortController();
  const leave = (): void => gone.abort(new DOMException("the client is gone", "AbortError"));
  if (raw.signal.aborted) leave();
  else raw.signal.addEventListener("abort", leave, { once: true });
  const task = await service.begin(request.model, gone.signal);
  record.facts.queue_ms = Math.round(task.queueMs);
  let streaming = false;
  try {
    const { prompts, format } = await prepare(task);
    const run = new Run(service, task, request, record, prompts, format);
    if (!request.stream) return Response.json(await run.whole());
    streaming = true;
    record.streaming = true;
    return run.streamed(leave);
  } finally {
    if (!streaming) task.done();
  }
}

interface Listener {
  opening(index: number): void;
  piece(index: number, piece: Piece): void;
  ending(index: number, choice: Choice): void;
}

class Run {
  readonly #task: Task;
  readonly #request: AnswerRequest;
  readonly #record: RequestRecord;
  readonly #prompts: readonly Prompt[];
  readonly #format: Format;
  readonly #head: { id: string; created: number; model: string };
  readonly #maxTokens: number[];

  constructor(
    service: Service,
    task: Task,
    request: AnswerRequest,
    record: RequestRecord,
    prompts: readonly Prompt[],
    format: Format,
  ) {
    this.#task = task;
    this.#request = request;
    this.#record = record;
    this.#prompts = prompts;
    this.#format = format;
    this.#head = {
      id: `${format.idPrefix}-${record.id}`,
      created: Math.floor(Date.now() / 1000),
      model: request.model,
    };
    this.#maxTokens = prompts.map((prompt) => maxTokens(task, request, prompt));
    service.metrics.promptTokens.inc(this.#promptTokens);
    Object.assign(record.facts, {
      prompt_tokens: this.#promptTokens,
      pictures: prompts.reduce((sum, { pictures }) => sum + pictures, 0),
    });
  }

  async whole(): Promise<object> {
    const choices = await this.#generate();
    return {
      ...this.#head,
      object: this.#format.object,
      choices: choices.map((choice, index) => this.#format.whole(index, choice)),
      usage: this.#usage(choices),
    };
  }

  /** @param cancelled called when the client is gone */
  streamed(cancelled: () => void): Response {
    const encoder = new TextEncoder();
    let open = true;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const send = (data: object | string): void => {
          const text = typeof data === "string" ? data : JSON.stringify(data);
          if (open) controller.enqueue(encoder.encode(`data: ${text}\n\n`));
        };
        void this.#stream(send).finally(() => {
          if (open) controller.close();
          open = false;
        });
      },
      cancel: () => {
        open = false;
        cancelled();
      },
    });
    return new Response(body, {
      headers: {
        "Content-Type": "text/event-stream; charset=utf-8",
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
      },
    });
  }

  async #stream(send: (data: object | string) => void): Promise<void> {
    const withUsage = this.#request.stream_options?.include_usage === true;
    const format = this.#format;
    const chunk = (choices: object[], usage?: object): void =>
      send({
        ...this.#head,
        object: format.chunkObject,
        choices,
        ...(withUsage ? { usage: usage ?? null } : {}),
      });
    let status = 200;
    try {
      const choices = await this.#generate({
        opening: (index) => format.opening && chunk([format.opening(index)]),
        piece: (index, piece) => chunk([format.delta(index, piece)]),
        ending: (index, choice) => chunk([format.ending(index, choice)]),
      });
      if (withUsage) chunk([], this.#usage(choices));
      send("[DONE]");
    } catch (error) {
      const shown = asApiError(error);
      status = shown.status;
      this.#record.failed(shown, error);
      send(shown.body);
    } finally {
      this.#task.done();
      this.#record.finish(status);
    }
  }

  /** All answers, computed together; where one fails, the others are ended. */
  async #generate(listener?: Listener): Promise<Choice[]> {
    const { n = 1, stop = [] } = this.#request;
    const { resident, signal } = this.#task;
    const failed = new AbortController();
    const both = AbortSignal.any([signal, failed.signal]);
    const one = async (p: number, copy: number): Promise<Choice> => {
      const index = p * n + copy;
      listener?.opening(index);
      const request = { ...this.#request, max_tokens: this.#maxTokens[p], stop: [stop].flat() };
      const onToken = (): void => this.#record.token();
      const onPiece = (piece: Piece): void => listener?.piece(index, piece);
      const choice = await generateChoice(
        resident,
        this.#prompts[p],
        request,
        copy,
        { onToken, onPiece },
        both,
      );
      listener?.ending(index, choice);
      return choice;
    };
    const running = this.#prompts.flatMap((_, p) => Array.from({ length: n }, (_, copy) => one(p, copy)));
    try {
      const choices = await Promise.all(running);
      this.#record.facts.completion_tokens = choices.reduce((sum, { tokens }) => sum + tokens, 0);
      this.#record.facts.finish_reason = choices[0].finish_reason;
      return choices;
    } catch (error) {
      failed.abort(error);
      await Promise.allSettled(running);
      throw error;
    }
  }

  get #promptTokens(): number {
    return this.#prompts.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  #usage(choices: readonly Choice[]): object {
    const completion_tokens = choices.reduce((sum, { tokens }) => sum + tokens, 0);
    const prompt_tokens = this.#promptTokens;
    return {
      prompt_tokens,
      completion_tokens,
      total_tokens: prompt_tokens + completion_tokens,
      prompt_tokens_details: { cached_tokens: this.#cachedTokens(choices) },
    };
  }

  /** Of several answers to one prompt, the first computes what the others find. */
  #cachedTokens(choices: readonly Choice[]): number {
    const { n = 1 } = this.#request;
    const least = this.#prompts.map((_, p) =>
      Math.min(...choices.slice(p * n, (p + 1) * n).map(({ cached }) => cached)),
    );
    return least.reduce((sum, cached) => sum + cached, 0);
  }
}

/** What the answer may have: what was asked for, as far as the context goes. */
function maxTokens({ resident }: Task, { max_tokens }: AnswerRequest, { ids }: Prompt): number {
  const context = contextOf(resident);
  if (max_tokens !== undefined && max_tokens > context) {
    throw invalid("max_tokens", `the model's context is ${context} tokens, ${max_tokens} were asked for`);
  }
  return Math.min(max_tokens ?? DEFAULT_MAX_TOKENS, context - ids.length);
}
