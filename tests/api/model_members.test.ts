import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  LlavaForConditionalGeneration,
  LlavaModel,
  OptionError,
  ShapeError,
  Tensor,
  UnsupportedError,
} from "../../src/index.ts";
import { expectClose, folderOf } from "../models/expected.ts";

interface Numbers {
  shape: number[];
  data: number[];
}

interface Recorded {
  ids: number[][];
  hidden: Numbers;
  embeddings: Numbers;
  logits: Numbers;
  sizes: number[];
  parameters: number[];
  footprint: number;
  dummy: number[][];
  decoder: Numbers;
  mask: number[][][];
  mask_of_embeds: number[][][];
  loss: { logits: Numbers; labels: number[][]; values: number[] };
  resized: {
    arguments: { new_num_tokens?: number; pad_to_multiple_of?: number };
    count: number;
    vocab_size: number;
    tied: boolean;
    rows: number[];
    new_row: Numbers;
    new_head_row: Numbers;
    logits: Numbers;
  }[];
}

interface Fixture {
  models: Record<string, Recorded>;
  prepared: {
    ids: number[][];
    cases: { given: Record<string, unknown>; made: Record<string, unknown> }[];
  };
}

const FIXTURE = new URL("../fixtures/api/model_members.json", import.meta.url);
const { models, prepared } = JSON.parse(await readFile(FIXTURE, "utf8")) as Fixture;

const tensorOf = ({ shape, data }: Numbers): Tensor => new Tensor("float32", shape, data);
const load = (name: string) =>
  LlavaForConditionalGeneration.from_pretrained(folderOf(name), { dtype: "float32", device: "reference" });

test.each(Object.entries(models))(
  "%s: the tables of both ends, and what is counted",
  async (name, expected) => {
    const model = await load(name);
    const table = model.get_input_embeddings();
    const head = model.get_output_embeddings();
    expectClose(await table(expected.ids), tensorOf(expected.embeddings));
    expectClose(await head(tensorOf(expected.hidden)), tensorOf(expected.logits));
    expect([table.num_embeddings, table.embedding_dim, head.in_features, head.out_features]).toEqual(
      expected.sizes,
    );
    expect((await table.weight()).shape).toEqual([table.num_embeddings, table.embedding_dim]);
    const [all, trainable, without, body] = expected.parameters;
    expect(model.num_parameters()).toBe(all);
    expect(model.num_parameters({ only_trainable: true })).toBe(trainable);
    expect(model.num_parameters({ exclude_embeddings: true })).toBe(without);
    expect(model.base_model.num_parameters()).toBe(body);
    expect(model.get_memory_footprint({ return_buffers: false })).toBe(expected.footprint);
    expect(model.dummy_inputs.input_ids.tolist()).toEqual(expected.dummy);
    await expect(table([[1, 131]])).rejects.toThrow(OptionError);
    await expect(head(new Tensor("float32", [1, 3], [1, 2, 3]))).rejects.toThrow(ShapeError);
    await model.dispose();
  },
);

test.each(Object.entries(models))("%s: the views of one model", async (name, expected) => {
  const model = await load(name);
  expect(model.base_model).toBeInstanceOf(LlavaModel);
  expect(model.model).toBe(model.base_model);
  expect(model.base_model.base_model).toBe(model.base_model);
  const decoder = model.get_decoder();
  expect(decoder.config).toBe(model.config.text_config);
  const input_ids = expected.ids.map((row) => row.slice(0, 3));
  const attention_mask = [
    [1, 1, 1],
    [1, 1, 1],
  ];
  const { last_hidden_state } = await decoder({ input_ids, attention_mask });
  expectClose(last_hidden_state, tensorOf(expected.decoder));
  const again = await model.base_model.get_decoder()({ input_ids });
  expectClose(again.last_hidden_state, tensorOf(expected.decoder));
  await expect(decoder({ input_ids, pixel_values: null } as object)).rejects.toThrow(/pixel_values/);
  await model.dispose();
});

