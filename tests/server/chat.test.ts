import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApp } from "../../server/app.ts";
import type { Resident } from "../../server/model_pool.ts";
import { chatBody, dataUri, demoService, events, firstTurn, poster, recorded } from "./support.ts";

interface Chunk {
  choices: {
    index: number;
    delta: { content?: string; role?: string };
    finish_reason: string | null;
    logprobs: Logprobs | null;
  }[];
  usage?: Usage | null;
}

interface Logprobs {
  content: {
    token: string;
    logprob: number;
    bytes: number[];
    top_logprobs: { token: string; logprob: number }[];
  }[];
}

interface Completion {
  object: string;
  choices: {
    index: number;
    message: { role: string; content: string };
    finish_reason: string;
    logprobs: Logprobs | null;
  }[];
  usage: Usage;
}

interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
}

const { service, lines } = demoService();
const app = createApp(service);
const post = poster(app);
const snow = await dataUri("snow.jpg");
const { question, answer } = firstTurn("snow.jpg");
let resident: Resident;

beforeAll(async () => {
  await service.warmUp();
  resident = service.pool.residents[0];
});
afterAll(() => service.pool.dispose());

async function whole(body: object): Promise<Completion> {
  const response = await post("/v1/chat/completions", body);
  expect(response.status).toBe(200);
  return (await response.json()) as Completion;
}

async function chunks(body: object): Promise<Chunk[]> {
  const response = await post("/v1/chat/completions", { ...body, stream: true });
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const all = await events(response);
  expect(all.at(-1)).toBe("[DONE]");
  return all.slice(0, -1).map((data) => JSON.parse(data) as Chunk);
}

function streamedText(all: Chunk[], index = 0): string {
  return all
    .flatMap(({ choices }) => choices)
    .filter((choice) => choice.index === index)
    .map(({ delta }) => delta.content ?? "")
    .join("");
}

describe("the answer", () => {
  test("whole: what Transformers answers, with its usage", async () => {
    const { object, choices, usage } = await whole(chatBody(question, [snow]));
    expect(object).toBe("chat.completion");
    expect(choices[0].message).toMatchObject({ role: "assistant", content: answer });
    expect(choices[0].finish_reason).toBe("stop");
    expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
    const prompt = `USER: ${"<image>".repeat(64)}\n${question} ASSISTANT:`;
    expect(usage.prompt_tokens).toBe(resident.processor.tokenizer.encode(prompt).length);
  });

  test("streamed: the same, its role first, its reason last, then usage", async () => {
    const all = await chunks(chatBody(question, [snow], { stream_options: { include_usage: true } }));
    expect(streamedText(all)).toBe(answer);
    expect(all[0].choices[0].delta).toEqual({ role: "assistant", content: "" });
    expect(all.at(-2)?.choices[0]).toMatchObject({ delta: {}, finish_reason: "stop" });
    expect(all.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: expect.any(Number) } });
    expect(all.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    expect(all.length).toBeGreaterThan(20);
  });

  test("what several answers have of a prompt that nobody has asked was computed once, and is no earlier one's", async () => {
    const prompt = "One two three four five six seven eight nine ten. ".repeat(12);
    const first = await whole(chatBody(prompt, [], { n: 3, max_tokens: 2 }));
    expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0);
    const { usage } = await whole(chatBody(prompt, [], { n: 3, max_tokens: 2 }));
    expect(usage.prompt_tokens).toBeGreaterThan(130);
    expect(usage.prompt_tokens_details.cached_tokens).toBe(usage.prompt_tokens - 1);
  });

  test("a conversation goes on; content as text and as parts is the same", async () => {
    const turns = recorded.pictures.flatMap(({ file, conversations }) =>
      conversations.filter((turns) => turns.length > 1).map((turns) => ({ file, turns })),
    )[0];
    const [first, second] = turns.turns;
    const messages = [
      ...(chatBody(first.question, [await dataUri(turns.file)]).messages as object[]),
      { role: "assistant", content: first.answer },
      { role: "user", content: second.question },
    ];
    const { choices } = await whole({ model: "llava-demo", messages });
    expect(choices[0].message.content).toBe(second.answer);
  });

  test("several pictures, in their order", async () => {
    for (const { files, conversations } of recorded.pairs.slice(0, 2)) {
      const { question, answer } = conversations[0][0];
      const { choices } = await whole(chatBody(question, await Promise.all(files.map(dataUri))));
      expect(choices[0].message.content).toBe(answer);
    }
  });

  test("eight at once give what each gives alone", async () => {
    const asked = recorded.pictures.slice(0, 8).map(({ file }) => file);
    const answers = await Promise.all(
      asked.map(async (file) => whole(chatBody(firstTurn(file).question, [await dataUri(file)]))),
    );
    expect(answers.map(({ choices }) => choices[0].message.content)).toEqual(
      asked.map((file) => firstTurn(file).answer),
    );
  });

  /** Counters of `/metrics`. */
  async function figures(...names: string[]): Promise<number[]> {
    const text = await (await app.request("http://127.0.0.1/metrics")).text();
    return names.map((name) => Number(new RegExp(`^llava_${name} (\\d+)`, "m").exec(text)?.[1]));
  }

  test("a picture that was seen is not looked at again", async () => {
    const counted = () => figures("picture_cache_hits_total", "picture_cache_misses_total");
    const [hits, misses] = await counted();
    const sea = await dataUri("unseen-style.png");
    await whole(chatBody("What?", [sea, sea], { max_tokens: 1 }));
    await whole(chatBody("How?", [sea], { max_tokens: 1 }));
    expect(await counted()).toEqual([hits + 2, misses + 1]);
  });

  test("a question after an answer begins after what was computed for that", async () => {
    const counted = () =>
      figures("prompt_cache_hits_total", "prompt_cache_misses_total", "prompt_cache_tokens_total");
    const image = { type: "image_url", image_url: { url: await dataUri("beach.jpg") } };
    const conversations = recorded.pictures.find(({ file }) => file === "beach.jpg")?.conversations ?? [];
    const [first, second] = conversations.find(({ length }) => length > 1) ?? [];
    const messages: object[] = [{ role: "user", content: [image, { type: "text", text: first.question }] }];
    const opening = await whole({ model: "llava-demo", messages });
    const [hits, misses, tokens] = await counted();
    messages.push({ role: "assistant", content: opening.choices[0].message.content });
    messages.push({ role: "user", content: second.question });
    const { choices, usage } = await whole({ model: "llava-demo", messages });
    expect(choices[0].message.content).toBe(second.answer);
    // All that was computed: not the last token, which was chosen.
    const shared = opening.usage.total_tokens - 1;
    expect(usage.prompt_tokens_details.cached_tokens).toBe(shared);
    expect(shared).toBeGreaterThanOrEqual(64);
    expect(await counted()).toEqual([hits + 1, misses, tokens + shared]);
    expect((await figures("prompt_cache_bytes"))[0]).toBeGreaterThan(0);
    const streamed = await chunks({
      model: "llava-demo",
      messages: messages.slice(0, 1),
      stream_options: { include_usage: true },
    });
    const again = (await counted())[2] - tokens - shared;
    expect(again).toBeGreaterThanOrEqual(64);
    expect(streamed.at(-1)?.usage?.prompt_tokens_details.cached_tokens).toBe(again);
  });
});

