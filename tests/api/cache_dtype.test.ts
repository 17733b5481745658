import { readFile } from "node:fs/promises";
import { afterEach, describe, expect, test } from "vitest";
import { DynamicCache, LlavaForConditionalGeneration, OptionError, type Tensor } from "../../src/index.ts";
import { Expected, errorOf, folderOf } from "../models/expected.ts";

let model: LlavaForConditionalGeneration | undefined;
afterEach(async () => {
  await model?.dispose();
  model = undefined;
});

async function open(name: string, options: object = {}): Promise<LlavaForConditionalGeneration> {
  model = await LlavaForConditionalGeneration.from_pretrained(folderOf(name), { threads: 1, ...options });
  return model;
}

describe("cacheDtype", () => {
  test.each([
    ["auto", undefined, "float32"],
    ["float32", "auto", "float32"],
    ["float16", "auto", "float32"],
    ["bfloat16", "auto", "float16"],
    ["q8", "auto", "float16"],
    ["q4", undefined, "float16"],
    ["q4", "float32", "float32"],
    ["float32", "q8", "q8"],
  ])("weights in %s, %s: keys and values in %s", async (dtype, cacheDtype, expected) => {
    const { cacheDtype: got } = await open("v452-bf16-shards", { dtype, cacheDtype });
    expect(got).toBe(expected);
  });

  test.each(["q4", "int8", "bfloat16", 8, null])("%s is refused by name", async (cacheDtype) => {
    const error = await open("hub-f32", { cacheDtype }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(OptionError);
    expect(String(error)).toMatch(/cacheDtype: expected one of auto, float32, float16, q8, got/);
  });

  test("fewer bits are less memory, in use and kept", async () => {
    const {
      num_hidden_layers: layers,
      num_key_value_heads: heads,
      head_dim,
    } = (await open("hub-f32")).config.text_config;
    const numbers = 2 * layers * heads * (head_dim ?? 0);
    const scales = 2 * layers * heads * 4;
    for (const [cacheDtype, bytes] of [
      ["float32", 4 * numbers],
      ["float16", 2 * numbers],
      ["q8", numbers + scales],
    ] as const) {
      await model?.dispose();
      const { caches, deviceBytes } = await open("hub-f32", { cacheDtype });
      expect(caches.prompts.limit).toBe(4096 * bytes);
      const { past_key_values } = (await model?.forward({ input_ids: [[1, 5, 9]] })) ?? {};
      expect((model?.deviceBytes ?? 0) - deviceBytes).toBe(4 * 64 * bytes);
      past_key_values?.dispose();
    }
  });
});

const recorded: { errors: Record<string, number> } = JSON.parse(
  await readFile(new URL("../fixtures/models/bfloat16_errors.json", import.meta.url), "utf8"),
);

/** The most that float32 with such a cache may err, as a part of what PyTorch errs in bfloat16. */
test.each([
  ["clip-llama-yarn-bf16", "float16", 0.05],
  ["siglip-qwen2-bf16", "float16", 0.05],
  ["pixtral-mistral-bf16", "q8", 1],
  ["v452-bf16-shards", "q8", 1],
] as const)("%s: a cache in %s errs less than PyTorch in bfloat16", async (name, cacheDtype, most) => {
  const expected = await Expected.read(name);
  const { input_ids, attention_mask } = expected.facts;
  const { logits } = await (await open(name, { dtype: "float32", cacheDtype })).forward({
    ...{ input_ids, attention_mask },
    ...expected.pictures(),
  });
  const error = errorOf(logits, expected.tensor("logits"), attention_mask);
  expect(error).toBeLessThan(most * recorded.errors[name]);
  expect(error, "it is rounded").toBeGreaterThan(1e-5);
});

describe.each(["float16", "q8"] as const)("a cache in %s", (cacheDtype) => {
  test("gives a prompt the same answers alone, among others, and from kept pages", async () => {
    const { generate } = await opened();
    const prompts = [101, 102, 103].map((first) =>
      Array.from({ length: 70 }, (_, i) => (first + 7 * i) % 90),
    );
    const together = await generate(prompts);
    for (const [i, prompt] of prompts.entries()) expect(await generate([prompt])).toEqual([together[i]]);
    expect(model?.caches.prompts.hits).toBe(prompts.length);
  });

  test("goes with beams, clones and crops", async () => {
    const { generate, last } = await opened();
    const prompt = Array.from({ length: 66 }, (_, i) => (11 + 5 * i) % 90);
    const beams = { num_beams: 3, num_return_sequences: 3 };
    const found = await generate([prompt], beams);
    expect(new Set(found.map(String)).size).toBe(3);
    expect(await generate([prompt], beams)).toEqual(found);

    const whole = await last(prompt);
    const past = new DynamicCache();
    await last(prompt.slice(0, 61), past);
    const branch = past.clone();
    await last([3, 4, 5], past);
    past.crop(-3);
    expect(await last(prompt.slice(61), past)).toEqual(whole);
    expect(await last(prompt.slice(61), branch)).toEqual(whole);
    for (const cache of [past, branch]) cache.dispose();
  });

  async function opened() {
    const own = await open("hub-f32", { cacheDtype });
    const generate = async (input_ids: number[][], options: object = {}): Promise<number[][]> => {
      const ids = await own.generate({ input_ids, max_new_tokens: 5, eos_token_id: null, ...options });
      return (ids as Tensor).tolist() as number[][];
    };
    /** The logits after the last token. */
    const last = async (ids: number[], past_key_values?: DynamicCache): Promise<number[]> => {
      const { logits } = await own.forward({ input_ids: [ids], past_key_values, logits_to_keep: 1 });
      return Array.from(logits.data, Number);
    };
    return { generate, last };
  }
});
