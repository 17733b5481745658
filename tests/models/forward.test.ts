import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { LlavaForConditionalGeneration, LlavaModel } from "../../src/api/modeling_llava.ts";
import { OptionError } from "../../src/base/errors.ts";
import { DynamicCache } from "../../src/nn/dynamic_cache.ts";
import { PagePool } from "../../src/nn/page_pool.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { CHECKPOINTS, Expected, expectClose, folderOf, LAYOUTS, type Pictures } from "./expected.ts";

describe.each(CHECKPOINTS)("forward of %s", (checkpoint) => {
  let expected: Expected;
  let model: LlavaForConditionalGeneration;
  let pictures: Pictures;

  beforeAll(async () => {
    expected = await Expected.read(checkpoint);
    pictures = expected.pictures();
    model = await LlavaForConditionalGeneration.from_pretrained(folderOf(checkpoint));
  });
  afterAll(() => model.dispose());

  test("tower and projector: every hidden state, the features, the attention", async () => {
    const out = await model.get_image_features({
      ...pictures,
      output_hidden_states: true,
      output_attentions: true,
    });
    const states = expected.list("vision.hidden_states");
    expect(states.length).toBeGreaterThan(3);
    expect(out.hidden_states?.length).toBe(states.length);
    for (const [i, state] of states.entries()) expectClose(out.hidden_states?.[i] as Tensor, state);
    expectClose(out.last_hidden_state, expected.tensor("vision.last_hidden_state"));
    expectClose(out.attentions?.[1] as Tensor, expected.tensor("vision.attentions.1"));
    const features = expected.tensor("features");
    expect(out.pooler_output.length).toBe(3);
    const flat = out.pooler_output.flatMap((part) => Array.from(part.data as Float32Array));
    expectClose(new Tensor("float32", features.shape, flat), features);
  });

  test("language model: logits, loss, every hidden state, the attention", async () => {
    const { input_ids, attention_mask, labels } = expected.facts;
    const out = await model({
      input_ids,
      attention_mask,
      ...pictures,
      labels,
      output_hidden_states: true,
      output_attentions: true,
    });
    expectClose(out.logits, expected.tensor("logits"), attention_mask);
    expect(out.loss?.data[0]).toBeCloseTo(expected.tensor("loss").data[0] as number, 5);
    const divided = await model({ input_ids, attention_mask, ...pictures, labels, num_items_in_batch: 7 });
    expect(divided.loss?.data[0]).toBeCloseTo(expected.tensor("loss.sum").data[0] as number, 4);
    const uncached = await model({ input_ids, attention_mask, ...pictures, labels, use_cache: false });
    expect(uncached.loss?.data[0]).toBe(out.loss?.data[0]);
    const states = expected.list("hidden_states");
    expect(states.length).toBeGreaterThan(2);
    expect(out.hidden_states?.length).toBe(states.length);
    for (const [i, state] of states.entries()) {
      expectClose(out.hidden_states?.[i] as Tensor, state, attention_mask);
    }
    // [B, H, L, L]: rows of padding are not compared
    const weights = out.attentions?.[1] as Tensor;
    const [B, H] = weights.shape;
    const rowMask = Array.from({ length: B * H }, (_, i) => attention_mask[Math.floor(i / H)]);
    expectClose(weights, expected.tensor("attentions.1"), rowMask);
    expectClose(out.image_hidden_states as Tensor, expected.tensor("features"));
    expect(out.past_key_values?.get_seq_length()).toBe(input_ids[0].length);
  });

  test("positions of the caller, and the logits of the last columns only", async () => {
    const { input_ids, attention_mask, position_ids } = expected.facts;
    const out = await model({ input_ids, attention_mask, ...pictures, position_ids, logits_to_keep: 3 });
    expectClose(out.logits, expected.tensor("logits.positions"));
    expect(out.hidden_states).toBeUndefined();
  });

  test("the second half on the cache of the first", async () => {
    const { input_ids, attention_mask, cut } = expected.facts;
    const first = await model({
      input_ids: input_ids.map((row) => row.slice(0, cut)),
      attention_mask: attention_mask.map((row) => row.slice(0, cut)),
      ...pictures,
    });
    const past_key_values = first.past_key_values;
    const branch = past_key_values?.clone();
    const rest = { input_ids: input_ids.map((row) => row.slice(cut)), attention_mask };
    const out = await model({ ...rest, past_key_values });
    expectClose(out.logits, expected.tensor("logits.continued"));
    expect(past_key_values?.get_seq_length()).toBe(input_ids[0].length);
    // a branch is not touched by what happened to the other
    expect(branch?.get_seq_length()).toBe(cut);
    expectClose(
      (await model({ ...rest, past_key_values: branch })).logits,
      expected.tensor("logits.continued"),
    );
    // taken back and done again
    past_key_values?.crop(cut - input_ids[0].length);
    expectClose((await model({ ...rest, past_key_values })).logits, expected.tensor("logits.continued"));
  });

  test("text alone, as ids and as embeddings", async () => {
    const { input_ids } = expected.facts.runs.text;
    expectClose((await model({ input_ids, use_cache: false })).logits, expected.tensor("logits.text"));
    const inputs_embeds = expected.tensor("text.embeds");
    expectClose((await model({ inputs_embeds })).logits, expected.tensor("logits.text"));
  });

  test("features that were computed before, in the place of pictures", async () => {
    const { input_ids, attention_mask } = expected.facts;
    const image = await model.get_image_features({ ...pictures });
    const out = await model({ input_ids, attention_mask, mm_encoder_outputs: { image } });
    expectClose(out.logits, expected.tensor("logits"), attention_mask);
  });

  test("LlavaModel: the last hidden state, without the head", async () => {
    const body = await LlavaModel.from_pretrained(folderOf(checkpoint));
    const { input_ids, attention_mask } = expected.facts;
    const out = await body({ input_ids, attention_mask, ...pictures });
    expectClose(out.last_hidden_state, expected.list("hidden_states").at(-1) as Tensor, attention_mask);
    const [hidden] = await body({ input_ids, attention_mask, ...pictures, return_dict: false });
    expectClose(hidden as Tensor, expected.list("hidden_states").at(-1) as Tensor, attention_mask);
    await body.dispose();
  });

  if (!LAYOUTS.includes(checkpoint)) return;

  test("wrong calls say what is wrong", async () => {
    const { input_ids, attention_mask } = expected.facts;
    await expect(model({ input_ids, ...pictures, attention_maks: attention_mask } as never)).rejects.toThrow(
      /attention_maks.*Did you mean 'attention_mask'/,
    );
    await expect(model({})).rejects.toThrow(OptionError);
    await expect(model({ input_ids: [[1, 500]] })).rejects.toThrow(/500 is no token.*0 to 130/);
    await expect(model({ input_ids, ...expected.pictures(1) })).rejects.toThrow(
      /Image features and image tokens do not match/,
    );
  });
});

test("a pass that finds no room for its last row leaves nothing behind", async () => {
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf("hub-f32"));
  const take = PagePool.prototype.take;
  const held: (() => number)[] = [];
  const taking = vi.spyOn(PagePool.prototype, "take").mockImplementation(function (this: PagePool, n) {
    held.push(() => this.used);
    // Padding whose loss is counted, and one row, have taken theirs.
    if (this.used === 2) throw new RangeError("out of memory");
    return take.call(this, n);
  });
  const rows = [
    [0, 5, 6],
    [7, 8, 9],
  ];
  const past_key_values = new DynamicCache();
  const attention_mask = rows.map((row) => row.map(Math.sign));
  await expect(model({ input_ids: rows, attention_mask, labels: rows, past_key_values })).rejects.toThrow(
    "out of memory",
  );
  taking.mockRestore();
  expect(held[0]()).toBe(0);
  expect(past_key_values.get_seq_length()).toBe(0);
  await model.dispose();
});
