import { describe, expect, test } from "vitest";
import { LlavaForConditionalGeneration } from "../../src/api/modeling_llava.ts";
import { PictureCache, type Pixels } from "../../src/api/picture_cache.ts";
import type { FeatureSelection } from "../../src/models/llava/modeling_llava.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { Expected, folderOf } from "../models/expected.ts";

const SELECTION: FeatureSelection = { vision_feature_layer: -2, vision_feature_select_strategy: "default" };
/** Of one picture: [2, 3] float32. */
const BYTES = 24;

/** A tower that adds one and notes what it was shown. It looks until it is told to go on. */
class Tower {
  readonly seen: number[][] = [];
  readonly #waiting: { go: () => void; fail: (error: unknown) => void }[] = [];
  slow = false;

  readonly look = async (
    { pixel_values }: Pixels,
    _: FeatureSelection,
    signal?: AbortSignal,
  ): Promise<Tensor> => {
    const pixels = Array.from(pixel_values.data, Number);
    this.seen.push(pixels);
    if (this.slow) {
      await new Promise<void>((go, fail) => {
        this.#waiting.push({ go, fail });
        signal?.addEventListener("abort", () => fail(signal.reason));
      });
    }
    return new Tensor(
      "float32",
      [pixel_values.shape[0] * 2, 3],
      pixels.map((x) => x + 1),
    );
  };