describe("settings", () => {
  test("max_tokens and max_completion_tokens cut", async () => {
    for (const name of ["max_tokens", "max_completion_tokens"]) {
      const { choices, usage } = await whole(chatBody(question, [snow], { [name]: 3 }));
      expect(usage.completion_tokens).toBe(3);
      expect(choices[0].finish_reason).toBe("length");
      expect(answer.startsWith(choices[0].message.content)).toBe(true);
    }
  });

  test("stop: nothing of the string is sent, streamed or whole", async () => {
    // The string begins and ends within tokens.
    const stop = [answer.slice(19, 27), "no such words"];
    const before = answer.slice(0, answer.indexOf(stop[0]));
    const { choices } = await whole(chatBody(question, [snow], { stop }));
    expect(choices[0]).toMatchObject({ message: { content: before }, finish_reason: "stop" });
    expect(streamedText(await chunks(chatBody(question, [snow], { stop })))).toBe(before);
  });

  test("seed: the same again; n: several, each its own", async () => {
    const body = chatBody(question, [snow], { n: 3, seed: 5, temperature: 1.8, max_tokens: 12 });
    const [first, second] = [await whole(body), await whole(body)];
    const texts = first.choices.map(({ message }) => message.content);
    expect(second.choices.map(({ message }) => message.content)).toEqual(texts);
    expect(new Set(texts).size).toBe(3);
    expect(first.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    const all = await chunks(body);
    expect([0, 1, 2].map((index) => streamedText(all, index))).toEqual(texts);
    const [alone] = (await whole({ ...body, n: 1, seed: 6 })).choices;
    expect(alone.message.content).toBe(texts[1]);
  });

  test("sampling is that of generate: temperature, then top_p", async () => {
    const { model, processor } = resident;
    const messages = [{ role: "user", content: [{ type: "text", text: "Tell me." }] }];
    const inputs = await processor.apply_chat_template(messages, {
      ...{ add_generation_prompt: true, tokenize: true, return_dict: true },
    });
    const ids = await model.generate({
      input_ids: inputs.input_ids,
      ...{ do_sample: true, temperature: 1.5, top_p: 0.8, top_k: 0, seed: 3, max_new_tokens: 12 },
    });
    const expected = processor.decode(Array.from(ids.data, Number).slice(inputs.input_ids.shape[1]), {
      skip_special_tokens: true,
    });
    const sampled = { temperature: 1.5, top_p: 0.8, seed: 3, max_tokens: 12 };
    const { choices } = await whole({ model: "llava-demo", messages, ...sampled });
    expect(choices[0].message.content).toBe(expected);
  });

  test("logit_bias forbids and forces; penalties change what repeats", async () => {
    const { tokenizer } = resident.processor;
    const [id] = tokenizer.encode(answer, { add_special_tokens: false });
    const without = await whole(chatBody(question, [snow], { logit_bias: { [id]: -100 }, max_tokens: 4 }));
    expect(without.choices[0].message.content.startsWith(answer.slice(0, 3))).toBe(false);
    const forced = await whole(chatBody(question, [snow], { logit_bias: { [id]: 100 }, max_tokens: 3 }));
    const word = tokenizer.decode([id, id, id]);
    expect(forced.choices[0].message.content).toBe(word);
    const penalised = {
      logit_bias: { [id]: 100 },
      frequency_penalty: 2,
      presence_penalty: 2,
      max_tokens: 60,
    };
    const text = (await whole(chatBody(question, [snow], penalised))).choices[0].message.content;
    // Each time takes 2 more from a score that had 100 more, and 2 once.
    const times = text.split(answer.slice(0, 3)).length - 1;
    expect(times).toBeGreaterThan(30);
    expect(times).toBeLessThan(60);
  });

  test("logprobs are those of the model, before temperature and bias", async () => {
    const body = chatBody("Tell me.", [], { max_tokens: 3, logprobs: true, top_logprobs: 3 });
    const { choices } = await whole({ ...body, logit_bias: { 7: 1 }, temperature: 0 });
    const { model, processor } = resident;
    const { input_ids } = await processor.apply_chat_template(
      [{ role: "user", content: [{ type: "text", text: "Tell me." }] }],
      { add_generation_prompt: true, tokenize: true, return_dict: true },
    );
    const { logits } = await model({ input_ids, logits_to_keep: 1 });
    if (!logits) throw new Error("no logits");
    const scores = Array.from(logits.data, Number);
    const total = Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0));
    const content = choices[0].logprobs?.content ?? [];
    expect(content.length).toBe(3);
    const best = Math.max(...scores) - total;
    expect(content[0].logprob).toBeCloseTo(best, 4);
    expect(content[0].top_logprobs.map(({ logprob }) => logprob)[0]).toBeCloseTo(best, 4);
    const sorted = scores.toSorted((a, b) => b - a);
    expect(content[0].top_logprobs[2].logprob).toBeCloseTo(sorted[2] - total, 4);
    expect(content.map(({ token }) => token).join("")).toBe(choices[0].message.content);
    const streamed = (await chunks(body)).flatMap(({ choices }) => choices[0].logprobs?.content ?? []);
    expect(streamed).toEqual(content);
  });
});

