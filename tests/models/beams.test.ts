import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { GenerationConfig } from "../../src/generation/configuration_utils.ts";
import { TextStreamer } from "../../src/generation/streamers.ts";
import { SynthIDTextWatermarkingConfig } from "../../src/generation/watermarking_config.ts";
import { DynamicCache } from "../../src/nn/dynamic_cache.ts";
import { folderOf } from "./expected.ts";

const input_ids = [
  [5, 17, 80, 33, 9],
  [61, 2, 44, 12, 70],
];
const SAMPLED = { input_ids, do_sample: true, num_beams: 3, max_new_tokens: 6, eos_token_id: null } as const;

let model: LlavaForConditionalGeneration;
beforeAll(async () => {
  model = await LlavaForConditionalGeneration.from_pretrained(folderOf("hub-f32"));
});
afterAll(() => model.dispose());

describe("beams", () => {
  test("sampled: a seed repeats them, and the scores are those of the tokens", async () => {
    const options = { ...SAMPLED, seed: 3, num_return_sequences: 2, length_penalty: 0.7 };
    const kept = { return_dict_in_generate: true, output_scores: true } as const;
    const out = await model.generate({ ...options, ...kept });
    const again = await model.generate(options);
    const other = await model.generate({ ...options, seed: 4 });
    expect(again.tolist()).toEqual(out.sequences.tolist());
    expect(other.tolist()).not.toEqual(out.sequences.tolist());
    const { sequences, scores, beam_indices, sequences_scores } = out;
    const transitions = model.compute_transition_scores(sequences, scores, { beam_indices });
    const sums = (transitions.tolist() as number[][]).map((row) => row.reduce((sum, each) => sum + each, 0));
    const expected = sequences_scores?.tolist() as number[];
    expect(expected).toHaveLength(4);
    for (const [row, sum] of sums.entries()) expect(sum / 6 ** 0.7).toBeCloseTo(expected[row], 5);
    out.past_key_values?.dispose();
  });

  test("give every page back, guidance too, and where the call is stopped", async () => {
    const once = async (): Promise<void> => {
      await model.generate({ ...SAMPLED, guidance_scale: 1.5 });
      const controller = new AbortController();
      const stop = (): boolean => {
        controller.abort(new Error("enough"));
        return false;
      };
      const stopped = { stopping_criteria: [stop], signal: controller.signal };
      await expect(model.generate({ ...SAMPLED, ...stopped })).rejects.toThrow("enough");
    };
    await once();
    const bytes = model.deviceBytes;
    for (let i = 0; i < 6; i++) await once();
    expect(model.deviceBytes).toBe(bytes);
  });

  test("go on from a cache with a row for each, which they leave as it was where the call fails", async () => {
    const { past_key_values: past } = await model({ input_ids: input_ids.map((row) => row.slice(0, 3)) });
    const call = { ...SAMPLED, do_sample: false };
    const refused = expect(model.generate({ ...call, past_key_values: past?.clone() })).rejects;
    await refused.toThrow(/has 2 rows, input_ids has 2, each .* 3 times; .*batch_repeat_interleave\(3\)/);
    const alone = await model.generate(call);
    past?.batch_repeat_interleave(3);
    let steps = 0;
    const failing = () => {
      if (++steps === 4) throw new Error("no more");
      return false;
    };
    for (let i = 0; i < 2; i++) {
      steps = 0;
      const failed = model.generate({ ...call, past_key_values: past, stopping_criteria: [failing] });
      await expect(failed).rejects.toThrow("no more");
      expect(past?.get_seq_length()).toBe(3);
      expect(past?.batch_size).toBe(6);
    }
    const out = await model.generate({ ...call, past_key_values: past, return_dict_in_generate: true });
    expect(out.sequences.tolist()).toEqual(alone.tolist());
    expect(out.past_key_values).toBe(past);
    expect(past?.get_seq_length()).toBe(10);
    const empty = new DynamicCache();
    expect((await model.generate({ ...call, past_key_values: empty })).tolist()).toEqual(alone.tolist());
    expect(empty.batch_size).toBe(6);
    past?.dispose();
    empty.dispose();
  });

  test("what cannot be with them", async () => {
    const one = { input_ids: [[5, 17, 9]], num_beams: 2, max_new_tokens: 2 };
    const streamer = new TextStreamer({ decode: () => "" });
    await expect(model.generate({ ...one, streamer })).rejects.toThrow(/streamer/);
    await expect(model.generate({ ...one, low_memory: true })).rejects.toThrow(/low_memory/);
    await expect(model.generate({ ...one, diversity_penalty: 0.5 })).rejects.toThrow(/diversity_penalty/);
  });
});

