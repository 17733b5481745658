import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { OptionError } from "../../src/base/errors.ts";
import { VectorDevice } from "../../src/devices/vector/vector_device.ts";
import type { GenerateOptions } from "../../src/generation/generate_options.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { answer, COMMON, words } from "./answers.ts";
import { CHECKPOINTS, Expected, folderOf, type Pictures, rowsAreAlone } from "./expected.ts";

const PAGE = 64;
/** Bytes of a page of `hub-f32`: keys and values, layers, tokens, heads, numbers of a head. */
const PAGE_BYTES = 2 * 3 * PAGE * 2 * 10 * 4;
/** Rows of a page that are taken over at least. */
const LEAST = 4;

/** Rows that are not computed again, of `rows` that were computed before. */
function kept(rows: number): number {
  return rows % PAGE < LEAST ? rows - (rows % PAGE) : rows;
}

/** A prompt, and its pictures. */
type Prompt = { input_ids: number[][] } & Partial<Pictures>;

async function open(checkpoint: string, more: object = {}): Promise<LlavaForConditionalGeneration> {
  return LlavaForConditionalGeneration.from_pretrained(folderOf(checkpoint), { threads: 1, ...more });
}

/** What pictures and prompts have saved since the last time. */
class Savings {
  readonly #model: LlavaForConditionalGeneration;
  #tokens = 0;
  #pictures = 0;

  constructor(model: LlavaForConditionalGeneration) {
    this.#model = model;
    this.since();
  }