  /** Lets the oldest look that still waits end. */
  async next(): Promise<void> {
    while (this.#waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    this.#waiting.shift()?.go();
  }

  cache(limit: number, divisible = true): PictureCache {
    return new PictureCache(limit, this.look, () => divisible);
  }
}

/** Pictures [1, 2, 3] of one number each. */
function pictures(...numbers: number[]): Pixels {
  const pixels = numbers.flatMap((number) => Array(6).fill(number));
  return { pixel_values: new Tensor("float32", [numbers.length, 1, 2, 3], pixels), options: {} };
}

function numbers({ data }: Tensor): number[] {
  return Array.from(data as Float32Array);
}

describe("a picture", () => {
  test("is looked at once, wherever it stands among others", async () => {
    const tower = new Tower();
    const cache = tower.cache(1000);
    const first = await cache.look(pictures(1, 2), SELECTION);
    const second = await cache.look(pictures(2, 3, 1), SELECTION);
    expect(tower.seen.map(([pixel]) => pixel)).toEqual([1, 2, 3]);
    expect(second.rows.shape).toEqual([6, 3]);
    expect(numbers(second.rows)).toEqual([3, 4, 2].flatMap((x) => Array(6).fill(x)));
    expect(second.names?.slice(0, 2)).toEqual(first.names?.slice(2));
    expect(new Set(second.names).size).toBe(6);
    expect(cache.report).toEqual({ hits: 2, misses: 3, pictures: 3, bytes: 3 * BYTES, limit: 1000 });
  });

  test("is another with other sizes, layers, or a last number that differs", async () => {
    const tower = new Tower();
    const cache = tower.cache(1000);
    const { pixel_values } = pictures(1);
    const sizes = (width: number) => ({ pixel_values, options: { image_sizes: [[2, width]] } });
    const all = [
      await cache.look(pictures(1), SELECTION),
      await cache.look(sizes(2), SELECTION),
      await cache.look(sizes(3), SELECTION),
      await cache.look(pictures(1), { ...SELECTION, vision_feature_layer: -1 }),
      await cache.look(pictures(1), { ...SELECTION, vision_feature_select_strategy: "full" }),
      await cache.look(
        { pixel_values: new Tensor("float32", [1, 1, 3, 2], pixel_values.data), options: {} },
        SELECTION,
      ),
    ];
    expect(tower.seen.length).toBe(6);
    expect(new Set(all.map(({ names }) => names?.[0])).size).toBe(6);
  });

  test("stays what it was when it was given, whatever becomes of the caller's numbers", async () => {
    const tower = new Tower();
    const cache = tower.cache(1000);
    const given = pictures(1);
    const looking = cache.look(given, SELECTION);
    given.pixel_values.data.fill(9 as never);
    expect((await looking).rows.data[0]).toBe(2);
    expect((await cache.look(pictures(1), SELECTION)).rows.data[0]).toBe(2);
    expect((await cache.look(given, SELECTION)).rows.data[0]).toBe(10);
  });

  test("is not taken apart from others where the tower sees them as one", async () => {
    const tower = new Tower();
    const cache = tower.cache(1000, false);
    await cache.look(pictures(1, 2), SELECTION);
    await cache.look(pictures(1), SELECTION);
    await cache.look(pictures(1, 2), SELECTION);
    expect(tower.seen.map(({ length }) => length)).toEqual([12, 6]);
  });

  test("gives way to newer ones, the one used longest ago first", async () => {
    const tower = new Tower();
    const cache = tower.cache(2 * BYTES);
    for (const number of [1, 2, 1, 3, 1]) await cache.look(pictures(number), SELECTION);
    expect(tower.seen.map(([pixel]) => pixel)).toEqual([1, 2, 3]);
    expect(cache.report).toMatchObject({ pictures: 2, bytes: 2 * BYTES });
    await cache.look(pictures(2), SELECTION);
    expect(tower.seen.length).toBe(4);
    // Larger than all that may be kept: it is looked at, and not kept.
    const small = tower.cache(BYTES - 1);
    expect((await small.look(pictures(1), SELECTION)).rows.shape).toEqual([2, 3]);
    expect(small.report).toMatchObject({ pictures: 0, bytes: 0 });
    const many = tower.cache(1e6);
    for (let i = 0; i < 80; i++) await many.look(pictures(i), SELECTION);
    expect(many.report).toMatchObject({ pictures: 64, bytes: 64 * BYTES });
  });

  test("is not kept without room for any", async () => {
    const tower = new Tower();
    const cache = tower.cache(0);
    for (let i = 0; i < 2; i++) await cache.look(pictures(1), SELECTION);
    expect(tower.seen.length).toBe(2);
    expect(cache.report).toEqual({ hits: 0, misses: 0, pictures: 0, bytes: 0, limit: 0 });
  });

  test("that two ask for at once is looked at once; if the first gives up, for the second", async () => {
    const tower = new Tower();
    tower.slow = true;
    const cache = tower.cache(1000);
    const both = [cache.look(pictures(1), SELECTION), cache.look(pictures(1), SELECTION)];
    await tower.next();
    const [first, second] = await Promise.all(both);
    expect(second.rows).toBe(first.rows);
    expect(tower.seen.length).toBe(1);

    const controller = new AbortController();
    const stopped = cache.look(pictures(2), SELECTION, controller.signal);
    const behind = cache.look(pictures(2), SELECTION);
    while (tower.seen.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    controller.abort(new Error("enough"));
    await expect(stopped).rejects.toThrow("enough");
    await tower.next();
    await tower.next();
    expect((await behind).rows.data[0]).toBe(3);
    expect(cache.report).toMatchObject({ pictures: 2, bytes: 2 * BYTES });
  });

  test("that could not be looked at is tried again", async () => {
    let failures = 2;
    const tower = new Tower();
    const cache = new PictureCache(
      1000,
      async (...look) => {
        if (failures-- > 0) throw new Error("no");
        return tower.look(...look);
      },
      () => true,
    );
    const both = [cache.look(pictures(1), SELECTION), cache.look(pictures(1), SELECTION)];
    for (const one of both) await expect(one).rejects.toThrow("no");
    expect((await cache.look(pictures(1), SELECTION)).rows.data[0]).toBe(2);
  });
});

test.each(["hub-f32", "siglip-qwen2-bf16", "pixtral-mistral-bf16"])(
  "forward of %s gives the same bits for pictures that it has seen, alone or with others",
  async (checkpoint) => {
    const expected = await Expected.read(checkpoint);
    const folder = folderOf(checkpoint);
    const cold = await LlavaForConditionalGeneration.from_pretrained(folder, { pictureCacheBytes: 0 });
    const model = await LlavaForConditionalGeneration.from_pretrained(folder);
    const { input_ids, attention_mask } = expected.facts;
    const both = { input_ids, attention_mask, ...expected.pictures() };
    const last = {
      input_ids: input_ids.slice(1),
      attention_mask: attention_mask.slice(1),
      ...expected.pictures(2),
    };
    const outputs = async (of: LlavaForConditionalGeneration, inputs: object) => {
      const { logits, image_hidden_states, past_key_values } = await of.forward(inputs);
      past_key_values?.dispose();
      return [logits, image_hidden_states].map((tensor) => tensor && numbers(tensor));
    };
    for (const inputs of [last, both, last]) {
      const seen = await outputs(model, inputs);
      expect(seen).toEqual(await outputs(cold, inputs));
      // What callers do with what they were given is their own affair.
      const { image_hidden_states } = await model.forward(inputs);
      image_hidden_states?.data.fill(0 as never);
    }
    expect(model.caches.pictures).toMatchObject({ misses: 3, hits: 7 });
    await model.dispose();
    await cold.dispose();
  },
);
