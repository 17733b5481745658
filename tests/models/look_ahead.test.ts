import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { RecordingDevice } from "../../src/devices/recording_device.ts";
import { BaseStreamer } from "../../src/generation/streamers.ts";
import { PagePool } from "../../src/nn/page_pool.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { COMMON, words } from "./answers.ts";
import { folderOf } from "./expected.ts";

const OPTIONS = { ...COMMON, max_new_tokens: 70 };
/** Prompts that cross the end of a page at different tokens. */
const PROMPTS = [words("a", 3), words("b", 61), words("c", 40), words("d", 130)];

let model: LlavaForConditionalGeneration;
/** What each prompt is continued with, alone: nothing is computed ahead then. */
let alone: number[][];

beforeAll(async () => {
  model = await LlavaForConditionalGeneration.from_pretrained(folderOf("hub-f32"), { promptCacheBytes: 0 });
  alone = [];
  for (const prompt of PROMPTS)
    alone.push(rowsOf(await model.generate({ ...OPTIONS, input_ids: [prompt] }))[0]);
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => model.dispose());

function rowsOf(sequences: Tensor): number[][] {
  return sequences.tolist() as number[][];
}

/** Whether steps are short does not depend on the machine: each takes so many milliseconds. */
function stepsTake(ms: number): void {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => (now += ms));
}

function countSteps(): { readonly count: number; restore(): void } {
  const steps = vi.spyOn(RecordingDevice.prototype, "step");
  return {
    get count() {
      return steps.mock.calls.length;
    },
    restore: () => steps.mockRestore(),
  };
}

test("several answers take fewer steps than tokens where steps are short, and are the same", async () => {
  // Beside those that make the pool of pages larger. That steps have become long is known after one list.
  for (const [ms, least, most] of [
    [0.01, 1 + 70 / 4, 30],
    [100, 67, 85],
  ]) {
    stepsTake(ms);
    const steps = countSteps();
    const calls = PROMPTS.map((prompt) => model.generate({ ...OPTIONS, input_ids: [prompt] }));
    expect((await Promise.all(calls)).map((sequences) => rowsOf(sequences)[0])).toEqual(alone);
    expect(steps.count).toBeLessThanOrEqual(most);
    expect(steps.count).toBeGreaterThanOrEqual(least);
    vi.restoreAllMocks();
  }
});

test("one answer takes a step for each token", async () => {
  stepsTake(0.01);
  const steps = countSteps();
  await model.generate({ ...OPTIONS, input_ids: [PROMPTS[0]] });
  expect(steps.count).toBe(70);
});

test("nothing is computed ahead of the last tokens that are asked for", async () => {
  stepsTake(0.01);
  const ask = (max_new_tokens: number) =>
    Promise.all(PROMPTS.map((prompt) => model.generate({ ...OPTIONS, input_ids: [prompt], max_new_tokens })));
  // So that the pool has its pages, and what steps take is known.
  await ask(70);
  for (const [tokens, expected] of [
    [1, 1],
    [4, 4],
    [9, 1 + 4 / 4 + 4 / 4],
    [10, 1 + 8 / 4 + 1],
  ]) {
    const steps = countSteps();
    await ask(tokens);
    expect(steps.count, `${tokens}`).toBe(expected);
    steps.restore();
  }
});

test("the rows of a batch end where they end alone, each at another token", async () => {
  stepsTake(0.01);
  const width = Math.max(...PROMPTS.map(({ length }) => length));
  const padded = (rows: number[][], fill: number): number[][] =>
    rows.map((row) => [...Array<number>(width - row.length).fill(fill), ...row]);
  // A token that ends one answer in the middle, and perhaps others somewhere.
  for (const place of [1, 2, 3, 4, 17]) {
    const eos_token_id = alone[1][PROMPTS[1].length + place];
    const batch = await model.generate({
      ...OPTIONS,
      eos_token_id,
      input_ids: padded(PROMPTS, 0),
      attention_mask: padded(
        PROMPTS.map((row) => row.map(() => 1)),
        0,
      ),
    });
    const ends = alone
      .map((row, b) => row.slice(PROMPTS[b].length))
      .map((row) => row.slice(0, endOf(row, eos_token_id)));
    const longest = Math.max(...ends.map(({ length }) => length));
    expect(rowsOf(batch).map((row) => row.slice(width))).toEqual(
      ends.map((row) => [...row, ...Array<number>(longest - row.length).fill(COMMON.pad_token_id)]),
    );
  }
});

function endOf(row: readonly number[], eos: number): number {
  const at = row.indexOf(eos);
  return at < 0 ? row.length : at + 1;
}