  since(): { tokens: number; pictures: number } {
    const { prompts, pictures } = this.#model.caches;
    const since = { tokens: prompts.tokens - this.#tokens, pictures: pictures.hits - this.#pictures };
    [this.#tokens, this.#pictures] = [prompts.tokens, pictures.hits];
    return since;
  }
}

/** Rows of a fixture with so much text around them that they take several pages. Row 0 has two pictures, row 1 one. */
function longPrompts(expected: Expected): { two: Prompt; one: Prompt; swapped: Prompt } {
  const { input_ids, attention_mask } = expected.facts;
  const rows = input_ids.map((row, b) => row.slice(attention_mask[b].indexOf(1)));
  const around = (row: number[]): number[][] => [[...words("before", 71), ...row, ...words("after", 75)]];
  const both = expected.pictures();
  const { shape, data } = both.pixel_values;
  const size = data.length / shape[0];
  const part = (n: number) => (data as Float32Array).slice(n * size, (n + 1) * size);
  const pictures = (...order: number[]): Pictures => {
    const pixels = Float32Array.from(order.flatMap((n) => Array.from(part(n))));
    const image_sizes = both.image_sizes && { image_sizes: order.map((n) => both.image_sizes?.[n] ?? []) };
    return { pixel_values: new Tensor("float32", [order.length, ...shape.slice(1)], pixels), ...image_sizes };
  };
  const one = { input_ids: around(rows[1]) };
  return {
    two: { input_ids: around(rows[0]), ...pictures(0, 1) },
    one: { ...one, ...pictures(2) },
    // As long as the picture has as many rows
    swapped: { ...one, ...pictures(both.image_sizes ? 2 : 1) },
  };
}

describe.each([
  // What differs in nothing but its layout, or its tower alone, is left out.
  ...CHECKPOINTS.filter((name) => !/^v|siglip-mistral/.test(name)).map(
    (checkpoint) => [checkpoint, {}] as const,
  ),
  ["hub-f32", { device: "wasm" }] as const,
  ["clip-mistral-f32", { device: "reference" }] as const,
  ["siglip-qwen2-bf16", { dtype: "q8" }] as const,
  ["hub-f32", { dtype: "q4" }] as const,
  ["hub-f32", { dtype: "bfloat16" }] as const,
])("prompts of %s %j", (checkpoint, options) => {
  test("give the same bits whether or not their beginnings were computed before", async () => {
    const prompts = longPrompts(await Expected.read(checkpoint));
    const cold = await open(checkpoint, { promptCacheBytes: 0, pictureCacheBytes: 0, ...options });
    const warm = await open(checkpoint, options);
    const savings = new Savings(warm);
    const fixed = rowsAreAlone(checkpoint);
    for (const [name, prompt] of Object.entries(prompts)) {
      const alone = await answer(cold, prompt);
      expect(await answer(warm, prompt), name).toEqual(alone);
      savings.since();
      expect(await answer(warm, prompt), `${name} again`).toEqual(alone);
      const { tokens, pictures } = savings.since();
      expect(tokens, name).toBe(fixed ? kept(prompt.input_ids[0].length - 1) : 0);
      expect(pictures, name).toBe(prompt.pixel_values?.shape[0]);
      // The rest is another.
      const other = { ...prompt, input_ids: [[...prompt.input_ids[0].slice(0, -70), ...words("other", 77)]] };
      expect(await answer(warm, other), `${name}, otherwise`).toEqual(await answer(cold, other));
      savings.since();
    }
    expect(cold.caches.prompts).toEqual({ hits: 0, misses: 0, tokens: 0, bytes: 0, limit: 0 });
    expect(cold.caches.pictures).toMatchObject({ hits: 0, misses: 0, pictures: 0, bytes: 0, limit: 0 });
    await cold.dispose();
    await warm.dispose();
  });
});

describe("what prompts have in common", () => {
  let expected: Expected;
  let cold: LlavaForConditionalGeneration;
  let model: LlavaForConditionalGeneration;
  let savings: Savings;
  /** 71 tokens, a picture of 25 rows, some words. */
  let prompt: Prompt;

  beforeAll(async () => {
    expected = await Expected.read("hub-f32");
    cold = await open("hub-f32", { promptCacheBytes: 0, pictureCacheBytes: 0 });
    prompt = longPrompts(expected).one;
  });
  afterAll(() => Promise.all([cold.dispose(), model.dispose()]));

  async function fresh(more: object = {}): Promise<void> {
    await model?.dispose();
    model = await open("hub-f32", more);
    savings = new Savings(model);
  }

  /** Tokens of the prompt that come before its picture. */
  function beforePicture(): number {
    return prompt.input_ids[0].indexOf(model.config.image_token_index);
  }

  async function same(
    options: GenerateOptions,
    what?: string,
  ): Promise<{ tokens: number; pictures: number }> {
    expect(await answer(model, options), what).toEqual(await answer(cold, options));
    return savings.since();
  }

  test("ends at another picture, though the ids are the same", async () => {
    await fresh();
    await same(prompt);
    const { swapped } = longPrompts(expected);
    expect(swapped.input_ids).toEqual(prompt.input_ids);
    const before = beforePicture();
    expect(before % PAGE).toBeGreaterThan(LEAST);
    expect(await same(swapped)).toEqual({ tokens: before, pictures: 0 });
    const { data, shape } = prompt.pixel_values as Tensor;
    const nudged = (data as Float32Array).slice();
    nudged[nudged.length - 1] += 1e-6;
    expect(await same({ ...prompt, pixel_values: new Tensor("float32", shape, nudged) })).toEqual({
      tokens: before,
      pictures: 0,
    });
    // Features that are given are known by their content, too.
    const features = await model.get_image_features({ pixel_values: prompt.pixel_values as Tensor });
    const given = { input_ids: prompt.input_ids, mm_encoder_outputs: { image: features } };
    expect((await same(given)).tokens).toBe(before);
    expect((await same(given)).tokens).toBe(kept(prompt.input_ids[0].length - 1));
  });

  test("ends where another layer of the tower is looked at", async () => {
    await fresh();
    await same(prompt);
    const other = { ...prompt, vision_feature_layer: -1 };
    expect(await same(other)).toEqual({ tokens: beforePicture(), pictures: 0 });
  });

  test("is at most all but the last token, whose logits are wanted", async () => {
    await fresh();
    for (const length of [1, LEAST, LEAST + 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 1, 150]) {
      const input_ids = [words(`a${length}`, length)];
      await same({ input_ids });
      expect(await same({ input_ids }), `${length}`).toEqual({
        tokens: kept(length - 1),
        pictures: 0,
      });
    }
  });

  test("reaches into what was answered", async () => {
    await fresh();
    const first = words("question", 61);
    const max_new_tokens = 10;
    const [row] = (
      await model.generate({ ...COMMON, input_ids: [first], max_new_tokens })
    ).tolist() as number[][];
    savings.since();
    // The last token has been chosen, but not computed.
    expect((await same({ input_ids: [[...row, ...words("and", 9)]] })).tokens).toBe(61 + max_new_tokens - 1);
  });

  test.each([
    [30, 10, 1],
    [61, 10, 2],
    [70, 70, 3],
  ])(
    "of a prompt of %i tokens and an answer of %i is kept once, in %i pages",
    async (length, max_new_tokens, pages) => {
      await fresh();
      await same({ input_ids: [words("alone", length)], max_new_tokens });
      expect(model.caches.prompts.bytes).toBe(pages * PAGE_BYTES);
    },
  );

  test("is computed once for the rows of a batch, padded as they may be", async () => {
    await fresh();
    const row = words("system", 150);
    const rows = [words("1", 3), words("2", 20), words("3", 11)].map((tail) => [...row, ...tail]);
    const width = Math.max(...rows.map(({ length }) => length));
    const batch = {
      input_ids: rows.map((ids) => [...Array<number>(width - ids.length).fill(0), ...ids]),
      attention_mask: rows.map((ids) => [
        ...Array<number>(width - ids.length).fill(0),
        ...Array<number>(ids.length).fill(1),
      ]),
    };
    expect((await same(batch)).tokens).toBe(2 * row.length);
    const lengths = rows.map(({ length }) => kept(length - 1));
    expect((await same(batch)).tokens).toBe(lengths[0] + lengths[1] + lengths[2]);
    expect((await same({ input_ids: [rows[1]] })).tokens).toBe(lengths[1]);
  });

  test.each([undefined, 16, 50])(
    "is computed once for calls that come together, in chunks of %s",
    async (chunk) => {
      await fresh();
      const alike = prompt.input_ids[0].slice(0, -20);
      const calls = ["x", "y", "z"].map((tail) => ({
        ...prompt,
        input_ids: [[...alike, ...words(tail, 20)]],
        prefill_chunk_size: chunk,
      }));
      const together = await Promise.all(calls.map((call) => answer(model, call)));
      // Full pages are waited for; what comes after them is there where the prompt was computed at once.
      const tokens = 2 * (chunk ? 2 * PAGE : alike.length);
      expect(savings.since()).toEqual({ tokens, pictures: 2 });
      for (const [i, call] of calls.entries()) expect(together[i]).toEqual(await answer(cold, call));
    },
  );

  test("stays right where the call that computed it is stopped half way", async () => {
    await fresh();
    const controller = new AbortController();
    // Its tokens tell the time: one for each step.
    let steps = 0;
    const clock = model.generate({
      ...COMMON,
      input_ids: [[5, 6]],
      max_new_tokens: 12,
      stopping_criteria: [
        () => {
          if (++steps === 6) controller.abort(new Error("enough"));
          return false;
        },
      ],
    });
    const text = { input_ids: [words("slow", 200)] };
    const slow = { ...text, prefill_chunk_size: 16 };
    const stopped = model.generate({ ...COMMON, ...slow, signal: controller.signal });
    const behind = answer(model, text);
    await expect(stopped).rejects.toThrow("enough");
    expect(await behind).toEqual(await answer(cold, text));
    await clock;
    // One page was full by then.
    expect(savings.since().tokens).toBe(PAGE);
    expect((await same(text)).tokens).toBe(kept(200 - 1));
  });

  test("is not used where the prompt's own rows are to be seen, or nothing is to be kept", async () => {
    await fresh();
    await same(prompt);
    const seen = { ...prompt, output_hidden_states: true, return_dict_in_generate: true } as const;
    const states = async (of: LlavaForConditionalGeneration) =>
      (await of.generate({ ...COMMON, ...seen })).hidden_states?.[0].map(({ shape }) => shape);
    expect(await states(model)).toEqual(await states(cold));
    expect((await same({ ...prompt, use_cache: false })).tokens).toBe(0);
    const embeds = expected.tensor("text.embeds");
    const repeated = Array.from({ length: 100 }, () => Array.from(embeds.data as Float32Array)).flat();
    const [, L, D] = embeds.shape;
    const inputs_embeds = new Tensor("float32", [1, 100 * L, D], repeated);
    for (let i = 0; i < 2; i++) {
      await model.generate({ ...COMMON, inputs_embeds });
      expect(savings.since().tokens).toBe(0);
    }
  });

  test("is copied before a cache that shares it is written to", async () => {
    await fresh();
    await same(prompt);
    const { past_key_values: past } = await model.generate({
      ...COMMON,
      ...prompt,
      return_dict_in_generate: true,
    });
    const all = kept(prompt.input_ids[0].length - 1);
    expect(savings.since().tokens).toBe(all);
    // Back into the middle of a page that others share, and on with something else.
    past?.crop(100 - past.get_seq_length());
    const input_ids = [words("something else", 40)];
    await model({ input_ids, past_key_values: past });
    past?.dispose();
    expect((await same(prompt)).tokens).toBe(all);
  });

  test("is given up where there is no room for a copy of it", async () => {
    await fresh();
    const like = { input_ids: [[...words("first", 30), ...words("other", 9)]] };
    const alone = await answer(cold, like);
    await model.generate({ ...COMMON, input_ids: [words("first", 40)] });
    // The pool has four pages: the others are in use, and it cannot grow.
    const others = ["second", "third", "fourth"].map((seed) => ({ input_ids: [words(seed, 40)] }));
    const used = await Promise.all(
      others.map((other) => model.generate({ ...COMMON, ...other, return_dict_in_generate: true })),
    );
    const allocating = vi.spyOn(VectorDevice.prototype, "allocate").mockImplementation(() => {
      throw new RangeError("out of memory");
    });
    expect(await answer(model, like)).toEqual(alone);
    expect(savings.since().tokens).toBe(30);
    allocating.mockRestore();
    for (const { past_key_values } of used) past_key_values?.dispose();
  });

  test("serves beams, samples and drafts as well", async () => {
    await fresh();
    const settings = [
      { num_beams: 3, num_return_sequences: 2 },
      { do_sample: true, seed: 7, num_return_sequences: 3 },
      { prompt_lookup_num_tokens: 3, max_new_tokens: 9 },
      { cache_implementation: "static", eos_token_id: null },
    ];
    for (const more of settings) {
      const options = { ...COMMON, ...prompt, ...more };
      const alone = (await cold.generate(options)).tolist();
      for (let i = 0; i < 2; i++) expect((await model.generate(options)).tolist()).toEqual(alone);
    }
    expect(savings.since().tokens).toBe(7 * kept(prompt.input_ids[0].length - 1));
  });

  test("takes memory up to its limit, and gives up what was used longest ago", async () => {
    await fresh({ promptCacheBytes: 1 });
    const ask = (seed: string) => same({ input_ids: [words(seed, 3 * PAGE)] }, seed);
    await ask("a");
    const bytes = model.deviceBytes;
    for (const seed of ["b", "c", "d", "e"]) await ask(seed);
    expect(model.deviceBytes).toBe(bytes);
    expect(model.caches.prompts.bytes).toBeLessThanOrEqual(4 * PAGE_BYTES);
    expect((await ask("e")).tokens).toBe(3 * PAGE - 1);
    expect((await ask("a")).tokens).toBe(0);

    const limit = 11 * PAGE_BYTES;
    await fresh({ promptCacheBytes: limit });
    for (const seed of ["a", "b", "c", "d", "e"]) await ask(seed);
    expect((await ask("e")).tokens).toBe(3 * PAGE - 1);
    expect((await ask("d")).tokens).toBe(3 * PAGE - 1);
    expect((await ask("a")).tokens).toBe(0);
    expect(model.caches.prompts).toMatchObject({ limit, hits: 2, misses: 6 });
    expect(model.caches.prompts.bytes).toBeLessThanOrEqual(limit);
  });

  test("is never taken from calls that run", async () => {
    await fresh({ promptCacheBytes: 1 });
    const calls = ["a", "b", "c", "d"].map((seed) => ({ input_ids: [words(seed, 150)], max_new_tokens: 60 }));
    const together = await Promise.all(calls.map((call) => answer(model, call)));
    for (const [i, call] of calls.entries()) expect(together[i]).toEqual(await answer(cold, call));
  });

  test("can be forgotten, and is gone with the model", async () => {
    await fresh();
    await same(prompt);
    const { prompts, pictures } = model.caches;
    expect(prompts.bytes).toBeGreaterThan(0);
    expect(pictures).toMatchObject({ pictures: 1, misses: 1, bytes: 25 * 32 * 4 });
    model.clearCaches();
    expect(model.caches.prompts.bytes).toBe(0);
    expect(model.caches.pictures).toMatchObject({ pictures: 0, bytes: 0 });
    expect(await same(prompt)).toEqual({ tokens: 0, pictures: 0 });
    const all = kept(prompt.input_ids[0].length - 1);
    expect(await same(prompt)).toEqual({ tokens: all, pictures: 1 });
    await model.dispose();
    expect(model.caches.prompts.bytes).toBe(0);
    expect(model.deviceBytes).toBe(0);
  });

  test.each([-1, 1.5, "12"])("a limit of %j bytes is refused by name", async (bytes) => {
    await expect(open("hub-f32", { promptCacheBytes: bytes })).rejects.toThrow(/promptCacheBytes/);
    await expect(open("hub-f32", { pictureCacheBytes: bytes })).rejects.toThrow(OptionError);
  });
});
