import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import type { DynamicCache } from "../../src/nn/dynamic_cache.ts";
import { folderOf } from "../models/expected.ts";

/*
 * The cache as callers hold it: what is done to its rows shows in what the model computes next.
 */

const ROWS = [
  [5, 17, 80, 33, 9],
  [61, 2, 44, 12, 70],
];
const NEXT = [[8], [90]];

let model: LlavaForConditionalGeneration;
beforeAll(async () => {
  model = await LlavaForConditionalGeneration.from_pretrained(folderOf("hub-f32"));
});
afterAll(() => model.dispose());

async function filled(): Promise<DynamicCache> {
  const { past_key_values } = await model({ input_ids: ROWS });
  if (!past_key_values) throw new Error("no cache");
  return past_key_values;
}

/** The logits of the next token of each row. */
async function next(past_key_values: DynamicCache, input_ids: number[][]): Promise<number[][]> {
  const { logits } = await model({ input_ids, past_key_values });
  return (logits.tolist() as number[][][]).map(([row]) => row);
}

test("rows exchanged, chosen and repeated", async () => {
  const plain = await next(await filled(), NEXT);
  expect(plain[0]).not.toEqual(plain[1]);
  const exchanged = await filled();
  exchanged.reorder_cache([1, 0]);
  expect(await next(exchanged, [NEXT[1], NEXT[0]])).toEqual([plain[1], plain[0]]);
  const chosen = await filled();
  chosen.batch_select_indices([1]);
  expect(chosen.batch_size).toBe(1);
  expect(await next(chosen, [NEXT[1]])).toEqual([plain[1]]);
  const repeated = await filled();
  repeated.batch_repeat_interleave(2);
  expect(await next(repeated, [NEXT[0], NEXT[0], NEXT[1], NEXT[1]])).toEqual([
    plain[0],
    plain[0],
    plain[1],
    plain[1],
  ]);
  expect(() => repeated.batch_repeat_interleave(0)).toThrow(/repeats/);
});

test("rows that were taken over stay when the collector comes by", async () => {
  const plain = await next(await filled(), NEXT);
  const exchanged = await filled();
  exchanged.reorder_cache([1, 0]);
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await next(exchanged, [NEXT[1], NEXT[0]])).toEqual([plain[1], plain[0]]);
});

test("reset: as if nothing had been there", async () => {
  const cache = await filled();
  cache.reset();
  expect(cache.get_seq_length()).toBe(0);
  expect(cache.get_mask_sizes(3)).toEqual([3, 0]);
  const fresh = (await model({ input_ids: NEXT })).logits.tolist();
  expect((await model({ input_ids: NEXT, past_key_values: cache })).logits.tolist()).toEqual(fresh);
});

test("a mask cannot take back what was cached", async () => {
  const past_key_values = await filled();
  const attention_mask = ROWS.map((row) => [0, ...row.slice(1).map(() => 1), 1]);
  await expect(model({ input_ids: NEXT, past_key_values, attention_mask })).rejects.toThrow(
    /row 0, column 0/,
  );
  expect(past_key_values.get_seq_length()).toBe(5);
});