test.each(Object.entries(models))("%s: where pictures go", async (name, expected) => {
  const model = await load(name);
  const body = model.base_model;
  const embeds = await model.get_input_embeddings()(expected.ids);
  const D = embeds.shape[2];
  const features = new Tensor("float32", [1, 1, D], new Float32Array(D));
  expect((await body.get_placeholder_mask(expected.ids, embeds, features)).tolist()).toEqual(expected.mask);
  expect((await body.get_placeholder_mask(null, embeds, features)).tolist()).toEqual(expected.mask_of_embeds);
  const two = new Tensor("float32", [2, 1, D], new Float32Array(2 * D));
  await expect(body.get_placeholder_mask(expected.ids, embeds, two)).rejects.toThrow(
    /Image features and image tokens do not match, tokens: 1, features: 2/,
  );
  await model.dispose();
});

test("the loss of logits that are at hand", async () => {
  const model = await load("hub-f32");
  for (const { loss } of Object.values(models)) {
    const logits = tensorOf(loss.logits);
    const { labels, values } = loss;
    const other = labels.map((row) => row.map((id) => (id === -100 ? 7 : id)));
    const results = [
      model.loss_function(logits, labels, 11),
      model.loss_function(logits, labels, 11, { num_items_in_batch: 4 }),
      model.loss_function(logits, null, 11, { shift_labels: labels }),
      model.loss_function(logits, other, 11, { ignore_index: 7 }),
    ];
    for (const [i, result] of results.entries()) expect(result.data[0]).toBeCloseTo(values[i], 5);
  }
  const { logits } = models["hub-f32"].loss;
  expect(() => model.loss_function(tensorOf(logits), null, 11)).toThrow(/labels/);
  expect(() => model.loss_function(tensorOf(logits), [[1]], 11)).toThrow(ShapeError);
  await model.dispose();
});

const resizes = Object.entries(models).flatMap(([name, { ids, resized }]) =>
  resized.map((one) => ({ name, ids, ...one })),
);

test.each(resizes)("$name: resized by $arguments", async ({ name, ids, arguments: given, ...expected }) => {
  const model = await load(name);
  const table = await model.resize_token_embeddings(given);
  expect(table.num_embeddings).toBe(expected.count);
  expect(model.config.text_config.vocab_size).toBe(expected.vocab_size);
  const head = await model.get_output_embeddings().weight();
  expect(head.shape).toEqual(expected.rows);
  const last = (tensor: Tensor): Tensor => {
    const [N, D] = tensor.shape;
    return new Tensor("float32", [D], tensor.data.slice((N - 1) * D));
  };
  // New rows are the mean of the old ones; Transformers adds noise of a thousandth of their spread.
  const grown = expected.count > 131;
  const near = (got: Tensor, { data }: Numbers): void => {
    for (const [i, value] of data.entries())
      expect(Math.abs(Number(got.data[i]) - value)).toBeLessThan(grown ? 1e-4 : 1e-7);
  };
  near(last(await table.weight()), expected.new_row);
  near(last(head), expected.new_head_row);
  const input_ids = ids.map((row) => row.slice(0, 4).map((id) => (id === 101 ? 6 : id)));
  const { logits } = await model({ input_ids, logits_to_keep: 1 });
  const [B, , V] = logits.shape;
  const known = Math.min(131, V);
  const rows = Array.from({ length: B }, (_, b) => [...logits.data.slice(b * V, b * V + known)] as number[]);
  expectClose(new Tensor("float32", [B, known], rows.flat()), tensorOf(expected.logits));
  await model.dispose();
});

