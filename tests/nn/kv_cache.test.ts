import { describe, expect, test, vi } from "vitest";
import { OptionError } from "../../src/base/errors.ts";
import type { Spec, Value } from "../../src/devices/device.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
import { KVCache } from "../../src/nn/kv_cache.ts";
import { sizeOf } from "../../src/tensor/tensor.ts";
import { seeded } from "../random.ts";
import { Lab, PAGE, SHAPE, tokens, WIDTH } from "./cache_lab.ts";

describe("a sequence", () => {
  test("holds what was appended, over pages", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    let next = 0;
    for (const count of [1, 62, 1, 1, 80, 3]) {
      await lab.append(cache, tokens(next, count));
      next += count;
    }
    await lab.expectHeld(cache, tokens(0, 148));
    expect(cache.pages.length).toBe(3);
    expect(lab.pool.used).toBe(3);
  });

  test("takes no more pages for room that was prepared and not used", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await cache.prepare(100);
    await cache.prepare(100);
    await cache.prepare(3);
    expect(lab.pool.used).toBe(2);
    await lab.append(cache, tokens(0, 128));
    await lab.expectHeld(cache, tokens(0, 128));
    expect(lab.pool.used).toBe(2);
  });

  test("forgets what is cropped, and gives the pages back", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 200));
    cache.crop(70);
    expect(lab.pool.used).toBe(2);
    await lab.append(cache, tokens(500, 60));
    await lab.expectHeld(cache, [...tokens(0, 70), ...tokens(500, 60)]);
    cache.crop(64);
    expect(lab.pool.used).toBe(1);
    await lab.append(cache, [900]);
    await lab.expectHeld(cache, [...tokens(0, 64), 900]);
    cache.crop(300);
    expect(cache.length).toBe(65);
    cache.crop(0);
    expect(lab.pool.used).toBe(0);
    await lab.append(cache, [901]);
    await lab.expectHeld(cache, [901]);
  });

  test("gives all pages back once it is disposed, and cannot be used again", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 130));
    cache.dispose();
    cache.dispose();
    const unused = lab.cache();
    await unused.prepare(100);
    unused.dispose();
    expect(lab.pool.used).toBe(0);
    await expect(cache.prepare(1)).rejects.toThrow(OptionError);
  });
});

describe("a page of which the first tokens are taken over", () => {
  async function adopted(): Promise<{ lab: Lab; first: KVCache; second: KVCache }> {
    const lab = new Lab();
    const first = lab.cache();
    await lab.append(first, tokens(0, 100));
    const second = lab.cache();
    second.adopt(first.pages[0], PAGE);
    second.adopt(first.pages[1], 20);
    return { lab, first, second };
  }

  test("is copied in the step that writes to it", async () => {
    const { lab, first, second } = await adopted();
    expect(lab.pool.used).toBe(2);
    await second.prepare(3);
    expect(lab.pool.used).toBe(3);
    expect(second.pages[1]).not.toBe(first.pages[1]);
    await lab.fillRows([second], [tokens(500, 3)]);
    await lab.append(first, [7]);
    await lab.expectHeld(second, [...tokens(0, 84), ...tokens(500, 3)]);
    await lab.expectHeld(first, [...tokens(0, 100), 7]);
    second.dispose();
    first.dispose();
    expect(lab.pool.used).toBe(0);
  });

  test("outlives the sequence that computed it, and is written to where nobody else looks at it", async () => {
    const { lab, first, second } = await adopted();
    const [, page] = first.pages;
    first.dispose();
    await second.prepare(1);
    expect(second.pages[1]).toBe(page);
    await lab.fillRows([second], [[500]]);
    await lab.expectHeld(second, [...tokens(0, 84), 500]);
  });

  test("is what a clone has, though the copy has not been made", async () => {
    const { lab, first, second } = await adopted();
    await second.prepare(1);
    const copy = second.clone();
    await lab.fillRows([second], [[500]]);
    first.dispose();
    await lab.append(copy, [600]);
    await lab.expectHeld(second, [...tokens(0, 84), 500]);
    await lab.expectHeld(copy, [...tokens(0, 84), 600]);
  });

  test.each([0, 64, 70])(
    "is given back where all but %i tokens are forgotten before it was copied",
    async (length) => {
      const { lab, first, second } = await adopted();
      await second.prepare(1);
      second.crop(length);
      await second.prepare(1);
      await lab.fillRows([second], [[500]]);
      await lab.expectHeld(second, [...tokens(0, length), 500]);
      second.dispose();
      first.dispose();
      expect(lab.pool.used).toBe(0);
    },
  );
});

