import { afterAll, beforeAll, expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { Expected, expectClose, folderOf } from "../models/expected.ts";

const CHECKPOINT = "hub-f32";

let expected: Expected;
let model: LlavaForConditionalGeneration;
beforeAll(async () => {
  expected = await Expected.read(CHECKPOINT);
  model = await LlavaForConditionalGeneration.from_pretrained(folderOf(CHECKPOINT), { device: "wasm" });
  model.generation_config.eos_token_id = null;
});
afterAll(() => model.dispose());

test("device wasm gives what Transformers gives: ids and the logits of every step", async () => {
  expect(model.device).toBe("wasm");
  const { input_ids, attention_mask, runs } = expected.facts;
  const out = await model.generate({
    input_ids,
    attention_mask,
    pixel_values: expected.tensor("pixel_values"),
    max_new_tokens: 12,
    do_sample: false,
    pad_token_id: 0,
    output_logits: true,
    return_dict_in_generate: true,
  });
  expect(out.sequences.tolist()).toEqual(runs.greedy);
  const recorded = expected.tensor("generate.logits"); // [steps, B, V]
  const flat = (out.logits ?? []).flatMap(({ data }) => Array.from(data as Float32Array));
  expectClose(new Tensor("float32", recorded.shape, flat), recorded);
  out.past_key_values?.dispose();
});

test("the event loop stays free while it computes, and an abort is seen", async () => {
  const { input_ids, attention_mask } = expected.facts;
  const abort = new AbortController();
  const run = model.generate({
    input_ids,
    attention_mask,
    pixel_values: expected.tensor("pixel_values"),
    max_new_tokens: 1000,
    do_sample: false,
    pad_token_id: 0,
    signal: abort.signal,
  });
  setTimeout(() => abort.abort(), 50);
  await expect(run).rejects.toThrow(/abort/i);
});