test("a resized model is saved, and opened again", async () => {
  const folder = await mkdtemp(join(tmpdir(), "llava-resized-"));
  const model = await load("siglip-gemma-f16");
  await model.resize_token_embeddings(140, { mean_resizing: false });
  const table = await model.get_input_embeddings().weight();
  await model.save_pretrained(folder);
  const again = await LlavaForConditionalGeneration.from_pretrained(folder, { device: "reference" });
  expect(again.config.text_config.vocab_size).toBe(140);
  expect((await again.get_input_embeddings().weight()).tolist()).toEqual(table.tolist());
  const drawn = Array.from(table.data.slice(131 * table.shape[1]), Number);
  const spread = Math.sqrt(drawn.reduce((sum, x) => sum + x * x, 0) / drawn.length);
  expect(spread).toBeGreaterThan(0.8 * 0.02);
  expect(spread).toBeLessThan(1.2 * 0.02);
  await Promise.all([model.dispose(), again.dispose()]);
  await rm(folder, { recursive: true });
});

test("tie_weights makes one table of two", async () => {
  const model = await load("hub-f32");
  model.tie_weights();
  expect(await model.get_output_embeddings().weight()).not.toEqual(
    await model.get_input_embeddings().weight(),
  );
  model.config.tie_word_embeddings = true;
  model.tie_weights();
  expect(await model.get_output_embeddings().weight()).toEqual(await model.get_input_embeddings().weight());
  expect(model.num_parameters()).toBe(models["hub-f32"].parameters[0] - 131 * 32);
  await model.dispose();
});

test("dequantize makes packed weights into floats that can be saved", async () => {
  const folder = await mkdtemp(join(tmpdir(), "llava-dequantised-"));
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf("hub-f32"), { dtype: "q8" });
  const packed = model.get_memory_footprint();
  const weight = await model.get_output_embeddings().weight();
  await expect(model.resize_token_embeddings(140)).rejects.toThrow(UnsupportedError);
  await model.dequantize({ dtype: "float32" });
  expect(model.dtype).toBe("float32");
  expect(await model.get_output_embeddings().weight()).toEqual(weight);
  expect(model.get_memory_footprint()).toBeGreaterThan(packed);
  await model.save_pretrained(folder);
  const again = await LlavaForConditionalGeneration.from_pretrained(folder);
  expect(await again.get_output_embeddings().weight()).toEqual(weight);
  await expect(again.dequantize()).rejects.toThrow(/not quantised/);
  await Promise.all([model.dispose(), again.dispose()]);
  await rm(folder, { recursive: true });
});

test.each(["bnb-nf4-double-bf16", "gptq-4bit-sym"])("%s is dequantised", async (name) => {
  const folder = await mkdtemp(join(tmpdir(), "llava-dequantised-"));
  const from = new URL(`../fixtures/quantised/${name}`, import.meta.url).pathname;
  const model = await LlavaForConditionalGeneration.from_pretrained(from, { device: "reference" });
  const input_ids = [[1, 5, 9, 3]];
  const before = await model({ input_ids });
  await expect(model.save_pretrained(folder)).rejects.toThrow(UnsupportedError);
  await model.dequantize();
  expect((await model({ input_ids })).logits).toEqual(before.logits);
  await model.save_pretrained(folder);
  const again = await LlavaForConditionalGeneration.from_pretrained(folder, { device: "reference" });
  expect((await again({ input_ids })).logits).toEqual(before.logits);
  await Promise.all([model.dispose(), again.dispose()]);
  await rm(folder, { recursive: true });
});

/** Tensors as they were recorded. */
function plain(inputs: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => [name, value instanceof Tensor ? value.tolist() : value]),
  );
}

test("the arguments of the next step", async () => {
  const model = await load("hub-f32");
  for (const { given, made } of prepared.cases) {
    const embeds = given.inputs_embeds as number[][] | undefined;
    const options = { ...given, inputs_embeds: embeds && Tensor.fromNested(embeds, "float32") };
    expect(plain(model.prepare_inputs_for_generation(prepared.ids, options))).toEqual(made);
  }
  expect(() => model.prepare_inputs_for_generation([[1]], { next_sequence_length: 0 })).toThrow(OptionError);
  await model.dispose();
});
