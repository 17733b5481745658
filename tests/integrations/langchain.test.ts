import { type AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { afterAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { ChatLlava } from "../../integrations/langchain.ts";
import {
  AutoProcessor,
  LlavaForConditionalGeneration,
  OptionError,
  UnsupportedError,
} from "../../src/index.ts";
import { dataUri, firstTurn } from "../server/support.ts";

const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { threads: 1 });
const processor = await AutoProcessor.from_pretrained("llava-demo");
const chat = new ChatLlava({ model: { model, processor } });
afterAll(() => model.dispose());

const FILE = "fruit.jpg";
const { question, answer } = firstTurn(FILE);
const url = await dataUri(FILE);
const base64 = url.slice(url.indexOf(",") + 1);

function asking(picture: object): HumanMessage {
  return new HumanMessage({ content: [picture as { type: string }, { type: "text", text: question }] });
}

describe("invoke", () => {
  test.each<[string, object]>([
    ["OpenAI's image_url", { type: "image_url", image_url: { url } }],
    ["image_url as a text", { type: "image_url", image_url: url }],
    ["a standard block with an address", { type: "image", url }],
    ["a standard block with base64", { type: "image", data: base64, mimeType: "image/jpeg" }],
    ["a standard block with bytes", { type: "image", data: new Uint8Array(Buffer.from(base64, "base64")) }],
    [
      "an older standard block",
      { type: "image", source_type: "base64", data: base64, mime_type: "image/jpeg" },
    ],
  ])("%s is answered as Transformers does", async (_, picture) => {
    const message = await chat.invoke([asking(picture)]);
    expect(message.content).toBe(answer);
    const usage = message.usage_metadata;
    expect(usage?.input_tokens).toBeGreaterThan(20);
    expect(usage?.total_tokens).toBe((usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0));
    expect(message.response_metadata.finish_reason).toBe("stop");
  });

  test("settings of the model and of a call", async () => {
    const picture = asking({ type: "image", url });
    const cut = await new ChatLlava({ model: { model, processor }, maxTokens: 3 }).invoke([picture]);
    expect(cut.usage_metadata?.output_tokens).toBe(3);
    expect(cut.response_metadata.finish_reason).toBe("length");
    const word = answer.split(" ")[3];
    const stopped = await chat.invoke([new SystemMessage("Be brief."), picture], { stop: [word] });
    expect(stopped.content).not.toContain(word);
    const [a, b] = await chat.batch([[picture], [picture]], { temperature: 9, seed: 3, maxTokens: 12 });
    expect(a.content).toBe(b.content);
    expect(a.content).not.toBe(answer.slice(0, a.content.length));
  });

  test("what it does not take is refused", async () => {
    const refused = (message: HumanMessage | ToolMessage) => expect(chat.invoke([message])).rejects;
    await refused(asking({ type: "image", url: "file:///etc/passwd" })).toThrow(OptionError);
    await refused(asking({ type: "image_url", image_url: { url: "/etc/passwd" } })).toThrow(OptionError);
    await refused(asking({ type: "audio", data: base64 })).toThrow(UnsupportedError);
    await refused(new ToolMessage({ content: "", tool_call_id: "1" })).toThrow(UnsupportedError);
  });
});

describe("stream", () => {
  test("the same text in pieces; together they say what was used", async () => {
    let all: AIMessageChunk | undefined;
    let pieces = 0;
    for await (const chunk of await chat.stream([asking({ type: "image", url })])) {
      all = all ? all.concat(chunk) : chunk;
      pieces++;
    }
    expect(pieces).toBeGreaterThan(4);
    expect(all?.content).toBe(answer);
    expect(all?.usage_metadata?.output_tokens).toBeGreaterThan(3);
    expect(all?.response_metadata.finish_reason).toBe("stop");
  });

  test("a signal ends it", async () => {
    const controller = new AbortController();
    const reading = async (): Promise<void> => {
      const stream = await chat.stream([asking({ type: "image", url })], { signal: controller.signal });
      for await (const _ of stream) controller.abort();
    };
    await expect(reading()).rejects.toThrow(/abort/i);
  });

  test("who leaves ends the computing", async () => {
    const stream = await chat.stream([asking({ type: "image", url })], {
      schema: { type: "string", minLength: 300 },
    });
    for await (const _ of stream) break;
    const next = await chat.invoke([asking({ type: "image", url })]);
    expect(next.content).toBe(answer);
  });
});

test("withStructuredOutput gives what the schema says, with the message beside it where wanted", async () => {
  const schema = z.object({ what: z.string().max(30), count: z.int().min(0).max(20), sure: z.boolean() });
  const found = await chat.withStructuredOutput(schema).invoke([asking({ type: "image", url })]);
  expect(schema.parse(found)).toEqual(found);
  const both = await chat
    .withStructuredOutput(schema, { includeRaw: true })
    .invoke([asking({ type: "image", url })]);
  expect(schema.parse(both.parsed)).toEqual(found);
  expect(JSON.parse(String(both.raw.content))).toEqual(found);
});
