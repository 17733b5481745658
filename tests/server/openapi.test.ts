import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createApp } from "../../server/app.ts";
import { chatBody, dataUri, demoService, events, poster } from "./support.ts";

interface Content {
  "application/json": { schema: object };
  "text/event-stream"?: { "x-chunk": object };
}

interface Operation {
  requestBody?: { content: Content };
  responses: Record<string, { content: Content }>;
}

const { service } = demoService();
const app = createApp(service);
const post = poster(app);
const snow = await dataUri("snow.jpg");
const ajv = new Ajv2020({ strict: false });
let paths: Record<string, { post?: Operation; get?: Operation }>;

beforeAll(async () => {
  const response = await app.request("http://127.0.0.1/openapi.json");
  paths = ((await response.json()) as { paths: typeof paths }).paths;
  await service.warmUp();
});
afterAll(() => service.pool.dispose());

/** @throws where the value is not as the document says */
function check(schema: object, value: unknown): void {
  const validate = ajv.compile(schema);
  if (!validate(value)) throw new Error(`${ajv.errorsText(validate.errors)}: ${JSON.stringify(value)}`);
}

const CHAT = "/v1/chat/completions";
const TEXT = "/v1/completions";

test.each([
  [CHAT, () => chatBody("What is this?", [snow], { max_tokens: 3 })],
  [CHAT, () => chatBody("What is this?", [snow], { max_tokens: 3, logprobs: true, top_logprobs: 2, n: 2 })],
  [TEXT, () => ({ model: "llava-demo", prompt: "USER: Hello ASSISTANT:", max_tokens: 3 })],
  [TEXT, () => ({ model: "llava-demo", prompt: ["a", "b c"], max_tokens: 3, logprobs: 2 })],
])("%s answers as /openapi.json says, whole and streamed", async (path, make) => {
  const { requestBody, responses } = paths[path].post as Operation;
  const body = make();
  check(requestBody?.content["application/json"].schema ?? {}, body);
  check(responses[200].content["application/json"].schema, await (await post(path, body)).json());
  const all = await events(
    await post(path, { ...body, stream: true, stream_options: { include_usage: true } }),
  );
  expect(all.length).toBeGreaterThan(3);
  const chunk = responses[200].content["text/event-stream"]?.["x-chunk"] ?? {};
  for (const data of all.slice(0, -1)) check(chunk, JSON.parse(data));
});

test("so do models and health, and what is refused", async () => {
  const get = async (path: string): Promise<unknown> => (await app.request(`http://127.0.0.1${path}`)).json();
  const reply = (path: string, status: string): object =>
    ((paths[path].get ?? paths[path].post) as Operation).responses[status].content["application/json"].schema;
  check(reply("/v1/models", "200"), await get("/v1/models"));
  check(reply("/v1/models/{model}", "200"), await get("/v1/models/llava-demo"));
  check(reply("/v1/models/{model}", "4XX"), await get("/v1/models/other"));
  check(reply("/health", "200"), await get("/health"));
  check(reply(CHAT, "4XX"), await (await post(CHAT, { model: "llava-demo" })).json());
  check(reply(CHAT, "4XX"), await (await post(CHAT, "{")).json());
});

test("the document tells a reply that is none", () => {
  const { schema } = (paths[CHAT].post as Operation).responses[200].content["application/json"];
  expect(() => check(schema, { object: "chat.completion", choices: [] })).toThrow();
});
