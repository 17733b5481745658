import Ajv from "ajv/dist/2020.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createApp } from "../../server/app.ts";
import type { Service } from "../../server/service.ts";
import { dataUri, demoService, type Post, poster } from "./support.ts";

const schema = {
  type: "object",
  properties: {
    things: { type: "array", items: { enum: ["cat", "sun", "butterfly", "sunflower", "dog"] }, maxItems: 5 },
    where: { type: "string", maxLength: 30 },
    day: { type: "boolean" },
  },
  required: ["things", "day"],
  additionalProperties: false,
};
const validate = new Ajv.default().compile(schema);

let service: Service;
let post: Post;
let content: unknown;
beforeAll(async () => {
  ({ service } = demoService());
  post = poster(createApp(service));
  content = [
    { type: "image_url", image_url: { url: await dataUri("garden.jpg") } },
    { type: "text", text: "Describe this picture." },
  ];
});
afterAll(() => service.close());

function request(more: object): object {
  return { model: "llava-demo", messages: [{ role: "user", content }], max_tokens: 60, ...more };
}

const format = { type: "json_schema", json_schema: { name: "scene", strict: true, schema } };

test("json_schema: every answer is of the schema, whole", async () => {
  const body = request({ response_format: format, n: 4, temperature: 1.5, seed: 3 });
  const { choices } = await (await post("/v1/chat/completions", body)).json();
  expect(choices.length).toBe(4);
  for (const { message, finish_reason } of choices) {
    expect(validate(JSON.parse(message.content)), message.content).toBe(true);
    expect(finish_reason).toBe("stop");
  }
});

test("json_schema: streamed as whole", async () => {
  const whole = await (await post("/v1/chat/completions", request({ response_format: format }))).json();
  const streamed = await post("/v1/chat/completions", request({ response_format: format, stream: true }));
  const events = (await streamed.text()).split("\n\n").filter((line) => line.startsWith("data: {"));
  const deltas = events.map((line) => JSON.parse(line.slice(6)).choices[0].delta.content ?? "");
  expect(deltas.join("")).toBe(whole.choices[0].message.content);
  expect(validate(JSON.parse(deltas.join("")))).toBe(true);
});

test("json_object: an object, also where there is little room", async () => {
  for (const max_tokens of [6, 24]) {
    const body = request({ response_format: { type: "json_object" }, max_tokens });
    const { choices } = await (await post("/v1/chat/completions", body)).json();
    expect(JSON.parse(choices[0].message.content)).toBeTypeOf("object");
    expect(choices[0].finish_reason).toBe("stop");
  }
});

test.each([
  [{ type: "xml" }, "response_format.type"],
  [{ type: "json_schema" }, "response_format.json_schema"],
  [{ type: "json_schema", json_schema: { name: "a b", schema: {} } }, "response_format.json_schema.name"],
  [
    { type: "json_schema", json_schema: { name: "a", schema: { type: "array", uniqueItems: true } } },
    "response_format.json_schema",
  ],
])("%j is refused, naming the field", async (response_format, param) => {
  for (const stream of [false, true]) {
    const response = await post("/v1/chat/completions", request({ response_format, stream }));
    expect(response.status).toBe(400);
    expect((await response.json()).error.param).toBe(param);
  }
});
