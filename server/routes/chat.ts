import { type AnswerRequest, answer, type Format } from "../answer.ts";
import type { BodyShare } from "../body_budget.ts";
import type { Choice, Piece } from "../choice.ts";
import { constraintOf, schemaOf } from "../constraint.ts";
import { ApiError, invalid } from "../errors.ts";
import type { Limits } from "../limits.ts";
import type { ChosenLogprob, TokenLogprob } from "../logprobs.ts";
import { chatPrompt } from "../prompt.ts";
import { readRequest } from "../read_request.ts";
import type { RequestRecord } from "../record.ts";
import { type ChatRequest, chatRequest, type Message } from "../schema.ts";
import type { Service } from "../service.ts";
import { TokenTexts } from "../token_texts.ts";
import { checkShared } from "./checks.ts";

/** POST /v1/chat/completions */
export async function chat(service: Service, raw: Request, record: RequestRecord): Promise<Response> {
  const share = service.bodies.share();
  try {
    const { request, take } = await read(service, raw, share);
    return await answer(service, request, raw, record, async ({ resident, signal }) => {
      const { limits, remote, pictures } = service;
      // Before anything is streamed: a schema that cannot be held is the client's error.
      if (request.schema) constraintOf(resident, request.schema, 1);
      const prompt = await chatPrompt(resident, take(), { limits, remote, pictures, signal });
      share.free();
      const texts = new TokenTexts(resident.processor.tokenizer);
      return { prompts: [prompt], format: new ChatFormat(texts, request.top_logprobs !== undefined) };
    });
  } finally {
    share.free();
  }
}

/**
 * A request, and its messages to be taken once: pictures are much text, which nobody should hold while the answer is
 * being made.
 */
async function read(
  { limits }: Service,
  raw: Request,
  share: BodyShare,
): Promise<{ request: AnswerRequest; take: () => Message[] }> {
  const { messages, ...body } = await readRequest(raw, chatRequest, limits.bodyBytes, share);
  check(messages, body, limits);
  const request = {
    ...body,
    max_tokens: body.max_completion_tokens ?? body.max_tokens,
    top_logprobs: body.logprobs ? (body.top_logprobs ?? 0) : undefined,
    schema: schemaOf(body),
  };
  return { request, take: () => messages.splice(0) };
}

type Settings = Omit<ChatRequest, "messages">;

function check(messages: readonly Message[], body: Settings, limits: Limits): void {
  checkShared(body, limits, 1);
  const { max_tokens, max_completion_tokens, logprobs, top_logprobs } = body;
  if (messages.length > limits.messages) {
    throw invalid("messages", `at most ${limits.messages} are taken`, "too_many_messages");
  }
  const pictures = messages
    .flatMap(({ content }) => (typeof content === "string" ? [] : (content as { type: string }[])))
    .filter(({ type }) => type === "image_url").length;
  if (pictures > limits.pictures) {
    throw new ApiError(400, `messages: at most ${limits.pictures} pictures are taken, not ${pictures}.`, {
      param: "messages",
      code: "too_many_images",
    });
  }
  if (
    max_tokens !== undefined &&
    max_completion_tokens !== undefined &&
    max_tokens !== max_completion_tokens
  ) {
    throw invalid("max_completion_tokens", "does not agree with max_tokens; send one of the two");
  }
  if (top_logprobs !== undefined && logprobs !== true) {
    throw invalid("top_logprobs", "needs logprobs to be true");
  }
}

class ChatFormat implements Format {
  readonly idPrefix = "chatcmpl";
  readonly object = "chat.completion";
  readonly chunkObject = "chat.completion.chunk";
  readonly #texts: TokenTexts;
  readonly #logprobs: boolean;

  constructor(texts: TokenTexts, logprobs: boolean) {
    this.#texts = texts;
    this.#logprobs = logprobs;
  }

  opening(index: number): object {
    return { index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null };
  }

  delta(index: number, { text, logprobs }: Piece): object {
    return { index, delta: { content: text }, logprobs: this.#shown(logprobs), finish_reason: null };
  }

  ending(index: number, { finish_reason }: Choice): object {
    return { index, delta: {}, logprobs: null, finish_reason };
  }

  whole(index: number, { text, logprobs, finish_reason }: Choice): object {
    const message = { role: "assistant", content: text, refusal: null };
    return { index, message, logprobs: this.#shown(logprobs), finish_reason };
  }

  #shown(logprobs: readonly ChosenLogprob[]): object | null {
    if (!this.#logprobs) return null;
    const one = ({ id, logprob }: TokenLogprob, first: boolean): object => ({
      token: this.#texts.textOf(id, first),
      logprob,
      bytes: this.#texts.bytesOf(id, first),
    });
    const content = logprobs.map((chosen) => ({
      ...one(chosen, chosen.first),
      top_logprobs: chosen.top.map((token) => one(token, chosen.first)),
    }));
    return { content, refusal: null };
  }
}
