import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { OptionError, ShapeError, UnsupportedError } from "../../src/base/errors.ts";
import { RecordingDevice } from "../../src/devices/recording_device.ts";
import { BaseStreamer, TextIteratorStreamer } from "../../src/generation/streamers.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import {
  CHECKPOINTS,
  Expected,
  expectClose,
  folderOf,
  LAYOUTS,
  type Pictures,
  rowsAreAlone,
} from "./expected.ts";

const COMMON = { max_new_tokens: 12, do_sample: false, pad_token_id: 0 };

describe.each(CHECKPOINTS)("generate of %s", (checkpoint) => {
  let expected: Expected;
  let model: LlavaForConditionalGeneration;
  let inputs: { input_ids: number[][]; attention_mask: number[][] } & Pictures;
  /** Row 1 of the batch, alone and without its padding. */
  let single: { input_ids: number[][] } & Pictures;

  beforeAll(async () => {
    expected = await Expected.read(checkpoint);
    const { input_ids, attention_mask } = expected.facts;
    inputs = { input_ids, attention_mask, ...expected.pictures() };
    single = { input_ids: [input_ids[1].slice(attention_mask[1].indexOf(1))], ...expected.pictures(2) };
    model = await LlavaForConditionalGeneration.from_pretrained(folderOf(checkpoint));
    model.generation_config.eos_token_id = null;
  });
  afterAll(() => model.dispose());

  test("greedy: ids and the logits of every step", async () => {
    const out = await model.generate({
      ...inputs,
      ...COMMON,
      output_logits: true,
      output_scores: true,
      return_dict_in_generate: true,
    });
    expect(out.sequences.tolist()).toEqual(expected.facts.runs.greedy);
    const recorded = expected.tensor("generate.logits"); // [steps, B, V]
    expect(out.logits?.length).toBe(12);
    const flat = (out.logits ?? []).flatMap(({ data }) => Array.from(data as Float32Array));
    expectClose(new Tensor("float32", recorded.shape, flat), recorded);
    expect(out.past_key_values?.get_seq_length()).toBe(inputs.input_ids[0].length + 11);
    out.past_key_values?.dispose();
    expect((await model.generate({ ...inputs, ...COMMON })).tolist()).toEqual(expected.facts.runs.greedy);
  });

  test("one row alone gives what it gives in the batch, and left padding nothing", async () => {
    expect((await model.generate({ ...single, ...COMMON })).tolist()).toEqual(expected.facts.runs.single);
    if (!rowsAreAlone(checkpoint)) return;
    const width = inputs.input_ids[0].length;
    expect(expected.facts.runs.greedy[1].slice(width)).toEqual(expected.facts.runs.single[0].slice(-12));
  });

  test("a row ends at its end token, and is padded while the other goes on", async () => {
    const { eos_token_id, sequences } = expected.facts.runs.eos;
    expect((await model.generate({ ...inputs, ...COMMON, eos_token_id })).tolist()).toEqual(sequences);
  });

  test("the longer row ends first, and the other goes on", async () => {
    const early = expected.facts.runs.early;
    if (!early) return;
    const { eos_token_id, sequences } = early;
    expect((await model.generate({ ...inputs, ...COMMON, eos_token_id })).tolist()).toEqual(sequences);
  });

  test("repetition penalty, no repeated n-gram, a least length: ids and processed scores", async () => {
    const { options, sequences } = expected.facts.runs.penalised;
    const out = await model.generate({
      ...inputs,
      ...COMMON,
      ...options,
      output_scores: true,
      return_dict_in_generate: true,
    });
    expect(out.sequences.tolist()).toEqual(sequences);
    const recorded = expected.tensor("generate.penalised.scores");
    const flat = (out.scores ?? []).flatMap(({ data }) => Array.from(data as Float32Array));
    expectClose(new Tensor("float32", recorded.shape, flat), recorded);
    out.past_key_values?.dispose();
  });

  test("goes on from a cache, with all ids or the new ones alone", async () => {
    const { input_ids, sequences } = expected.facts.runs.continued;
    const begin = { ...single, ...COMMON, max_new_tokens: 4, return_dict_in_generate: true } as const;
    const first = await model.generate(begin);
    const past_key_values = first.past_key_values;
    const held = past_key_values?.get_seq_length() ?? 0;
    const branch = past_key_values?.clone();
    const attention_mask = [input_ids[0].map(() => 1)];
    const all = { input_ids, attention_mask, past_key_values, ...COMMON };
    expect((await model.generate(all)).tolist()).toEqual(sequences);
    const news = [input_ids[0].slice(held)];
    const rest = await model.generate({
      input_ids: news,
      attention_mask,
      past_key_values: branch,
      ...COMMON,
    });
    expect(rest.tolist()).toEqual([sequences[0].slice(held)]);
    past_key_values?.dispose();
    branch?.dispose();
  });

  test("embeddings in place of ids: the new tokens alone", async () => {
    const inputs_embeds = expected.tensor("text.embeds");
    expect((await model.generate({ inputs_embeds, ...COMMON })).tolist()).toEqual(expected.facts.runs.embeds);
    const { input_ids, sequences } = expected.facts.runs.text;
    expect((await model.generate({ input_ids, inputs_embeds, ...COMMON })).tolist()).toEqual(sequences);
    expect((await model.generate({ input_ids, ...COMMON })).tolist()).toEqual(sequences);
  });

  test("several calls at once give what each gives alone", async () => {
    const text = { input_ids: expected.facts.runs.text.input_ids, ...COMMON };
    // Some look at logits, which others need not wait for: at first both kinds are in a step, then one.
    const looking = { output_logits: true, return_dict_in_generate: true } as const;
    const [a, b, c, d] = await Promise.all([
      model.generate({ ...inputs, ...COMMON }),
      model.generate(text),
      model.generate({ ...single, ...COMMON }),
      model.generate({ ...inputs, ...COMMON, ...looking, max_new_tokens: 5 }),
    ]);
    expect(a.tolist()).toEqual(expected.facts.runs.greedy);
    expect(b.tolist()).toEqual(expected.facts.runs.text.sequences);
    expect(c.tolist()).toEqual(expected.facts.runs.single);
    expect(d.sequences.tolist()).toEqual(expected.facts.runs.greedy.map((row) => row.slice(0, -7)));
    const recorded = expected.tensor("generate.logits"); // [steps, B, V]
    const size = recorded.data.length / 12;
    expect(d.logits?.length).toBe(5);
    for (const [step, { data }] of (d.logits ?? []).entries())
      expectClose(
        new Tensor("float32", recorded.shape.slice(1), data),
        new Tensor("float32", recorded.shape.slice(1), recorded.data.slice(step * size, (step + 1) * size)),
      );
    d.past_key_values?.dispose();
  });

  if (!LAYOUTS.includes(checkpoint)) return;

  test("right padding: each row is answered as it would be alone", async () => {
    const width = inputs.input_ids[0].length;
    const own = single.input_ids[0];
    const padded = [...own, ...Array<number>(width - own.length).fill(0)];
    const input_ids = [inputs.input_ids[0], padded];
    const attention_mask = [inputs.attention_mask[0], padded.map((_, i) => Number(i < own.length))];
    const out = (
      await model.generate({ ...inputs, input_ids, attention_mask, ...COMMON })
    ).tolist() as number[][];
    expect(out[1].slice(width)).toEqual(expected.facts.runs.single[0].slice(-12));
  });

  test("sampling: the scores that are drawn from; a seed repeats the draw", async () => {
    const settings = { ...COMMON, ...expected.facts.runs.sampled, seed: 5 };
    const out = await model.generate({
      ...inputs,
      ...settings,
      max_new_tokens: 1,
      output_scores: true,
      return_dict_in_generate: true,
    });
    expectClose(out.scores?.[0] as Tensor, expected.tensor("generate.sampled.scores"));
    out.past_key_values?.dispose();
    const again = await model.generate({ ...inputs, ...settings });
    expect((await model.generate({ ...inputs, ...settings })).tolist()).toEqual(again.tolist());
    const rows = (
      await model.generate({ ...single, ...settings, num_return_sequences: 3 })
    ).tolist() as number[][];
    expect(rows.length).toBe(3);
    expect(new Set(rows.map(String)).size).toBeGreaterThan(1);
    // forked after the prompt: each row continues its own tokens
    for (const row of rows) {
      const logits = (await model({ ...single, input_ids: [row.slice(0, -1)], logits_to_keep: 1 })).logits;
      const scores = logits.data as Float32Array;
      const above = scores.filter((score) => score > scores[row[row.length - 1]]).length;
      expect(above).toBeLessThan(60);
    }
  });

  test("sampling among the best: the tokens are those of the scores, whether anybody looks at them or not", async () => {
    const { eos_token_id } = expected.facts.runs.eos;
    for (const more of [
      { top_k: 7 },
      { top_k: 5, temperature: 1.4, top_p: 0.9, num_return_sequences: 2, eos_token_id },
    ]) {
      const options = { ...inputs, ...COMMON, do_sample: true, seed: 5, ...more };
      const seen = await model.generate({ ...options, output_scores: true, return_dict_in_generate: true });
      seen.past_key_values?.dispose();
      expect((await model.generate(options)).tolist()).toEqual(seen.sequences.tolist());
    }
  });

  test("a streamer gets the prompt, then each token, then the end", async () => {
    const puts: number[][] = [];
    let ended = 0;
    class Recorder extends BaseStreamer {
      put(value: Tensor): void {
        puts.push(Array.from(value.data, Number));
      }
      end(): void {
        ended++;
      }
    }
    const out = await model.generate({ ...single, ...COMMON, streamer: new Recorder() });
    expect(puts[0]).toEqual(single.input_ids[0]);
    expect(puts.flat()).toEqual((out.tolist() as number[][])[0]);
    expect(puts.length).toBe(13);
    expect(ended).toBe(1);
    await expect(model.generate({ ...inputs, ...COMMON, streamer: new Recorder() })).rejects.toThrow(
      OptionError,
    );
  });

  test("a streamer is told while the next token is computed, or before a criterion of the caller's is asked", async () => {
    let computing = 0;
    const { step } = RecordingDevice.prototype;
    const watched = vi.spyOn(RecordingDevice.prototype, "step").mockImplementation(async function (
      this: RecordingDevice,
      ...args
    ) {
      computing++;
      const outputs = await step.apply(this, args);
      // A step of so small a model may be over before the event loop has its turn.
      await new Promise((resolve) => setTimeout(resolve, 5));
      computing--;
      return outputs;
    });
    const seen: (number | string)[] = [];
    class Watching extends BaseStreamer {
      put(): void {
        seen.push(computing);
      }
      end(): void {}
    }
    const options = { ...single, ...COMMON, max_new_tokens: 4 };
    try {
      await model.generate({ ...options, streamer: new Watching() });
      expect(seen.splice(0)).toEqual([0, 1, 1, 1, 0]); // the prompt before all, and the last token after all
      const asked = (): boolean => seen.push("asked") < 0;
      await model.generate({ ...options, streamer: new Watching(), stopping_criteria: [asked] });
      expect(seen).toEqual([0, ...Array(4).fill([0, "asked"]).flat()]);
    } finally {
      watched.mockRestore();
    }
  });

  test("a streamer that fails ends its own call, and nobody else's", async () => {
    class Failing extends BaseStreamer {
      left = 3;
      put(): void {
        if (--this.left === 0) throw new Error("full");
      }
      end(): void {}
    }
    const bytes = model.deviceBytes;
    const other = model.generate({ ...inputs, ...COMMON });
    await expect(model.generate({ ...single, ...COMMON, streamer: new Failing() })).rejects.toThrow("full");
    expect((await other).tolist()).toEqual(expected.facts.runs.greedy);
    expect((await model.generate({ ...inputs, ...COMMON })).tolist()).toEqual(expected.facts.runs.greedy);
    expect(model.deviceBytes).toBe(bytes);
  });

  test("who reads from a streamer gets the error, too", async () => {
    const tokenizer = { decode: (ids: number[]) => ids.map((id) => `${id} `).join("") };
    const controller = new AbortController();
    const streamer = new TextIteratorStreamer(tokenizer, { skip_prompt: true });
    const read = async (): Promise<number> => {
      let count = 0;
      for await (const text of streamer)
        if (text !== "" && ++count === 3) controller.abort(new Error("enough"));
      return count;
    };
    const reading = read();
    const running = model.generate({ ...single, ...COMMON, streamer, signal: controller.signal });
    await expect(running).rejects.toThrow("enough");
    await expect(reading).rejects.toThrow("enough");
    const refused = new TextIteratorStreamer(tokenizer);
    await expect(model.generate({ ...single, max_new_tokens: 0, streamer: refused })).rejects.toThrow(
      OptionError,
    );
    await expect(refused.next()).rejects.toThrow(OptionError);
  });

  test("a failure in lockstep gives every page back", async () => {
    // Row 1 ends at a token that row 0 has not had, and is computed on; then the call fails.
    const width = inputs.input_ids[0].length;
    const [first, second] = expected.facts.runs.greedy.map((row) => row.slice(width));
    const end = second.findIndex((token, i) => !first.slice(0, i + 3).includes(token));
    const eos_token_id = second[end];
    const logits_processor = [
      (ids: Tensor, scores: Tensor) => {
        if (ids.shape[1] >= width + end + 2) throw new Error("no more");
        return scores;
      },
    ];
    let bytes = 0;
    for (let i = 0; i < 9; i++) {
      const failed = model.generate({ ...inputs, ...COMMON, eos_token_id, logits_processor });
      await expect(failed).rejects.toThrow("no more");
      bytes ||= model.deviceBytes; // with the room that the first call took
    }
    expect(model.deviceBytes).toBe(bytes);
  });

  test("stops when it is told to, between tokens, and the model is as before", async () => {
    const controller = new AbortController();
    let steps = 0;
    const stopping_criteria = [
      () => {
        if (++steps === 3) controller.abort(new Error("enough"));
        return false;
      },
    ];
    const bytes = model.deviceBytes;
    const stopped = model.generate({ ...inputs, ...COMMON, stopping_criteria, signal: controller.signal });
    await expect(stopped).rejects.toThrow("enough");
    expect(steps).toBe(3);
    await expect(model.generate({ ...single, ...COMMON, signal: controller.signal })).rejects.toThrow(
      "enough",
    );
    expect((await model.generate({ ...inputs, ...COMMON })).tolist()).toEqual(expected.facts.runs.greedy);
    expect(model.deviceBytes).toBe(bytes);
  });

  test("a criterion and a processor of the caller's", async () => {
    const lengths: number[] = [];
    const logits_processor = [
      (ids: Tensor, scores: Tensor) => {
        lengths.push(ids.shape[1]);
        const data = (scores.data as Float32Array).slice();
        for (let b = 0; b < scores.shape[0]; b++) data[b * scores.shape[1] + 77] = 1e4;
        return new Tensor("float32", scores.shape, data);
      },
    ];
    const stopping_criteria = [async (ids: Tensor) => ids.shape[1] >= inputs.input_ids[0].length + 2];
    const out = (
      await model.generate({ ...inputs, ...COMMON, logits_processor, stopping_criteria })
    ).tolist();
    const width = inputs.input_ids[0].length;
    expect((out as number[][]).map((row) => row.slice(width))).toEqual([
      [77, 77],
      [77, 77],
    ]);
    expect(lengths).toEqual([width, width + 1]);
  });

  test("wrong calls say what is wrong", async () => {
    await expect(model.generate({ ...inputs, max_new_token: 3 } as never)).rejects.toThrow(
      /max_new_token.*Did you mean 'max_new_tokens'/,
    );
    await expect(model.generate({ ...inputs, dola_layers: "low" })).rejects.toThrow(UnsupportedError);
    await expect(model.generate({ ...inputs, max_new_tokens: 0 })).rejects.toThrow(OptionError);
    await expect(model.generate({ ...inputs, max_length: 5 })).rejects.toThrow(/max_length.*max_new_tokens/s);
    const attention_mask = [[1, 1]];
    await expect(model.generate({ ...inputs, attention_mask, max_new_tokens: 1 })).rejects.toThrow(
      ShapeError,
    );
    const input_ids = [single.input_ids[0].slice(0, 9)];
    await expect(model.generate({ ...single, input_ids, max_new_tokens: 1 })).rejects.toThrow(/do not match/);
    await expect(model.generate({ ...inputs, stop_strings: ["x"], max_new_tokens: 1 })).rejects.toThrow(
      /tokenizer/,
    );
  });
});
