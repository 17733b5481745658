import { type AnswerRequest, answer, type Format } from "../answer.ts";
import type { Choice, Piece } from "../choice.ts";
import type { ChosenLogprob } from "../logprobs.ts";
import { textPrompt } from "../prompt.ts";
import { readRequest } from "../read_request.ts";
import type { RequestRecord } from "../record.ts";
import { type CompletionRequest, completionRequest } from "../schema.ts";
import type { Service } from "../service.ts";
import { TokenTexts } from "../token_texts.ts";
import { checkShared } from "./checks.ts";

/** POST /v1/completions */
export async function completions(service: Service, raw: Request, record: RequestRecord): Promise<Response> {
  const share = service.bodies.share();
  const { limits } = service;
  try {
    const { logprobs, ...body } = await readRequest(raw, completionRequest, limits.bodyBytes, share);
    const texts = promptsOf(body.prompt);
    checkShared(body, limits, texts.length);
    const request: AnswerRequest = { ...body, top_logprobs: logprobs };
    return await answer(service, request, raw, record, async ({ resident }) => {
      const prompts = texts.map((text) => textPrompt(resident, text));
      share.free();
      const format = new CompletionFormat(
        new TokenTexts(resident.processor.tokenizer),
        logprobs !== undefined,
      );
      return { prompts, format };
    });
  } finally {
    share.free();
  }
}

function promptsOf(prompt: CompletionRequest["prompt"]): (string | number[])[] {
  if (typeof prompt === "string") return [prompt];
  return typeof prompt[0] === "number" ? [prompt as number[]] : (prompt as (string | number[])[]);
}

class CompletionFormat implements Format {
  readonly idPrefix = "cmpl";
  readonly object = "text_completion";
  readonly chunkObject = "text_completion";
  readonly #texts: TokenTexts;
  readonly #logprobs: boolean;
  /** Characters that each answer has by now. */
  readonly #offsets = new Map<number, number>();

  constructor(texts: TokenTexts, logprobs: boolean) {
    this.#texts = texts;
    this.#logprobs = logprobs;
  }

  delta(index: number, { text, logprobs }: Piece): object {
    return { index, text, logprobs: this.#shown(index, logprobs), finish_reason: null };
  }

  ending(index: number, { finish_reason }: Choice): object {
    return { index, text: "", logprobs: null, finish_reason };
  }

  whole(index: number, { text, logprobs, finish_reason }: Choice): object {
    return { index, text, logprobs: this.#shown(index, logprobs), finish_reason };
  }

  #shown(index: number, logprobs: readonly ChosenLogprob[]): object | null {
    if (!this.#logprobs) return null;
    const tokens = logprobs.map(({ id, first }) => this.#texts.textOf(id, first));
    let offset = this.#offsets.get(index) ?? 0;
    const text_offset = tokens.map((token) => {
      const begin = offset;
      offset += token.length;
      return begin;
    });
    this.#offsets.set(index, offset);
    return {
      tokens,
      token_logprobs: logprobs.map(({ logprob }) => logprob),
      top_logprobs: logprobs.map(({ top, first }) =>
        Object.fromEntries(top.map(({ id, logprob }) => [this.#texts.textOf(id, first), logprob])),
      ),
      text_offset,
    };
  }
}
