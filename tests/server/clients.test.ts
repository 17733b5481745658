import type { AddressInfo } from "node:net";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { serve } from "@hono/node-server";
import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { generateObject, generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createApp } from "../../server/app.ts";
import { dataUri, demoService, firstTurn } from "./support.ts";

const KEY = "a-key";
const { service } = demoService();
const server = serve({ fetch: createApp(service, { apiKey: KEY }).fetch, port: 0, hostname: "127.0.0.1" });
await new Promise((resolve) => server.once("listening", resolve));
const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  await service.pool.dispose();
});

const FILE = "garden.jpg";
const { question, answer } = firstTurn(FILE);
const picture = await dataUri(FILE);
const schema = z.object({ what: z.string().max(30), count: z.int().min(0).max(9) });

/** Once a client has left, nothing goes on being computed for it. */
async function idle(): Promise<void> {
  while (service.admission.running > 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("OpenAI's own client", () => {
  const client = new OpenAI({ baseURL, apiKey: KEY, maxRetries: 0 });
  test("structured output, parsed", async () => {
    const { choices } = await client.chat.completions.create({
      model: "llava-demo",
      messages: [
        {
          role: "user",
          content: [
            { type: "image_url", image_url: { url: picture } },
            { type: "text", text: question },
          ],
        },
      ],
      response_format: {
        type: "json_schema",
        json_schema: { name: "thing", strict: true, schema: z.toJSONSchema(schema) },
      },
    });
    expect(schema.safeParse(JSON.parse(choices[0].message.content ?? "")).success).toBe(true);
  });

  test("an unsupported schema is its error of a bad request, naming the field", async () => {
    const call = client.chat.completions.create({
      model: "llava-demo",
      messages: [{ role: "user", content: "Hello" }],
      response_format: { type: "json_schema", json_schema: { name: "x", schema: { not: {} } } },
    });
    const error = await call.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect((error as { param: string }).param).toContain("response_format");
  });
});

describe("@ai-sdk/openai-compatible", () => {
  const provider = createOpenAICompatible({
    name: "llava",
    baseURL,
    apiKey: KEY,
    supportsStructuredOutputs: true,
  });
  const model = provider("llava-demo");
  const messages = [
    {
      role: "user" as const,
      content: [
        { type: "image" as const, image: picture },
        { type: "text" as const, text: question },
      ],
    },
  ];

  test("text, picture, stream", async () => {
    const whole = await generateText({ model, messages });
    expect(whole.text).toBe(answer);
    expect(whole.finishReason).toBe("stop");
    expect(whole.usage.inputTokens).toBeGreaterThan(20);
    const pieces: string[] = [];
    for await (const piece of streamText({ model, messages }).textStream) pieces.push(piece);
    expect(pieces.join("")).toBe(answer);
    expect(pieces.length).toBeGreaterThan(2);
  });

  test("objects", async () => {
    const { object } = await generateObject({ model, messages, schema });
    expect(schema.parse(object)).toEqual(object);
  });

  test("abort and errors", async () => {
    const controller = new AbortController();
    const { textStream } = streamText({ model, messages, abortSignal: controller.signal });
    for await (const _ of textStream) controller.abort();
    await idle();
    const call = generateText({ model: provider("another"), messages, maxRetries: 0 });
    await expect(call).rejects.toMatchObject({ statusCode: 404 });
  });
});

describe("@langchain/openai", () => {
  const chat = new ChatOpenAI({
    model: "llava-demo",
    apiKey: KEY,
    configuration: { baseURL },
    maxRetries: 0,
  });
  const message = new HumanMessage({
    content: [
      { type: "image_url", image_url: { url: picture } },
      { type: "text", text: question },
    ],
  });

  test("text, picture, stream", async () => {
    const whole = await chat.invoke([message]);
    expect(whole.content).toBe(answer);
    expect(whole.usage_metadata?.output_tokens).toBeGreaterThan(3);
    let text = "";
    for await (const chunk of await chat.stream([message])) text += chunk.content;
    expect(text).toBe(answer);
  });

  test("structured output", async () => {
    const found = await chat
      .withStructuredOutput(schema, { method: "jsonSchema", strict: true })
      .invoke([message]);
    expect(schema.parse(found)).toEqual(found);
  });

  test("abort and errors", async () => {
    const controller = new AbortController();
    const reading = async (): Promise<void> => {
      for await (const _ of await chat.stream([message], { signal: controller.signal })) controller.abort();
    };
    await expect(reading()).rejects.toThrow(/abort/i);
    await idle();
    const stranger = new ChatOpenAI({
      model: "llava-demo",
      apiKey: "wrong",
      configuration: { baseURL },
      maxRetries: 0,
    });
    await expect(stranger.invoke([message])).rejects.toMatchObject({ status: 401 });
  });
});
