import { z } from "zod";

/** Request bodies. Unknown fields are errors; fields that would have no effect are taken in their neutral value only. */

const text = z.strictObject({ type: z.literal("text"), text: z.string() });

const picture = z.strictObject({
  type: z.literal("image_url"),
  image_url: z.strictObject({
    url: z.string().min(1).describe("A data URI, or an address on a host that the server was told to trust."),
    detail: z.enum(["auto", "low", "high"]).optional().describe("A picture is always looked at whole."),
  }),
});

const words = z.union([z.string(), z.array(text).min(1)]);

const name = z.string().max(64).optional();

const message = z.discriminatedUnion("role", [
  z.strictObject({ role: z.literal("system"), content: words, name }),
  z.strictObject({ role: z.literal("developer"), content: words, name }),
  z.strictObject({
    role: z.literal("user"),
    content: z.union([z.string(), z.array(z.discriminatedUnion("type", [text, picture])).min(1)]),
    name,
  }),
  z.strictObject({
    role: z.literal("assistant"),
    content: words,
    name,
    refusal: z.null().optional(),
    annotations: z.array(z.never()).max(0).optional(),
  }),
]);

export type Message = z.infer<typeof message>;

const stop = z.union([z.string().min(1).max(200), z.array(z.string().min(1).max(200)).max(4)]);

const tokens = z.int().min(1);

const shared = {
  model: z.string().min(1),
  max_tokens: tokens.optional(),
  temperature: z.number().min(0).max(2).optional().describe("0, the default: always the likeliest token."),
  top_p: z.number().gt(0).max(1).optional(),
  n: z.int().min(1).optional(),
  seed: z.int().optional().describe("With a temperature: the same seed gives the same answer."),
  stop: stop.optional(),
  stream: z.boolean().optional(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional() }).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100)).optional(),
  user: z.string().max(512).optional().describe("A label of the client's; not used."),
};

/** Labels of the client's own, and neutral values of what there is not here. */
const neutral = {
  metadata: z.record(z.string().max(64), z.string().max(512)).optional(),
  safety_identifier: z.string().max(512).optional(),
  prompt_cache_key: z.string().max(512).optional(),
  store: z.literal(false).optional(),
  service_tier: z.enum(["auto", "default"]).optional(),
  modalities: z.tuple([z.literal("text")]).optional(),
  tools: z.array(z.never()).max(0).optional(),
  tool_choice: z.literal("none").optional(),
};

const responseFormat = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }).describe("The answer is a JSON object."),
  z.strictObject({
    type: z.literal("json_schema"),
    json_schema: z.strictObject({
      name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
      description: z.string().optional(),
      schema: z.record(z.string(), z.unknown()).optional(),
      strict: z.boolean().nullable().optional().describe("The schema is held exactly in any case."),
    }),
  }),
]);

export const chatRequest = z.strictObject({
  ...shared,
  ...neutral,
  messages: z.array(message).min(1),
  max_completion_tokens: tokens.optional(),
  logprobs: z.boolean().optional(),
  top_logprobs: z.int().min(0).max(20).optional(),
  response_format: responseFormat.optional(),
});

export type ChatRequest = z.infer<typeof chatRequest>;

const ids = z.array(z.int().min(0)).min(1);

export const completionRequest = z.strictObject({
  ...shared,
  prompt: z.union([z.string(), ids, z.array(z.string()).min(1), z.array(ids).min(1)]),
  logprobs: z.int().min(0).max(5).optional(),
  echo: z.literal(false).optional(),
  best_of: z.literal(1).optional(),
});

export type CompletionRequest = z.infer<typeof completionRequest>;
