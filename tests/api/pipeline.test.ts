import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  AutoModelForImageTextToText,
  AutoProcessor,
  GenerationConfig,
  ImageTextToTextPipeline,
  LlavaForConditionalGeneration,
  load_image,
  OptionError,
  type PipelineCallOptions,
  type PipelineInputs,
  pipeline,
  Tensor,
  UnsupportedError,
} from "../../src/index.ts";

const FIXTURE = new URL("../fixtures/api/pipeline.json", import.meta.url);
const PICTURES = new URL("../../checkpoints/llava-demo/pictures/", import.meta.url);

interface Case {
  name: string;
  settings: Record<string, unknown>;
  positional: unknown[];
  named: Record<string, unknown>;
  result?: unknown;
  error?: string;
}

const { cases } = JSON.parse(await readFile(FIXTURE, "utf8")) as { cases: Case[] };

let model: LlavaForConditionalGeneration;
let processor: Awaited<ReturnType<typeof AutoProcessor.from_pretrained>>;
beforeAll(async () => {
  model = await LlavaForConditionalGeneration.from_pretrained("llava-demo", { dtype: "float32" });
  processor = await AutoProcessor.from_pretrained("llava-demo");
});
afterAll(() => model.dispose());

const pathOf = (name: string): string => fileURLToPath(new URL(name, PICTURES));

/** What the fixture's markers stand for. */
async function fill(value: unknown): Promise<unknown> {
  if (Array.isArray(value)) return Promise.all(value.map(fill));
  if (typeof value !== "object" || value === null) return value;
  const [[key, inner], ...more] = [...Object.entries(value), ["", undefined]];
  if (more.length === 1 && key === "picture") return pathOf(inner as string);
  if (more.length === 1 && key === "decoded") return load_image(pathOf(inner as string));
  if (more.length === 1 && key === "generation_config")
    return { generation_config: new GenerationConfig(inner) };
  const entries = await Promise.all(
    Object.entries(value).map(async ([name, part]) => [name, await fill(part)] as const),
  );
  return Object.fromEntries(entries);
}

/** The result as it was recorded. */
function plain(value: unknown): unknown {
  if (value instanceof Tensor) return value.tolist();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "string" && value.startsWith(pathOf(""))) return { picture: value.split("/").pop() };
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
}

function call(pipe: ImageTextToTextPipeline, positional: unknown[], named: unknown): Promise<unknown> {
  const options = named as PipelineCallOptions;
  return positional.length > 0 ? pipe(positional[0] as PipelineInputs, options) : pipe(options);
}

test.each(cases.filter(({ result }) => result !== undefined))(
  "$name",
  async ({ settings, positional, named, result }) => {
    const pipe = new ImageTextToTextPipeline({ model, processor, ...settings });
    const [args, options] = await Promise.all([fill(positional), fill(named)]);
    expect(plain(await call(pipe, args as unknown[], options))).toEqual(result);
  },
);

test.each(cases.filter(({ error }) => error !== undefined))(
  "$name: an error",
  async ({ positional, named }) => {
    const pipe = new ImageTextToTextPipeline({ model, processor });
    const [args, options] = await Promise.all([fill(positional), fill(named)]);
    await expect(call(pipe, args as unknown[], options)).rejects.toThrow(OptionError);
  },
);

const QUESTION = [
  {
    role: "user",
    content: [
      { type: "image", path: pathOf("garden.jpg") },
      { type: "text", text: "What is in the picture?" },
    ],
  },
];

test("pipeline() loads model and processor, and hands its settings on", async () => {
  const pipe = await pipeline("image-text-to-text", {
    model: "llava-demo",
    dtype: "float32",
    max_new_tokens: 4,
  });
  try {
    expect(pipe.model).toBeInstanceOf(LlavaForConditionalGeneration);
    expect(pipe.task).toBe("image-text-to-text");
    const [short] = await pipe(QUESTION, { return_tensors: true });
    const [long] = await pipe(QUESTION, { return_tensors: true, max_new_tokens: 6 });
    expect(long.generated_token_ids.data.length - short.generated_token_ids.data.length).toBe(2);
  } finally {
    await pipe.dispose();
  }
});

test("pipeline() takes a model that is loaded already", async () => {
  const pipe = await pipeline("image-text-to-text", { model, processor, return_full_text: false });
  expect(pipe.model).toBe(model);
  const [{ generated_text }] = await pipe(QUESTION, { max_new_tokens: 5, return_full_text: false });
  const own = new ImageTextToTextPipeline({ model, processor });
  const [full] = await own(QUESTION, { max_new_tokens: 5 });
  expect(full.generated_text[1].content).toBe(generated_text);
  const byName = await pipeline("image-text-to-text", { model, max_new_tokens: 5 });
  expect(await byName(QUESTION)).toEqual([full]);
});

test("several items at once give what they give one by one", async () => {
  const pipe = new ImageTextToTextPipeline({ model, processor, max_new_tokens: 6 });
  const chats = [QUESTION, [...QUESTION, { role: "assistant", content: [{ type: "text", text: "I see" }] }]];
  expect(await pipe(chats, { batch_size: 2 })).toEqual(await pipe(chats));
});

test("what cannot be is said", async () => {
  await expect(pipeline("translation")).rejects.toThrow(/expected the task "image-text-to-text"/);
  await expect(pipeline("image-text-to-text", { device_map: "auto" })).rejects.toThrow(UnsupportedError);
  const pipe = new ImageTextToTextPipeline({ model, processor });
  await expect(pipe(QUESTION, { max_new_token: 3 })).rejects.toThrow(/unknown option 'max_new_token'/);
  await expect(pipe(QUESTION, { batch_size: 0 })).rejects.toThrow(/batch_size/);
  await expect(pipe(QUESTION, { timeout: -1 })).rejects.toThrow(/timeout/);
  const plain = [{ role: "assistant", content: "The picture" }];
  await expect(pipe(plain)).rejects.toThrow(/continue_final_message/);
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(pipe(QUESTION, { signal })).rejects.toThrow("enough");
  const untyped: Promise<unknown> = pipe({ images: pathOf("garden.jpg") });
  await expect(untyped).rejects.toThrow(OptionError);
});

test("AutoModelForImageTextToText opens LLaVA, and says what else it is given", async () => {
  const found = await AutoModelForImageTextToText.from_pretrained("llava-demo", { dtype: "q8" });
  expect(found).toBeInstanceOf(LlavaForConditionalGeneration);
  expect(found.dtype).toBe("q8");
  await found.dispose();
  expect(() => new AutoModelForImageTextToText()).toThrow(OptionError);
});
