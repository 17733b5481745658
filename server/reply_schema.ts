import { z } from "zod";

/** What replies are like, for `/openapi.json`. */

const count = z.int().min(0);

const usage = z.strictObject({
  prompt_tokens: count.describe("Pictures included."),
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.strictObject({
    cached_tokens: count.describe(
      "Tokens of the prompt that an earlier one had begun with, and that were not computed again.",
    ),
  }),
});

const finish = z.enum(["stop", "length"]);

const token = { token: z.string(), logprob: z.number(), bytes: z.array(z.int().min(0).max(255)).nullable() };

const chatLogprobs = z
  .strictObject({
    content: z.array(z.strictObject({ ...token, top_logprobs: z.array(z.strictObject(token)) })),
    refusal: z.null(),
  })
  .nullable();

const textLogprobs = z
  .strictObject({
    tokens: z.array(z.string()),
    token_logprobs: z.array(z.number()),
    top_logprobs: z.array(z.record(z.string(), z.number())),
    text_offset: z.array(count),
  })
  .nullable();

const head = { id: z.string(), created: count, model: z.string() };

const textChoice = { index: count, text: z.string(), logprobs: textLogprobs };

export const chatCompletion = z.strictObject({
  ...head,
  object: z.literal("chat.completion"),
  choices: z.array(
    z.strictObject({
      index: count,
      message: z.strictObject({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
      logprobs: chatLogprobs,
      finish_reason: finish,
    }),
  ),
  usage,
});

export const chatChunk = z.strictObject({
  ...head,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(
    z.strictObject({
      index: count,
      delta: z.strictObject({ role: z.literal("assistant").optional(), content: z.string().optional() }),
      logprobs: chatLogprobs,
      finish_reason: finish.nullable(),
    }),
  ),
  usage: usage.nullable().optional(),
});

export const textCompletion = z.strictObject({
  ...head,
  object: z.literal("text_completion"),
  choices: z.array(z.strictObject({ ...textChoice, finish_reason: finish })),
  usage,
});

export const textChunk = z.strictObject({
  ...head,
  object: z.literal("text_completion"),
  choices: z.array(z.strictObject({ ...textChoice, finish_reason: finish.nullable() })),
  usage: usage.nullable().optional(),
});

export const modelReply = z.strictObject({
  id: z.string(),
  object: z.literal("model"),
  created: count,
  owned_by: z.string(),
});

export const modelList = z.strictObject({ object: z.literal("list"), data: z.array(modelReply) });

export const healthReply = z.strictObject({
  status: z.enum(["loading", "ok", "failed", "closing"]),
  models: z.array(
    z.strictObject({
      id: z.string(),
      loaded: z.boolean(),
      device: z.string().optional(),
      dtype: z.string().optional(),
    }),
  ),
});

export const errorReply = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});
