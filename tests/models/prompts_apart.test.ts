import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { avx512 } from "../../src/codegen/target.ts";
import type { Device } from "../../src/devices/device.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import type { GenerateOptions } from "../../src/generation/generate_options.ts";
import { BaseStreamer } from "../../src/generation/streamers.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { interpretedDevice } from "../kernels/interpreted_device.ts";
import { answer, COMMON, words } from "./answers.ts";
import { Expected, folderOf } from "./expected.ts";

/*
 * Where packed weights are expanded for prompts, and not for tokens that were chosen. No processor that does so is at
 * hand: the definition of the products stands in for one, and an interpreter of its instructions.
 */

class Expanding extends ReferenceDevice {
  override readonly multipliesExpanded = true;
}

const opened = vi.hoisted(() => ({ device: undefined as Device | undefined }));
vi.mock("../../src/api/devices.ts", () => ({ createDevice: async () => opened.device }));

/** A product of packed weights, and how many rows its input had. */
type Product = readonly [name: string, rows: number];

interface Opened {
  model: LlavaForConditionalGeneration;
  /** The products since the last time. */
  products(): Product[];
}

afterEach(() => vi.restoreAllMocks());

async function open(device: Device, more: object = {}): Promise<Opened> {
  let log: Product[] = [];
  const run = device.run.bind(device);
  device.run = (kernel, inputs, params) => {
    const rows = inputs.x?.shape[0] ?? 0;
    if (kernel.name === "expanded_linear" || kernel.name === "packed_linear") log.push([kernel.name, rows]);
    // Packing is not what is looked at here; an interpreter would take seconds for it.
    return run(kernel.name === "pack_weights" ? { ...kernel, vector: undefined } : kernel, inputs, params);
  };
  opened.device = device;
  const model = await LlavaForConditionalGeneration.from_pretrained(folderOf("hub-f32"), {
    dtype: "q4",
    ...more,
  });
  const products = (): Product[] => {
    const since = log;
    log = [];
    return since;
  };
  return { model, products };
}

/** Root of the summed squared differences over that of the squares. */
function error(got: readonly number[][], expected: readonly number[][]): number {
  let [differences, squares] = [0, 0];
  for (const [r, row] of expected.entries())
    for (const [i, value] of row.entries()) {
      differences += (got[r][i] - value) ** 2;
      squares += value ** 2;
    }
  return Math.sqrt(differences / squares);
}

/** The numbers of a batch [B, L, V] that are not padding's: [T][V] */
function rows({ data, shape: [, , V] }: Tensor, mask: readonly number[][]): number[][] {
  const numbers = Array.from(data, Number);
  return mask.flat().flatMap((one, i) => (one ? [numbers.slice(i * V, (i + 1) * V)] : []));
}

/** How many rows each of the products had, without repetitions. */
function rowsOf(products: readonly Product[], name: string): number[] {
  return [...new Set(products.filter(([own]) => own === name).map(([, rows]) => rows))];
}

/** A row without padding, though a token of the answer may be that of padding. */
function all(row: number[]): { input_ids: number[][]; attention_mask: number[][] } {
  return { input_ids: [row], attention_mask: [row.map(() => 1)] };
}

/** Resolves at its second token. */
class Second extends BaseStreamer {
  readonly reached: Promise<void>;
  #count = 0;
  #resolve: () => void = () => {};

