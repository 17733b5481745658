import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApp } from "../../server/app.ts";
import { chatBody, dataUri, demoService, poster } from "./support.ts";

const { service } = demoService({
  bodyBytes: 2 ** 20,
  pictureBytes: 40_000,
  picturePixels: 400_000,
  pictures: 3,
});
const app = createApp(service);
const post = poster(app);
const snow = await dataUri("snow.jpg");

beforeAll(() => service.warmUp());
afterAll(() => service.pool.dispose());

interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

/** OpenAI's shape, and nothing of where the server lies or how it is made. */
async function refusal(response: Response): Promise<ErrorBody["error"] & { status: number }> {
  const text = await response.text();
  const { error } = JSON.parse(text) as ErrorBody;
  expect(Object.keys(error).sort()).toEqual(["code", "message", "param", "type"]);
  expect(text).not.toMatch(
    /node_modules|\.ts\b|\.js\b|\bat \w+ \(|\/work|\/home|\/tmp|\/etc|ENOENT|zod|sharp/i,
  );
  expect(text.length).toBeLessThan(1000);
  return { ...error, status: response.status };
}

const hello = [{ role: "user", content: "Hello" }];
const ask = (more: object): object => ({ model: "llava-demo", messages: hello, ...more });
const picture = (url: unknown): object => chatBody("What?", [url as string]);
const png = (width: number, height: number): string => {
  const head = Buffer.alloc(33);
  head.write("89504e470d0a1a0a0000000d49484452", 0, "hex");
  head.writeUInt32BE(width, 16);
  head.writeUInt32BE(height, 20);
  head.write("0802000000", 24, "hex");
  return `data:image/png;base64,${head.toString("base64")}`;
};

/** What is sent, and the field that the error must name. */
const BAD: [what: string, body: unknown, param: string | null, status?: number][] = [
  ["no JSON", "{", null],
  ["nothing", "", null],
  ["a number", "17", null],
  ["a list", "[]", null],
  ["null", "null", null],
  ["deep nesting", `${"[".repeat(100_000)}${"]".repeat(100_000)}`, null],
  [
    "a deep value",
    `{"model":"llava-demo","messages":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
    "messages[0]",
  ],
  ["no model", { messages: hello }, "model"],
  ["a model as a number", { model: 5, messages: hello }, "model"],
  ["another model", { model: "gpt-4o", messages: hello }, "model", 404],
  ["a path as model", { model: "../../../etc/passwd", messages: hello }, "model", 404],
  ["a Hub id that nobody named", { model: "llava-hf/llava-1.5-7b-hf", messages: hello }, "model", 404],
  ["no messages", { model: "llava-demo" }, "messages"],
  ["empty messages", ask({ messages: [] }), "messages"],
  ["messages as null", ask({ messages: null }), "messages"],
  ["messages as text", ask({ messages: "Hello" }), "messages"],
  ["a message as null", ask({ messages: [null] }), "messages[0]"],
  ["a role that is not known", ask({ messages: [{ role: "king", content: "x" }] }), "messages[0].role"],
  [
    "a tool's message",
    ask({ messages: [{ role: "tool", content: "x", tool_call_id: "1" }] }),
    "messages[0].role",
  ],
  ["no content", ask({ messages: [{ role: "user" }] }), "messages[0].content"],
  ["empty content", ask({ messages: [{ role: "user", content: [] }] }), "messages[0].content"],
  [
    "a part that is not known",
    ask({ messages: [{ role: "user", content: [{ type: "input_audio", input_audio: {} }] }] }),
    "messages[0].content[0].type",
  ],
  [
    "a picture from the assistant",
    ask({ messages: [{ role: "assistant", content: [{ type: "image_url", image_url: { url: snow } }] }] }),
    "messages[0].content[0].type",
  ],
  ["an unknown field", ask({ temprature: 1 }), "temprature"],
  [
    "__proto__",
    '{"model":"llava-demo","messages":[{"role":"user","content":"x"}],"__proto__":{"n":1}}',
    "__proto__",
  ],
  ["constructor", ask({ constructor: { prototype: {} } }), "constructor"],
  ["an unknown field in a message", ask({ messages: [{ ...hello[0], cache: 1 }] }), "messages[0].cache"],
  ["temperature too high", ask({ temperature: 2.5 }), "temperature"],
  ["temperature below 0", ask({ temperature: -1 }), "temperature"],
  ["temperature as text", ask({ temperature: "0" }), "temperature"],
  [
    "a number out of range",
    `{"model":"llava-demo","messages":[{"role":"user","content":"x"}],"temperature":1e999}`,
    "temperature",
  ],
  ["top_p 0", ask({ top_p: 0 }), "top_p"],
  ["n 0", ask({ n: 0 }), "n"],
  ["n too high", ask({ n: 1e6 }), "n"],
  ["half a token", ask({ max_tokens: 1.5 }), "max_tokens"],
  ["no token", ask({ max_tokens: 0 }), "max_tokens"],
  ["more tokens than the context", ask({ max_tokens: 1e9 }), "max_tokens"],
  ["two maxima", ask({ max_tokens: 1, max_completion_tokens: 2 }), "max_completion_tokens"],
  ["an empty stop", ask({ stop: "" }), "stop"],
  ["five stops", ask({ stop: ["a", "b", "c", "d", "e"] }), "stop"],
  ["a bias for no token", ask({ logit_bias: { 99999999: 1 } }), "logit_bias"],
  ["a bias for a word", ask({ logit_bias: { cat: 1 } }), "logit_bias.cat"],
  ["a bias too strong", ask({ logit_bias: { 5: 1000 } }), "logit_bias.5"],
  ["top_logprobs alone", ask({ top_logprobs: 2 }), "top_logprobs"],
  ["too many top_logprobs", ask({ logprobs: true, top_logprobs: 21 }), "top_logprobs"],
  ["stream_options without stream", ask({ stream_options: { include_usage: true } }), "stream_options"],
  ["XML as a format", ask({ response_format: { type: "xml" } }), "response_format.type"],
  [
    "a schema as a format",
    ask({ response_format: { type: "json_schema", json_schema: {} } }),
    "response_format.json_schema.name",
  ],
  ["tools", ask({ tools: [{ type: "function", function: { name: "f" } }] }), "tools"],
  [
    "a picture's place holder in text",
    ask({ messages: [{ role: "user", content: "<image>" }] }),
    "messages[0].content",
  ],
  ["far too long a text", ask({ messages: [{ role: "user", content: "word ".repeat(60_000) }] }), "messages"],
  [
    "a text longer than the context",
    ask({ messages: [{ role: "user", content: "word ".repeat(5000) }] }),
    "messages",
  ],
  ["too many messages", ask({ messages: Array(300).fill(hello[0]) }), "messages"],
  ["too many pictures", chatBody("What?", Array(4).fill(snow)), "messages"],
  ["a picture as a file", picture("file:///etc/passwd"), "messages[0].content[0].image_url"],
  ["a picture as a path", picture("/etc/passwd"), "messages[0].content[0].image_url"],
  ["a picture by address", picture("https://example.org/cat.png"), "messages[0].content[0].image_url"],
  ["a picture on this machine", picture("http://127.0.0.1:22/"), "messages[0].content[0].image_url"],
  [
    "a data URI that is no picture",
    picture("data:text/html;base64,PGI+"),
    "messages[0].content[0].image_url",
  ],
  ["a data URI without base64", picture("data:image/png,abc"), "messages[0].content[0].image_url"],
  ["broken base64", picture("data:image/png;base64,!!!!"), "messages[0].content[0].image_url"],
  ["an empty picture", picture("data:image/png;base64,"), "messages[0].content[0].image_url"],
  [
    "random bytes as a picture",
    picture("data:image/png;base64,AAAAAAAAAAAAAAAA"),
    "messages[0].content[0].image_url",
  ],
  ["half a picture", picture(snow.slice(0, 9000)), "messages[0].content[0].image_url"],
  ["a picture that would fill memory", picture(png(60_000, 60_000)), "messages[0].content[0].image_url"],
  ["a picture without a size", picture(png(0, 0)), "messages[0].content[0].image_url"],
  [
    "an SVG that reads a file",
    picture(
      `data:image/svg+xml;base64,${Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>').toString("base64")}`,
    ),
    "messages[0].content[0].image_url",
  ],
  [
    "a large picture file",
    picture(`data:image/png;base64,${"A".repeat(80_000)}`),
    "messages[0].content[0].image_url",
  ],
  ["an address that is no text", picture({ a: 1 }), "messages[0].content[0].image_url.url"],
  ["a body over the limit", ask({ user: "x".repeat(2 ** 20) }), null, 413],
];

describe("POST /v1/chat/completions refuses", () => {
  test.each(BAD)("%s", async (_, body, param, status = 400) => {
    const error = await refusal(await post("/v1/chat/completions", body));
    expect(error).toMatchObject({ status, param, type: "invalid_request_error" });
    if (param !== null && status === 400) expect(error.message).toContain(param);
  });

  test("bytes that are no UTF-8", async () => {
    const body = new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]);
    const response = await app.request("http://127.0.0.1/v1/chat/completions", {
      ...{ method: "POST", body, headers: { "Content-Type": "application/json" } },
    });
    expect(await refusal(response)).toMatchObject({ status: 400, code: "invalid_json" });
  });

  test("what a page from elsewhere can send without asking: other content types", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"]) {
      const response = await post("/v1/chat/completions", ask({}), { headers: { "Content-Type": type } });
      expect((await refusal(response)).status).toBe(415);
    }
  });

  test("and then still answers", async () => {
    expect((await post("/v1/chat/completions", chatBody("Hello", [snow], { max_tokens: 1 }))).status).toBe(
      200,
    );
    expect(service.admission.running).toBe(0);
  });
});