describe("tokens that are foreseen", () => {
  test("are held once they are confirmed, one by one", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 62));
    await cache.prepare(5);
    await lab.fill(cache, [62]);
    await lab.foresee(cache, [63, 64]);
    await lab.foresee(cache, [65]);
    expect(cache.length).toBe(63);
    expect(cache.heldPages.length).toBe(2);
    expect([cache.confirm(), cache.confirm()]).toEqual([true, true]);
    await lab.expectHeld(cache, tokens(0, 65));
    await lab.append(cache, [900]);
    expect(cache.confirm()).toBe(false);
    await lab.expectHeld(cache, [...tokens(0, 65), 900]);
  });

  test.each([
    ["cropped", (cache: KVCache) => cache.crop(10)],
    ["cropped to what it held", (cache: KVCache) => cache.crop(cache.length)],
    ["disposed", (cache: KVCache) => cache.dispose()],
  ])("are none once the cache is %s", async (_, change) => {
    const lab = new Lab();
    const cache = lab.cache();
    await cache.prepare(66);
    await lab.fill(cache, tokens(0, 63));
    await lab.foresee(cache, [63, 64, 65]);
    change(cache);
    expect(cache.confirm()).toBe(false);
    expect(cache.pages.length).toBe(Math.ceil(cache.length / PAGE));
    expect(lab.pool.used).toBe(cache.pages.length);
  });

  test("are not a clone's", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await cache.prepare(66);
    await lab.fill(cache, tokens(0, 10));
    await lab.foresee(cache, [10, 11]);
    const copy = cache.clone();
    expect(copy.confirm()).toBe(false);
    await lab.append(copy, tokens(500, 2));
    expect(cache.confirm()).toBe(true);
    await lab.expectHeld(cache, tokens(0, 11));
    await lab.expectHeld(copy, [...tokens(0, 10), ...tokens(500, 2)]);
  });
});

describe("fewer bits", () => {
  test.each([
    ["float32", 2 * 2 * 2 * 3 * 4],
    ["float16", 2 * 2 * 2 * 3 * 2],
    ["q8", 2 * 2 * 2 * (3 + 4)],
  ] as const)("%s: pages grow, are shared and are copied as they are", async (dtype, bytes) => {
    const lab = new Lab(new ReferenceDevice(), dtype);
    expect(lab.pool.pageBytes).toBe(PAGE * bytes);
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 100));
    const copy = cache.clone();
    await lab.append(copy, tokens(300, 400));
    await lab.append(cache, tokens(900, 3));
    await lab.expectHeld(copy, [...tokens(0, 100), ...tokens(300, 400)]);
    await lab.expectHeld(cache, [...tokens(0, 100), ...tokens(900, 3)]);
    expect(lab.device.bytes % (PAGE * bytes)).toBe(0);
    copy.crop(70);
    await lab.append(copy, tokens(500, 1));
    await lab.expectHeld(copy, [...tokens(0, 70), 500]);
  });
});

