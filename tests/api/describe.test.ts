import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { describe as describePicture, disposeModels, ImageError, OptionError } from "../../src/index.ts";

const PICTURES = new URL("../../checkpoints/llava-demo/pictures/", import.meta.url);

interface Recorded {
  pictures: { file: string; conversations: { question: string; answer: string }[][] }[];
}

/** What Transformers answered. */
const { pictures } = JSON.parse(await readFile(new URL("pictures.json", PICTURES), "utf8")) as Recorded;
const [{ file, conversations }] = pictures;
const [{ question, answer }] = conversations.find((turns) => turns.length === 1) ?? [];
const picture = fileURLToPath(new URL(file, PICTURES));

afterAll(disposeModels);

test("describe answers, with nothing but a picture and a question", async () => {
  expect(await describePicture(picture, question)).toBe(answer.trim());
  expect(await describePicture(new Uint8Array(await readFile(picture)), question)).toBe(answer.trim());
});

test("the answer comes piece by piece, too", async () => {
  const pieces: string[] = [];
  const whole = await describePicture(picture, question, { stream: (text) => pieces.push(text) });
  expect(pieces.length).toBeGreaterThan(2);
  expect(pieces.join("").trim()).toBe(whole);
});

test("the model is loaded once", async () => {
  let loads = 0;
  const progress_callback = () => loads++;
  await describePicture([picture, picture], "Compare them.", { progress_callback, max_new_tokens: 2 });
  expect(loads).toBe(0);
});

test("words are drawn where a temperature is given, the same for the same seed", async () => {
  const ask = (seed: number) =>
    describePicture(picture, question, { temperature: 3, seed, max_new_tokens: 8 });
  const [first, again, other] = [await ask(5), await ask(5), await ask(6)];
  expect(again).toBe(first);
  expect(other).not.toBe(first);
});

test("what cannot be is said", async () => {
  await expect(describePicture("no-such-picture.jpg")).rejects.toThrow(ImageError);
  await expect(describePicture(picture, question, { temperature: -1 })).rejects.toThrow(OptionError);
  const wrong = { max_tokens: 3 } as object;
  await expect(describePicture(picture, question, wrong)).rejects.toThrow(/unknown option 'max_tokens'/);
});
