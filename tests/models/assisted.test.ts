import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { OptionError, UnsupportedError } from "../../src/base/errors.ts";
import { softmax } from "../../src/generation/probabilities.ts";
import { BaseStreamer } from "../../src/generation/streamers.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { Expected } from "./expected.ts";
import { Checkpoints } from "./runs.ts";

const SURE = { assistant_confidence_threshold: 0 };
/** So few that two models often say the same. */
const FEW = Array.from({ length: 131 }, (_, id) => id).filter((id) => id % 16 !== 3);

describe("a draft model", () => {
  const checkpoints = new Checkpoints();
  let model: LlavaForConditionalGeneration;
  let draft: LlavaForConditionalGeneration;
  let expected: Expected;
  let text: { input_ids: number[][]; pad_token_id: number };

  beforeAll(async () => {
    model = await checkpoints.model("hub-f32");
    draft = await checkpoints.model("v5-f16");
    expected = await checkpoints.facts("hub-f32");
    text = { input_ids: expected.facts.runs.text.input_ids, pad_token_id: 0 };
  });
  afterAll(() => checkpoints.dispose());

  /** The sizes of what is streamed after the prompt, which is one more than what is accepted. */
  class Sizes extends BaseStreamer {
    readonly sizes: number[] = [];
    put({ data }: Tensor): void {
      this.sizes.push(data.length);
    }
    end(): void {
      this.sizes.shift();
    }
  }

  test("sees the pictures: the model as its own draft is always right", async () => {
    const { input_ids, attention_mask } = expected.facts;
    const own = [input_ids[1].slice(attention_mask[1].indexOf(1))];
    const streamer = new Sizes();
    const settings = { max_new_tokens: 12, num_assistant_tokens: 5, ...SURE, pad_token_id: 0 };
    const out = await model.generate({
      input_ids: own,
      ...expected.pictures(2),
      ...settings,
      assistant_model: model,
      streamer,
    });
    expect(out.tolist()).toEqual(expected.facts.runs.single);
    expect(streamer.sizes).toEqual([6, 6]);
  });

  test("goes on from a cache, and gives one back that can be continued", async () => {
    const { input_ids, sequences } = expected.facts.runs.continued;
    const own = [expected.facts.input_ids[1].slice(expected.facts.attention_mask[1].indexOf(1))];
    const common = { pad_token_id: 0, assistant_model: draft, suppress_tokens: [] };
    const first = await model.generate({
      input_ids: own,
      ...expected.pictures(2),
      ...common,
      max_new_tokens: 4,
      return_dict_in_generate: true,
    });
    const past_key_values = first.past_key_values;
    expect(past_key_values?.get_seq_length()).toBe(own[0].length + 3);
    const out = await model.generate({ input_ids, past_key_values, ...common, max_new_tokens: 12 });
    expect(out.tolist()).toEqual(sequences);
    past_key_values?.dispose();
  });

  test("a criterion ends the text in the middle of a draft", async () => {
    const [whole] = expected.facts.runs.text.sequences;
    const streamer = new Sizes();
    const out = await model.generate({
      ...text,
      max_new_tokens: 12,
      assistant_model: model,
      num_assistant_tokens: 6,
      ...SURE,
      stopping_criteria: [(ids) => ids.shape[1] >= 9 && ids.data[ids.shape[1] - 1] === whole[8]],
      streamer,
    });
    expect(out.tolist()).toEqual([whole.slice(0, 9)]);
    expect(streamer.sizes).toEqual([4]);
  });

  test("hidden states and attentions are those of plain search", async () => {
    const wanted = {
      ...text,
      suppress_tokens: FEW,
      max_new_tokens: 7,
      output_hidden_states: true,
      output_attentions: true,
      return_dict_in_generate: true,
    } as const;
    const plain = await model.generate(wanted);
    const assisted = await model.generate({ ...wanted, assistant_model: draft, ...SURE });
    for (const name of ["hidden_states", "attentions"] as const) {
      const shapes = (steps: Tensor[][] = []) => steps.map((layers) => layers.map(({ shape }) => shape));
      expect(shapes(assisted[name])).toEqual(shapes(plain[name]));
      for (const [step, layers] of (plain[name] ?? []).entries())
        for (const [layer, { data }] of layers.entries()) {
          const own = assisted[name]?.[step][layer].data ?? [];
          for (const [i, value] of data.entries()) expect(own[i]).toBeCloseTo(value as number, 4);
        }
    }
    plain.past_key_values?.dispose();
    assisted.past_key_values?.dispose();
  });

  test.each([
    ["a draft model", () => ({ assistant_model: draft, num_assistant_tokens: 2, ...SURE })],
    ["prompt lookup", () => ({ prompt_lookup_num_tokens: 2, max_matching_ngram_size: 1 })],
  ])("%s leaves the odds of sampling as they are", async (_, drafts) => {
    const settings = { do_sample: true, temperature: 1.4, suppress_tokens: FEW, top_k: 0 };
    const input_ids = [[3, 19, 35, 3, 19, 35, 3]];
    const { scores, sequences, past_key_values } = await model.generate({
      input_ids,
      pad_token_id: 0,
      ...settings,
      max_new_tokens: 1,
      output_scores: true,
      return_dict_in_generate: true,
    });
    past_key_values?.dispose();
    expect(sequences.shape).toEqual([1, 8]);
    const odds = softmax(scores?.[0].data as Float32Array);
    const counts = new Map<number, number>();
    const runs = 300;
    const calls = Array.from({ length: runs }, (_, seed) =>
      model.generate({ input_ids, pad_token_id: 0, ...settings, ...drafts(), max_new_tokens: 2, seed }),
    );
    for (const out of await Promise.all(calls)) {
      const token = (out.tolist() as number[][])[0][7];
      counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    let chi = 0;
    for (const [token, p] of odds.entries()) {
      if (p === 0) expect(counts.get(token)).toBeUndefined();
      else chi += ((counts.get(token) ?? 0) - runs * p) ** 2 / (runs * p);
    }
    expect(odds.filter((p) => p > 0).length).toBe(8);
    expect(chi).toBeLessThan(24.3); // 7 degrees of freedom: exceeded once in a thousand
  });

  test("an aborted call gives every page back", async () => {
    const before = model.deviceBytes;
    const abort = new AbortController();
    class Stop extends BaseStreamer {
      put(): void {
        abort.abort(new Error("enough"));
      }
      end(): void {}
    }
    const options = { ...text, max_new_tokens: 9, assistant_model: draft, signal: abort.signal };
    await expect(model.generate({ ...options, streamer: new Stop() })).rejects.toThrow("enough");
    const out = await model.generate({ ...text, max_new_tokens: 12 });
    expect(out.tolist()).toEqual(expected.facts.runs.text.sequences);
    expect(model.deviceBytes).toBe(before);
  });

  test("what cannot be is refused by name", async () => {
    const refused = (more: object) => expect(model.generate({ ...text, max_new_tokens: 2, ...more })).rejects;
    await refused({ assistant_model: {} }).toThrow("assistant_model: expected a loaded model");
    await refused({ assistant_model: draft, num_return_sequences: 2, do_sample: true }).toThrow(OptionError);
    await refused({ assistant_model: draft, use_cache: false }).toThrow("use_cache");
    await refused({ assistant_early_exit: 1 }).toThrow(UnsupportedError);
    await refused({ prompt_lookup_num_tokens: 2, assistant_ensemble_weight: 0.5 }).toThrow(
      "assistant_ensemble_weight",
    );
    const inputs_embeds = expected.tensor("text.embeds");
    await refused({ input_ids: undefined, inputs_embeds, assistant_model: draft }).toThrow("inputs_embeds");
  });
});