describe("/v1/completions", () => {
  interface TextCompletion {
    choices: {
      index: number;
      text: string;
      logprobs: { tokens: string[]; token_logprobs: number[]; text_offset: number[] } | null;
    }[];
  }

  test("text and tokens, several prompts, whole and streamed", async () => {
    const { tokenizer } = resident.processor;
    const texts = ["USER: Tell me. ASSISTANT:", "The picture shows"];
    const ask = { model: "llava-demo", max_tokens: 6 };
    const response = await post("/v1/completions", { ...ask, prompt: texts, logprobs: 2 });
    const { choices } = (await response.json()) as TextCompletion;
    expect(choices.map(({ index }) => index)).toEqual([0, 1]);
    expect(choices[0].logprobs?.tokens.join("")).toBe(choices[0].text);
    expect(choices[0].logprobs?.text_offset[1]).toBe(choices[0].logprobs?.tokens[0].length);
    const ids = texts.map((text) => tokenizer.encode(text));
    const streamed = await events(await post("/v1/completions", { ...ask, prompt: ids, stream: true }));
    const parts = streamed.slice(0, -1).map((data) => (JSON.parse(data) as TextCompletion).choices[0]);
    const joined = (wanted: number): string =>
      parts.map(({ index, text }) => (index === wanted ? text : "")).join("");
    expect([joined(0), joined(1)]).toEqual(choices.map(({ text }) => text));
    const expected = await resident.model.generate({
      input_ids: [ids[1]],
      ...{ do_sample: false, max_new_tokens: 6 },
    });
    const generated = Array.from(expected.data, Number).slice(ids[1].length);
    expect(choices[1].text).toBe(resident.processor.decode(generated, { skip_special_tokens: true }));
  });
});

test("a log line says how it went, and nothing of what was said", async () => {
  await whole(chatBody("A very secret question", [snow], { max_tokens: 2 }));
  const line = lines.at(-1);
  expect(line).toMatchObject({
    ...{ method: "POST", path: "/v1/chat/completions", status: 200, model: "llava-demo", stream: false },
    ...{ pictures: 1, completion_tokens: 2, finish_reason: "length" },
  });
  expect(JSON.stringify(lines)).not.toMatch(/secret|snowman|base64/);
});
