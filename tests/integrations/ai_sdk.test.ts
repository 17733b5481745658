import { readFile } from "node:fs/promises";
import { generateObject, generateText, streamObject, streamText } from "ai";
import { afterAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createLlava, languageModel } from "../../integrations/ai_sdk.ts";
import { AutoProcessor, LlavaForConditionalGeneration, UnsupportedError } from "../../src/index.ts";
import { dataUri, firstTurn } from "../server/support.ts";

const model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { threads: 1 });
const processor = await AutoProcessor.from_pretrained("llava-demo");
const llava = languageModel({ model, processor }, "demo");
afterAll(() => model.dispose());

const FILE = "garden.jpg";
const { question, answer } = firstTurn(FILE);
const bytes = new Uint8Array(
  await readFile(new URL(`../../checkpoints/llava-demo/pictures/${FILE}`, import.meta.url)),
);

function asking(image: Uint8Array | string | URL, text = question) {
  return [
    {
      role: "user" as const,
      content: [
        { type: "image" as const, image },
        { type: "text" as const, text },
      ],
    },
  ];
}

describe("generateText", () => {
  test.each<[string, () => Promise<Uint8Array | string | URL>]>([
    ["bytes", async () => bytes],
    ["base64", async () => Buffer.from(bytes).toString("base64")],
    ["a data URI", () => dataUri(FILE)],
    ["a URL object", async () => new URL(await dataUri(FILE))],
  ])("a picture as %s is answered as Transformers does", async (_, picture) => {
    const result = await generateText({ model: llava, messages: asking(await picture()) });
    expect(result.text).toBe(answer);
    expect(result.finishReason).toBe("stop");
    expect(result.warnings).toEqual([]);
    expect(result.response.modelId).toBe("demo");
    const { inputTokens = 0, outputTokens = 0, totalTokens } = result.usage;
    expect(inputTokens).toBeGreaterThan(20);
    expect(outputTokens).toBeGreaterThan(3);
    expect(totalTokens).toBe(inputTokens + outputTokens);
    const { cacheReadTokens = 0, noCacheTokens = 0 } = result.usage.inputTokenDetails;
    expect(cacheReadTokens).toBeLessThan(inputTokens);
    expect(cacheReadTokens + noCacheTokens).toBe(inputTokens);
  });

  test("a file that is a picture, after a system text and an earlier turn", async () => {
    const result = await generateText({
      model: llava,
      system: "Be brief.",
      messages: [
        { role: "user", content: "Hello" },
        { role: "assistant", content: "Hello." },
        {
          role: "user",
          content: [
            { type: "file", data: bytes, mediaType: "image/jpeg" },
            { type: "text", text: question },
          ],
        },
      ],
    });
    expect(result.text).not.toBe("");
  });

  test("a limit and a stop sequence end it", async () => {
    const cut = await generateText({ model: llava, messages: asking(bytes), maxOutputTokens: 3 });
    expect(cut.finishReason).toBe("length");
    expect(cut.usage.outputTokens).toBe(3);
    expect(answer.startsWith(cut.text)).toBe(true);
    const word = answer.split(" ")[3];
    const stopped = await generateText({ model: llava, messages: asking(bytes), stopSequences: [word] });
    expect(stopped.finishReason).toBe("stop");
    expect(stopped.text).toBe(answer.slice(0, answer.indexOf(word)));
  });

  test("a seed repeats what is drawn; topK 1 draws the likeliest", async () => {
    const drawn = (seed: number) =>
      generateText({ model: llava, messages: asking(bytes), temperature: 2, seed, maxOutputTokens: 20 });
    const [a, b, c] = await Promise.all([drawn(1), drawn(1), drawn(2)]);
    expect(a.text).toBe(b.text);
    expect(c.text).not.toBe(a.text);
    const first = await generateText({ model: llava, messages: asking(bytes), temperature: 2, topK: 1 });
    expect(first.text).toBe(answer);
  });

  test("penalties count", async () => {
    const result = await generateText({
      model: llava,
      messages: asking(bytes),
      frequencyPenalty: 2,
      presencePenalty: 2,
      maxOutputTokens: 40,
    });
    expect(result.text).not.toBe(answer);
  });

  test("what there is not is a warning, or an error", async () => {
    const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello" }] }];
    const { warnings } = await llava.doGenerate({
      prompt,
      maxOutputTokens: 2,
      tools: [{ type: "function", name: "f", inputSchema: {} }],
      providerOptions: { llava: { colour: true }, other: { a: 1 } },
    });
    expect(warnings).toEqual([
      { type: "unsupported", feature: "tools" },
      { type: "unsupported", feature: "providerOptions.llava.colour" },
    ]);
    const file = { type: "file" as const, data: bytes, mediaType: "audio/wav" };
    const sound = llava.doGenerate({ prompt: [{ role: "user", content: [file] }] });
    await expect(sound).rejects.toThrow(UnsupportedError);
  });
});

