import { expect, test, vi } from "vitest";
import { PictureCache } from "../../server/picture_cache.ts";
import { RawImage } from "../../src/index.ts";

function grey(width: number, height: number): RawImage {
  return new RawImage({ data: new Uint8Array(width * height * 3), width, height, channels: 3 });
}

test("equal files are decoded once, others each, and what fails is not kept", async () => {
  const cache = new PictureCache();
  const decode = vi.fn(async () => grey(3, 2));
  const first = await cache.read(Uint8Array.of(1, 2), decode);
  expect(await cache.read(Uint8Array.of(1, 2), decode)).toBe(first);
  expect(await cache.read(Uint8Array.of(2, 1), decode)).not.toBe(first);
  await expect(cache.read(Uint8Array.of(3), () => Promise.reject(new Error("no picture")))).rejects.toThrow();
  await cache.read(Uint8Array.of(3), decode);
  expect(decode).toHaveBeenCalledTimes(3);
});

test("an address that comes at once several times is decoded once; where that fails, each fails by itself", async () => {
  const cache = new PictureCache();
  const decode = vi.fn(async () => grey(3, 2));
  const [first, second] = await Promise.all([cache.read("data:a", decode), cache.read("data:a", decode)]);
  expect(second).toBe(first);
  expect(decode).toHaveBeenCalledOnce();
  const failing = ["one", "two"].map((why) => cache.read("data:b", () => Promise.reject(new Error(why))));
  const reasons = (await Promise.allSettled(failing)).map(
    (result) => "reason" in result && result.reason.message,
  );
  expect(reasons).toEqual(["one", "two"]);
  await cache.read("data:b", decode);
  expect(decode).toHaveBeenCalledTimes(2);
});

test("what is kept is bounded, by number and by bytes; what was used last stays", async () => {
  const cache = new PictureCache();
  const kept = await cache.read(Uint8Array.of(255), async () => grey(3, 2));
  for (let i = 0; i < 100; i++) {
    await cache.read(Uint8Array.of(i), async () => grey(3, 2));
    expect(await cache.read(Uint8Array.of(255), async () => grey(3, 2))).toBe(kept);
  }
  const again = vi.fn(async () => grey(3, 2));
  await cache.read(Uint8Array.of(0), again);
  expect(again).toHaveBeenCalledOnce();
  for (let i = 0; i < 4; i++) await cache.read(Uint8Array.of(9, i), async () => grey(5000, 3000));
  await cache.read(Uint8Array.of(255), again);
  expect(again).toHaveBeenCalledTimes(2);
});