test("calls that are stopped, aborted, joined or of another kind leave the others as they are", async () => {
  stepsTake(0.01);
  const told: number[][] = [];
  class Recorder extends BaseStreamer {
    put({ data }: Tensor): void {
      told.push(Array.from(data, Number));
    }
    end(): void {
      told.push([]);
    }
  }
  const controller = new AbortController();
  let steps = 0;
  const bytes = model.deviceBytes;
  const [streamed, stopped, aborted, sampled] = [
    model.generate({ ...OPTIONS, input_ids: [PROMPTS[0]], streamer: new Recorder() }),
    model.generate({ ...OPTIONS, input_ids: [PROMPTS[1]], stopping_criteria: [() => ++steps === 31] }),
    model.generate({ ...OPTIONS, input_ids: [PROMPTS[2]], signal: controller.signal }),
    model.generate({ ...OPTIONS, input_ids: [PROMPTS[3]], max_new_tokens: 9, do_sample: true, seed: 3 }),
  ];
  const failed = expect(aborted).rejects.toThrow("enough");
  await sampled;
  const late = model.generate({ ...OPTIONS, input_ids: [PROMPTS[3]] });
  await stopped;
  controller.abort(new Error("enough"));
  await failed;
  expect(rowsOf(await stopped)[0]).toEqual(alone[1].slice(0, PROMPTS[1].length + 31));
  expect(rowsOf(await late)[0]).toEqual(alone[3]);
  expect(rowsOf(await streamed)[0]).toEqual(alone[0]);
  const tokens = alone[0].slice(PROMPTS[0].length);
  expect(told).toEqual([PROMPTS[0], ...tokens.map((token) => [token]), []]);
  expect(model.deviceBytes).toBeGreaterThanOrEqual(bytes);
});

test("what is foreseen is not in the cache that is returned", async () => {
  stepsTake(0.01);
  const steps = countSteps();
  const tokens = 33;
  // The second one ends first: what is computed of it in the same list is nobody's.
  const [{ past_key_values }] = await Promise.all([
    model.generate({
      ...OPTIONS,
      input_ids: [PROMPTS[2]],
      max_new_tokens: tokens,
      return_dict_in_generate: true,
    }),
    model.generate({ ...OPTIONS, input_ids: [PROMPTS[0]] }),
  ]);
  expect(steps.count).toBeLessThan(50);
  const held = PROMPTS[2].length + tokens - 1;
  expect(past_key_values?.row(0).length).toBe(held);
  const next = [alone[2][held], ...words("something else", 40)];
  const { logits } = await model({ input_ids: [next], past_key_values });
  const { logits: fresh } = await model({ input_ids: [[...alone[2].slice(0, held), ...next]] });
  expect(logits.tolist()).toEqual([(fresh.tolist() as number[][][])[0].slice(-next.length)]);
});

test("a prompt's only row is what was given, which need not be a token", async () => {
  const D = model.config.text_config.hidden_size;
  const prompts = [1, 2].map((seed) => {
    const inputs_embeds = new Tensor("float32", [1, 1, D], words(`${seed}`, D));
    return { ...OPTIONS, max_new_tokens: 9, inputs_embeds };
  });
  const expected: number[][] = [];
  for (const prompt of prompts) expected.push(rowsOf(await model.generate(prompt))[0]);
  stepsTake(0.01);
  // How long steps take is known the second time.
  for (let round = 0; round < 2; round++) {
    const both = await Promise.all(prompts.map((prompt) => model.generate(prompt)));
    expect(both.map((sequences) => rowsOf(sequences)[0])).toEqual(expected);
  }
});

test("room for what is computed ahead is not insisted on", async () => {
  // Each answer fits in a page.
  const calls = [
    { input_ids: [PROMPTS[2]], max_new_tokens: 25 },
    { input_ids: [PROMPTS[0]], max_new_tokens: 60 },
  ];
  const take = PagePool.prototype.take;
  let most: number | undefined;
  vi.spyOn(PagePool.prototype, "take").mockImplementation(function (this: PagePool, n) {
    most ??= this.used + calls.length;
    if (this.used + n > most) throw new RangeError("out of memory");
    return take.call(this, n);
  });
  stepsTake(0.01);
  const steps = countSteps();
  const answers = await Promise.all(calls.map((call) => model.generate({ ...OPTIONS, ...call })));
  expect(answers.map((sequences) => rowsOf(sequences)[0])).toEqual([
    alone[2].slice(0, 40 + 25),
    alone[0].slice(0, 3 + 60),
  ]);
  // Those of the first answer's last rows, and of the second's when it is alone, are computed one by one.
  expect(steps.count).toBeLessThan(55);
});