describe("guidance", () => {
  const call = { input_ids, max_new_tokens: 4, eos_token_id: null, guidance_scale: 2 };
  const words = [
    [7, 8, 99],
    [3, 90, 41],
  ];

  test("a prompt's negative one serves all its continuations", async () => {
    const beams = { ...call, num_beams: 2 };
    const shared = await model.generate({ ...beams, negative_prompt_ids: words });
    const [first, second] = words;
    const each = await model.generate({ ...beams, negative_prompt_ids: [first, first, second, second] });
    const without = await model.generate(beams);
    expect(shared.tolist()).toEqual(each.tolist());
    expect(shared.tolist()).not.toEqual(without.tolist());
  });

  test("negative prompts that do not fit", async () => {
    const refused = (options: object, reason: RegExp): Promise<void> =>
      expect(model.generate({ ...call, ...options })).rejects.toThrow(reason);
    await refused({ negative_prompt_ids: [[1, 2]] }, /negative_prompt_ids: expected 2 rows/);
    await refused({ negative_prompt_ids: [[131], [1]] }, /131/);
    await refused({ negative_prompt_attention_mask: words }, /there are no negative_prompt_ids/);
    const mask = (rows: number[][]) => ({ negative_prompt_ids: words, negative_prompt_attention_mask: rows });
    await refused(
      mask([
        [1, 1],
        [1, 1],
      ]),
      /expected shape \[2, 3\], got \[2, 2\]/,
    );
    await refused(
      mask([
        [1, 1, 1],
        [1, 1, 0],
      ]),
      /row 1 ends in padding/,
    );
  });
});

describe("compute_transition_scores", () => {
  test("what does not belong together", async () => {
    const out = await model.generate({
      ...{ input_ids, max_new_tokens: 3, return_dict_in_generate: true, output_scores: true },
      num_beams: 2,
    });
    const { sequences, scores, beam_indices } = out;
    const refused = (reason: RegExp, ...given: Parameters<typeof model.compute_transition_scores>): void =>
      expect(() => model.compute_transition_scores(...given)).toThrow(reason);
    refused(/output_scores/, sequences, undefined);
    refused(/4 rows, as scores has/, sequences, scores);
    refused(/2 rows, as sequences has/, sequences, scores, { beam_indices: [[0, 0, 0]] });
    refused(/below 4, got 4/, sequences, scores, {
      beam_indices: [
        [0, 0, 0],
        [0, 0, 4],
      ],
    });
    refused(/as scores has steps/, sequences, scores?.slice(1), { beam_indices });
    refused(
      /from 0 to 130, got 131/,
      [
        [131, 1, 1],
        [1, 1, 1],
      ],
      scores,
      { beam_indices },
    );
    out.past_key_values?.dispose();
  });
});

describe("SynthIDTextWatermarkingConfig", () => {
  test("in a GenerationConfig and out of it", () => {
    const keys = [654, 400];
    const { watermarking_config } = new GenerationConfig({ watermarking_config: { ngram_len: 3, keys } });
    expect(watermarking_config).toBeInstanceOf(SynthIDTextWatermarkingConfig);
    const copy = GenerationConfig.from_dict(new GenerationConfig({ watermarking_config }).to_dict());
    expect(copy.watermarking_config?.to_dict()).toEqual({
      ...{ ngram_len: 3, keys, context_history_size: 1024, sampling_table_seed: 0 },
      ...{ sampling_table_size: 65536, skip_first_ngram_calls: false, debug_mode: false },
    });
    const huge = { ngram_len: 3, keys, sampling_table_size: 2 ** 25 };
    expect(() => new GenerationConfig({ watermarking_config: huge })).toThrow(/sampling_table_size/);
  });
});
