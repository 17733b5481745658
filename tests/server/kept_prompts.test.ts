import { expect, test, vi } from "vitest";
import { KeptPrompts } from "../../server/kept_prompts.ts";
import type { Prompt } from "../../server/prompt.ts";
import { RawImage, Tensor } from "../../src/index.ts";

function grey(): RawImage {
  return new RawImage({ data: new Uint8Array(18), width: 3, height: 2, channels: 3 });
}

function asked(text: string, image?: RawImage): object[] {
  const content = image ? [{ type: "image", image }] : [];
  return [{ role: "user", content: [...content, { type: "text", text }] }];
}

function prompt(floats = 6): Prompt {
  return {
    ids: [1, 2],
    pictures: 1,
    pixel_values: new Tensor("float32", [floats], new Float32Array(floats)),
  };
}

test("a conversation of the same texts and pictures is made once, any other again", async () => {
  const kept = new KeptPrompts();
  const make = vi.fn(async () => prompt());
  const [one, other] = [grey(), grey()];
  const [first, again] = await Promise.all([
    kept.take(asked("a", one), make),
    kept.take(asked("a", one), make),
  ]);
  expect(again).toBe(first);
  expect(await kept.take(asked("a", one), make)).toBe(first);
  expect(make).toHaveBeenCalledTimes(1);
  // An equal picture that is another object, another text, none at all, another role.
  await kept.take(asked("a", other), make);
  await kept.take(asked("b", one), make);
  await kept.take(asked("a"), make);
  await kept.take([{ ...asked("a", one)[0], role: "assistant" }], make);
  expect(make).toHaveBeenCalledTimes(5);
});

test("what fails is not kept, nor what is long; the rest is bounded by number and by bytes", async () => {
  const kept = new KeptPrompts();
  await expect(kept.take(asked("a"), () => Promise.reject(new Error("no template")))).rejects.toThrow();
  const make = vi.fn(async () => prompt());
  await kept.take(asked("a"), make);
  for (let i = 0; i < 2; i++) await kept.take(asked("x".repeat(10_000)), make);
  expect(make).toHaveBeenCalledTimes(3);
  for (let i = 0; i < 63; i++) await kept.take(asked(`${i}`), make);
  await kept.take(asked("a"), make);
  expect(make).toHaveBeenCalledTimes(66);
  await kept.take(asked("new"), make);
  await kept.take(asked("a"), make);
  expect(make).toHaveBeenCalledTimes(67);
  await kept.take(asked("0"), make);
  expect(make).toHaveBeenCalledTimes(68);
  for (let i = 0; i < 3; i++) await kept.take(asked(`large ${i}`), async () => prompt(6_000_000));
  await kept.take(asked("a"), make);
  expect(make).toHaveBeenCalledTimes(69);
});