describe("a clone", () => {
  test("shares pages until one of the two writes, then both go their own way", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 100));
    const copy = cache.clone();
    expect(copy.pages).toEqual(cache.pages);
    expect(lab.pool.used).toBe(2);

    await lab.append(copy, tokens(300, 5));
    expect(copy.pages[0]).toBe(cache.pages[0]);
    expect(copy.pages[1]).not.toBe(cache.pages[1]);
    expect(lab.pool.used).toBe(3);
    await lab.append(cache, tokens(700, 90));
    expect(lab.pool.used).toBe(4);
    await lab.expectHeld(copy, [...tokens(0, 100), ...tokens(300, 5)]);
    await lab.expectHeld(cache, [...tokens(0, 100), ...tokens(700, 90)]);
  });

  test("leaves the page to the one that it was made from, until that one forgets something", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 10));
    const copy = cache.clone();
    const page = cache.pages[0];
    await lab.append(cache, tokens(100, 5));
    expect(cache.pages).toEqual([page]);
    expect(lab.pool.used).toBe(1);
    await lab.expectHeld(copy, tokens(0, 10));
    const longer = cache.clone();
    cache.crop(12);
    await lab.append(cache, tokens(200, 3));
    expect(cache.pages).not.toEqual([page]);
    await lab.append(copy, tokens(300, 2));
    await lab.append(longer, tokens(400, 1));
    expect(longer.pages).toEqual([page]);
    await lab.expectHeld(cache, [...tokens(0, 10), 100, 101, ...tokens(200, 3)]);
    await lab.expectHeld(copy, [...tokens(0, 10), ...tokens(300, 2)]);
    await lab.expectHeld(longer, [...tokens(0, 10), ...tokens(100, 5), 400]);
  });

  test("of several that go on at once, the last one needs no copy", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 70));
    const copies = [cache.clone(), cache.clone(), cache.clone()];
    cache.dispose();
    await KVCache.prepare(copies, [1, 2, 3]);
    expect(lab.pool.used).toBe(1 + 3);
    for (const [i, copy] of copies.entries()) await lab.fill(copy, tokens(100 * (i + 1), i + 1));
    for (const [i, copy] of copies.entries())
      await lab.expectHeld(copy, [...tokens(0, 70), ...tokens(100 * (i + 1), i + 1)]);
  });

  test("needs no copy where the last page is full", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 64));
    const copy = cache.clone();
    await lab.append(copy, [5]);
    expect(lab.pool.used).toBe(2);
    await lab.append(cache, [6]);
    expect(lab.pool.used).toBe(3);
    await lab.expectHeld(copy, [...tokens(0, 64), 5]);
    await lab.expectHeld(cache, [...tokens(0, 64), 6]);
  });

  test("takes no part in room that was only prepared", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 10));
    await cache.prepare(200);
    const copy = cache.clone();
    expect(copy.pages.length).toBe(1);
    copy.dispose();
    cache.dispose();
    expect(lab.pool.used).toBe(0);
  });

  test("that is cropped into a shared page copies it before it writes", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 128));
    const copy = cache.clone();
    copy.crop(30);
    await lab.append(copy, tokens(400, 50));
    await lab.expectHeld(copy, [...tokens(0, 30), ...tokens(400, 50)]);
    await lab.expectHeld(cache, tokens(0, 128));
  });

  test("keeps the pages when the first is disposed, in any order", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 100));
    const copies = [cache.clone(), cache.clone(), cache.clone()];
    await lab.append(copies[1], [55]);
    cache.dispose();
    copies[2].dispose();
    expect(lab.pool.used).toBe(3);
    await lab.append(copies[0], [77]);
    expect(lab.pool.used).toBe(3);
    await lab.expectHeld(copies[0], [...tokens(0, 100), 77]);
    await lab.expectHeld(copies[1], [...tokens(0, 100), 55]);
    copies[0].dispose();
    copies[1].dispose();
    expect(lab.pool.used).toBe(0);
  });

  test("and its original may make room at once", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 100));
    const copies = [cache.clone(), cache.clone(), cache];
    await Promise.all(copies.map((copy, i) => lab.append(copy, [i])));
    for (const [i, copy] of copies.entries()) await lab.expectHeld(copy, [...tokens(0, 100), i]);
    for (const copy of copies) copy.dispose();
    expect(lab.pool.used).toBe(0);
  });
});