  constructor() {
    super();
    this.reached = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  put(): void {
    // The prompt comes first.
    if (++this.#count === 3) this.#resolve();
  }

  end(): void {}
}

describe("a row is multiplied as what it is", () => {
  let model: LlavaForConditionalGeneration;
  let products: Opened["products"];
  const prompt = { input_ids: [words("prompt", 21)] };
  let alone: Awaited<ReturnType<typeof answer>>;

  beforeAll(async () => {
    ({ model, products } = await open(new Expanding(), { promptCacheBytes: 0 }));
    products();
    alone = await answer(model, prompt);
  });
  afterAll(() => model.dispose());

  async function same(options: GenerateOptions): Promise<void> {
    expect(await answer(model, { ...prompt, ...options })).toEqual(alone);
  }

  test("a prompt's by expanded weights, a chosen token's by bytes", () => {
    const seen = products();
    // The head looks at the last row.
    expect(rowsOf(seen, "expanded_linear")).toEqual([21, 1]);
    expect(rowsOf(seen, "packed_linear")).toEqual([1]);
    expect(seen.findIndex(([name]) => name === "packed_linear")).toBe(seen.length / COMMON.max_new_tokens);
  });

  test("in chunks of any size, one row among them", async () => {
    await same({ prefill_chunk_size: 5 });
    expect(rowsOf(products(), "expanded_linear")).toEqual([5, 1]);
    await same({ prefill_chunk_size: 1 });
  });

  test("while others are given, or choose", async () => {
    const others = [words("a", 1), words("b", 17)].map((ids) => ({ input_ids: [ids], max_new_tokens: 9 }));
    const expected = await Promise.all(others.map((other) => answer(model, other)));
    products();
    const streamer = new Second();
    const first = answer(model, { ...others[0], streamer });
    await streamer.reached;
    const rest = [answer(model, { ...prompt, prefill_chunk_size: 6 }), answer(model, others[1])];
    expect(await Promise.all([first, ...rest])).toEqual([expected[0], alone, expected[1]]);
    const seen = products();
    expect(Math.max(...rowsOf(seen, "packed_linear"))).toBeGreaterThan(1);
    expect(rowsOf(seen, "expanded_linear")).toContain(6 + 17);
  });

  test("in a batch, whose other rows are padded", async () => {
    const [row] = prompt.input_ids;
    const input_ids = [[...Array<number>(row.length - 1).fill(0), 7], row];
    const attention_mask = input_ids.map((ids) => ids.map((id) => Number(id !== 0)));
    const { ids, logits } = await answer(model, { input_ids, attention_mask });
    const V = alone.logits[0].length;
    expect((ids as number[][])[1]).toEqual((alone.ids as number[][])[0]);
    expect(logits.map((both) => both.slice(V))).toEqual(alone.logits);
    const one = await answer(model, { input_ids: [[7]] });
    expect(logits.map((both) => both.slice(0, V))).toEqual(one.logits);
  });

  test("when all is computed anew for every token, and when drafts are looked at together", async () => {
    products();
    await same({ use_cache: false });
    expect(rowsOf(products(), "packed_linear")).toEqual([1, 2, 3, 4]);
    const beams = { ...COMMON, ...prompt, num_beams: 3, return_dict_in_generate: true } as const;
    const [cached, anew] = await Promise.all([
      model.generate({ ...beams, output_scores: true }),
      model.generate({ ...beams, output_scores: true, use_cache: false }),
    ]);
    expect(anew.sequences.tolist()).toEqual(cached.sequences.tolist());
    expect(anew.scores).toEqual(cached.scores);
    cached.past_key_values?.dispose();
    // So that there is something to look up.
    const twice = { input_ids: [[...prompt.input_ids[0], ...prompt.input_ids[0]]], max_new_tokens: 8 };
    const plain = await answer(model, twice);
    products();
    expect(await answer(model, { ...twice, prompt_lookup_num_tokens: 3 })).toEqual(plain);
    expect(Math.max(...rowsOf(products(), "packed_linear"))).toBeGreaterThan(1);
  });

  test("by forward: one column after a cache is a token that was chosen", async () => {
    const [ids] = alone.ids as number[][];
    const [length] = prompt.input_ids.map((row) => row.length);
    let { logits, past_key_values } = await model(prompt);
    const last = logits.data.slice((length - 1) * logits.shape[2]);
    const rows = [Array.from(last, Number)];
    for (const id of ids.slice(length, -1)) {
      ({ logits, past_key_values } = await model({ input_ids: [[id]], past_key_values }));
      rows.push(Array.from(logits.data, Number));
    }
    past_key_values?.dispose();
    expect(rows).toEqual(alone.logits);
  });
});

test("on a processor with matrix tiles, however a prompt is cut into chunks", async () => {
  const target = avx512({ vnni: true, bf16: true, fp16: true, amx: true });
  const [tiles, definition] = [await open(interpretedDevice(target)), await open(new Expanding())];
  const prompt = { input_ids: [words("prompt", 7)], max_new_tokens: 2 };
  tiles.products();
  const got = await answer(tiles.model, prompt);
  expect(rowsOf(tiles.products(), "expanded_linear")).toEqual([7, 1]);
  expect(await answer(tiles.model, { ...prompt, prefill_chunk_size: 5 })).toEqual(got);
  const expected = await answer(definition.model, prompt);
  expect(got.ids).toEqual(expected.ids);
  expect(error(got.logits, expected.logits)).toBeLessThan(1e-6);
  await tiles.model.dispose();
  await definition.model.dispose();
});

test("closer to PyTorch's numbers than bytes", async () => {
  const expected = await Expected.read("hub-f32");
  const { input_ids, attention_mask } = expected.facts;
  const errors: number[] = [];
  for (const device of [new Expanding(), new ReferenceDevice()]) {
    const { model } = await open(device, { dtype: "q8" });
    const { logits } = await model({ input_ids, attention_mask, ...expected.pictures() });
    errors.push(error(rows(logits, attention_mask), rows(expected.tensor("logits"), attention_mask)));
    await model.dispose();
  }
  // 1.6e-2 and 2.1e-2: most of both is that weights have 8 bits.
  expect(errors[0]).toBeLessThan(0.85 * errors[1]);
  expect(errors[1]).toBeLessThan(0.03);
});

describe("what prompts have in common", () => {
  test("ends where the answer begins, whose rows would be others in a prompt", async () => {
    const [{ model: cold }, { model }] = [
      await open(new Expanding(), { promptCacheBytes: 0 }),
      await open(new Expanding()),
    ];
    const question = { input_ids: [words("question", 61)], max_new_tokens: 9 };
    const { ids } = await answer(model, question);
    const [row] = ids as number[][];
    const next = { ...all([...row, ...words("and", 9)]), max_new_tokens: 2 };
    expect(await answer(model, next)).toEqual(await answer(cold, next));
    expect(model.caches.prompts).toMatchObject({ hits: 1, tokens: 61 });
    // The same rows, given.
    expect(await answer(model, next)).toEqual(await answer(cold, next));
    expect(model.caches.prompts).toMatchObject({ hits: 2, tokens: 61 + (61 + 9 + 9 - 1) });
    await Promise.all([cold.dispose(), model.dispose()]);
  });

  test("is not computed ahead from: a prompt's last row is multiplied as the rows before it", async () => {
    // Steps take no time.
    vi.spyOn(performance, "now").mockReturnValue(0);
    const { model, products } = await open(new Expanding());
    const prompts = [words("one", 61), words("other", 30)].map((ids) => ({ ...COMMON, input_ids: [ids] }));
    const both = async (): Promise<unknown[]> =>
      (await Promise.all(prompts.map((prompt) => model.generate(prompt)))).map((ids) => ids.tolist());
    const computed = await both();
    products();
    expect(await both()).toEqual(computed);
    expect(rowsOf(products(), "expanded_linear")).toEqual([2]);
    expect(model.caches.prompts).toMatchObject({ hits: 2, tokens: 60 + 29 });
    await model.dispose();
  });

  test("reaches into the answer where products are the same", async () => {
    const { model } = await open(new ReferenceDevice());
    const { ids } = await answer(model, { input_ids: [words("question", 61)], max_new_tokens: 9 });
    await answer(model, { ...all([...(ids as number[][])[0], 7]), max_new_tokens: 1 });
    expect(model.caches.prompts).toMatchObject({ hits: 1, tokens: 61 + 9 - 1 });
    await model.dispose();
  });
});