describe("POST /v1/completions refuses", () => {
  test.each([
    ["no prompt", {}, "prompt"],
    ["an empty prompt list", { prompt: [] }, "prompt"],
    ["a picture's token", { prompt: [1, 1500] }, "prompt"],
    ["no token of the model", { prompt: [1536] }, "prompt"],
    ["echo", { prompt: "x", echo: true }, "echo"],
    ["suffix", { prompt: "x", suffix: "y" }, "suffix"],
    ["best_of", { prompt: "x", best_of: 2 }, "best_of"],
    ["too many prompts", { prompt: Array(17).fill("x") }, "n"],
    ["messages", { prompt: "x", messages: hello }, "messages"],
  ])("%s", async (_, body, param) => {
    const error = await refusal(await post("/v1/completions", { model: "llava-demo", ...body }));
    expect(error).toMatchObject({ status: 400, param });
  });
});

test("null is as good as leaving a field out", async () => {
  const body = ask({
    temperature: null,
    stop: null,
    n: null,
    max_tokens: 1,
    response_format: { type: "text" },
  });
  expect((await post("/v1/chat/completions", body)).status).toBe(200);
});

describe("other addresses", () => {
  test("what is not there, and what is not answered", async () => {
    for (const path of [
      "/v1/embeddings",
      "/../etc/passwd",
      "/page/%2e%2e/app.js",
      "/v1/models/gpt-4o",
      "/x".repeat(5000),
    ]) {
      expect((await refusal(await app.request(`http://127.0.0.1${path}`))).status).toBe(404);
    }
    for (const [method, path] of [
      ["GET", "/v1/chat/completions"],
      ["DELETE", "/v1/models"],
      ["POST", "/"],
    ]) {
      expect((await refusal(await app.request(`http://127.0.0.1${path}`, { method }))).status).toBe(405);
    }
  });

  test("figures do not grow with addresses that clients make up", async () => {
    for (let i = 0; i < 5; i++) await app.request(`http://127.0.0.1/made-up-${i}`);
    const figures = await (await app.request("http://127.0.0.1/metrics")).text();
    expect(figures).not.toContain("made-up");
    expect(figures).toContain('llava_requests_total{path="other",status="404"}');
  });
});