describe("the pool", () => {
  test("grows without touching what others hold", async () => {
    const lab = new Lab();
    const [first, second] = [lab.cache(), lab.cache()];
    await lab.append(first, tokens(0, 100));
    const before = lab.device.bytes;
    await lab.append(second, tokens(1000, 700));
    expect(lab.device.bytes).toBeGreaterThan(before);
    await lab.expectHeld(first, tokens(0, 100));
    await lab.expectHeld(second, tokens(1000, 700));
    await lab.append(first, tokens(100, 300));
    await lab.expectHeld(first, tokens(0, 400));
    await lab.expectHeld(second, tokens(1000, 700));
  });

  test("loses nothing of what is appended to one sequence while it grows for another", async () => {
    const lab = new Lab();
    const [first, second] = [lab.cache(), lab.cache()];
    await lab.append(first, tokens(0, 10));
    await first.prepare(50);
    let done = false;
    const growing = second.prepare(2000).then(() => {
      done = true;
    });
    let next = 10;
    while (!done && next < 60) await lab.fill(first, [next++]);
    await growing;
    expect(next).toBeGreaterThan(11);
    await lab.expectHeld(first, tokens(0, next));
  });

  test("holds no more than its pages once it has grown", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    for (let i = 0; i < 12; i++) await lab.append(cache, tokens(i * 64, 64));
    await lab.device.step(() => []);
    const pages = lab.pool.layer(0).keys.shape[0];
    expect(pages).toBeGreaterThanOrEqual(12);
    expect(pages).toBeLessThanOrEqual(24);
    expect(lab.device.bytes).toBe(pages * PAGE * WIDTH * 4 * SHAPE.layers * 2);
    lab.pool.dispose();
    await lab.device.step(() => []);
    expect(lab.device.bytes).toBe(0);
  });

  test("gives no page to two sequences that ask at once", async () => {
    const lab = new Lab();
    const caches = Array.from({ length: 9 }, () => lab.cache());
    await Promise.all(caches.map((cache, i) => lab.append(cache, tokens(i * 1000, 30 + i * 40))));
    const pages = caches.flatMap((cache) => cache.pages);
    expect(new Set(pages).size).toBe(pages.length);
    expect(lab.pool.used).toBe(pages.length);
    for (const [i, cache] of caches.entries()) await lab.expectHeld(cache, tokens(i * 1000, 30 + i * 40));
  });

  test("gives pages again that were given back, and does not grow for them", async () => {
    const lab = new Lab();
    const other = lab.cache();
    await lab.append(other, tokens(5000, 70));
    for (let i = 0; i < 20; i++) {
      const cache = lab.cache();
      await lab.append(cache, tokens(i * 10, 120));
      await lab.expectHeld(cache, tokens(i * 10, 120));
      cache.dispose();
    }
    expect(lab.pool.layer(0).keys.shape[0]).toBe(4);
    await lab.expectHeld(other, tokens(5000, 70));
  });

  test("that cannot grow fails who asked, and goes on for the others", async () => {
    // Room for the larger pools of the first layer, but not of the second.
    class Small extends ReferenceDevice {
      override allocate(spec: Spec): Value {
        if (this.bytes + 4 * sizeOf(spec.shape) > 300_000) throw new RangeError("out of memory");
        return super.allocate(spec);
      }
    }
    const lab = new Lab(new Small());
    const [first, greedy, third] = [lab.cache(), lab.cache(), lab.cache()];
    await lab.append(first, tokens(0, 100));
    await expect(greedy.prepare(64 * 60)).rejects.toThrow("out of memory");
    greedy.dispose();
    await lab.append(third, tokens(300, 500));
    await lab.append(first, tokens(100, 100));
    await lab.expectHeld(first, tokens(0, 200));
    await lab.expectHeld(third, tokens(300, 500));
    third.dispose();
    first.dispose();
    expect(lab.pool.used).toBe(0);
  });

  test("loses no page where one cannot be copied", async () => {
    const lab = new Lab();
    const cache = lab.cache();
    await lab.append(cache, tokens(0, 100));
    const copy = cache.clone();
    const step = vi.spyOn(lab.device, "step").mockRejectedValueOnce(new RangeError("out of memory"));
    await expect(copy.prepare(1)).rejects.toThrow("out of memory");
    step.mockRestore();
    expect(lab.pool.used).toBe(2);
    await lab.append(copy, [500]);
    await lab.expectHeld(copy, [...tokens(0, 100), 500]);
    await lab.expectHeld(cache, tokens(0, 100));
  });

  test("keeps count through any course of events", async () => {
    const random = seeded("events");
    const lab = new Lab();
    const live: { cache: KVCache; held: number[] }[] = [];
    for (let i = 0; i < 150; i++) {
      const at = Math.floor(random() * live.length);
      const one = live[at];
      const event = random();
      if (!one || event < 0.15) live.push({ cache: lab.cache(), held: [] });
      else if (event < 0.35 && live.length < 8) live.push({ cache: one.cache.clone(), held: [...one.held] });
      else if (event < 0.5) {
        one.held.length = Math.floor(random() * (one.held.length + 1));
        one.cache.crop(one.held.length);
      } else if (event < 0.6) {
        one.cache.dispose();
        live.splice(at, 1);
      } else {
        const added = tokens(i * 100, 1 + Math.floor(random() * 70));
        await lab.append(one.cache, added);
        one.held.push(...added);
      }
      expect(lab.pool.used).toBe(new Set(live.flatMap(({ cache }) => cache.pages)).size);
    }
    for (const { cache, held } of live) await lab.expectHeld(cache, held);
    for (const { cache } of live) cache.dispose();
    expect(lab.pool.used).toBe(0);
  });
});
