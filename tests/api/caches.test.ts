import { afterAll, beforeAll, expect, test } from "vitest";
import {
  DynamicCache,
  LlavaForConditionalGeneration,
  OptionError,
  QuantizedCache,
  ShapeError,
  StaticCache,
  UnsupportedError,
} from "../../src/index.ts";
import { expectClose, folderOf } from "../models/expected.ts";

let model: LlavaForConditionalGeneration;
beforeAll(async () => {
  model = await LlavaForConditionalGeneration.from_pretrained(folderOf("hub-f32"), { device: "reference" });
});
afterAll(() => model.dispose());

const IDS = [
  [1, 5, 9, 3],
  [1, 64, 2, 9],
];

test("a cache that a program made is filled by the model that it is given to", async () => {
  const past_key_values = new DynamicCache({ config: model.config });
  expect(past_key_values.get_seq_length()).toBe(0);
  const first = await model({ input_ids: IDS.map((row) => row.slice(0, 3)), past_key_values });
  expect(first.past_key_values).toBe(past_key_values);
  expect([past_key_values.get_seq_length(), past_key_values.get_seq_length(2)]).toEqual([3, 3]);
  expect(past_key_values.get_mask_sizes(1, 1)).toEqual([4, 0]);
  expect(past_key_values.get_max_length()).toBeNull();
  const last = await model({ input_ids: IDS.map((row) => row.slice(3)), past_key_values });
  const whole = await model({ input_ids: IDS, logits_to_keep: 1 });
  expectClose(last.logits, whole.logits);
  past_key_values.dispose();
});

test("generate fills such a cache, too", async () => {
  const settings = { max_new_tokens: 4, eos_token_id: null };
  const plain = await model.generate({ input_ids: IDS, ...settings });
  for (const past_key_values of [
    new DynamicCache(),
    new StaticCache({ config: model.config, max_cache_len: 8 }),
  ]) {
    const filled = await model.generate({ input_ids: IDS, past_key_values, ...settings });
    expect(filled.tolist()).toEqual(plain.tolist());
    expect(past_key_values.get_seq_length()).toBe(7);
    past_key_values.dispose();
  }
});

test("a static cache holds so many columns and no more", async () => {
  const past_key_values = new StaticCache({ max_cache_len: 5 });
  expect(past_key_values.get_max_length(1)).toBe(5);
  await model({ input_ids: IDS, past_key_values });
  const more = model({
    input_ids: [
      [1, 2],
      [3, 4],
    ],
    past_key_values,
  });
  await expect(more).rejects.toThrow(ShapeError);
  expect(past_key_values.get_seq_length()).toBe(4);
  const last = await model({ input_ids: [[1], [3]], past_key_values });
  const whole = await model({ input_ids: IDS.map((row, b) => [...row, [1, 3][b]]), logits_to_keep: 1 });
  expectClose(last.logits, whole.logits);
  past_key_values.dispose();
  expect(() => new StaticCache({ max_cache_len: 0 })).toThrow(OptionError);
});

test("what has no meaning here is refused by name", () => {
  expect(() => new DynamicCache({ offloading: true })).toThrow(UnsupportedError);
  expect(() => new DynamicCache({ size: 3 } as object)).toThrow(/unknown option 'size'/);
  expect(() => new DynamicCache().update(null, null, 0)).toThrow(UnsupportedError);
  expect(() => new DynamicCache().get_seq_length(-1)).toThrow(OptionError);
  expect(() => new QuantizedCache({ backend: "quanto" })).toThrow(UnsupportedError);
});