describe("streamText", () => {
  test("gives the same text, in pieces, with usage and reason", async () => {
    const result = streamText({ model: llava, messages: asking(bytes) });
    const pieces: string[] = [];
    for await (const piece of result.textStream) pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.join("")).toBe(answer);
    expect(await result.finishReason).toBe("stop");
    expect((await result.usage).outputTokens).toBeGreaterThan(3);
  });

  test("ends when it is aborted, and so does the computing", async () => {
    const controller = new AbortController();
    const { stream } = await llava.doStream({
      prompt: [{ role: "user", content: [{ type: "text", text: question }] }],
      abortSignal: controller.signal,
      maxOutputTokens: 500,
      responseFormat: { type: "json", schema: { type: "string", minLength: 400 } },
    });
    const parts: string[] = [];
    for await (const part of stream) {
      parts.push(part.type);
      if (part.type === "text-delta") controller.abort();
    }
    expect(parts.at(-1)).toBe("error");
    expect(parts.filter((type) => type === "text-delta").length).toBeLessThan(10);
  });

  test("an abort through the SDK is told as one", async () => {
    const controller = new AbortController();
    controller.abort();
    const call = generateText({ model: llava, messages: asking(bytes), abortSignal: controller.signal });
    await expect(call).rejects.toMatchObject({ name: "AbortError" });
  });
});

describe("generateObject", () => {
  const schema = z.object({
    description: z.string().max(40),
    colours: z
      .array(z.enum(["red", "green", "blue"]))
      .min(1)
      .max(3),
    size: z.object({ width: z.int().min(1).max(99), unit: z.literal("cm").nullable() }),
    note: z.string().max(9).optional(),
  });

  test("gives what the schema says, whatever is drawn", async () => {
    for (const temperature of [0, 1.8]) {
      const { object, finishReason } = await generateObject({
        model: llava,
        messages: asking(bytes),
        schema,
        temperature,
        seed: 4,
        maxOutputTokens: 150,
      });
      expect(schema.parse(object)).toEqual(object);
      expect(finishReason).toBe("stop");
    }
  });

  test("streamed, the parts grow to it", async () => {
    const { partialObjectStream, object } = streamObject({ model: llava, messages: asking(bytes), schema });
    let last: unknown;
    for await (const part of partialObjectStream) last = part;
    expect(last).toEqual(await object);
    expect(schema.safeParse(last).success).toBe(true);
  });

  test("a choice of two", async () => {
    const { object } = await generateObject({
      model: llava,
      messages: asking(bytes),
      output: "enum",
      enum: ["garden", "street"],
    });
    expect(["garden", "street"]).toContain(object);
  });
});

test("a provider loads a model by its name, once", async () => {
  const provider = createLlava({ threads: 1 });
  expect(provider("llava-demo")).toBe(provider("llava-demo"));
  const { text } = await generateText({ model: provider("llava-demo"), messages: asking(bytes) });
  expect(text).toBe(answer);
});
