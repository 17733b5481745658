import { expect, test } from "vitest";
import { Sequence } from "../../src/generation/sequence.ts";
import { Lab } from "../nn/cache_lab.ts";

/** A sequence of two tokens, of which the rows of the next two are foreseen. */
async function foreseen(): Promise<Sequence> {
  const lab = new Lab();
  const sequence = new Sequence(lab.cache());
  sequence.feed({ ids: [7, 8], positions: [0, 1] });
  sequence.take(2);
  await sequence.cache.prepare(4);
  await lab.fill(sequence.cache, [7, 8]);
  await lab.foresee(sequence.cache, [9, 10]);
  return sequence;
}

test("what was foreseen is confirmed token by token", async () => {
  const sequence = await foreseen();
  sequence.feed({ ids: [9], positions: [2] });
  expect(sequence.confirm(9)).toBe(true);
  expect([sequence.waiting, sequence.cache.length]).toEqual([0, 3]);
  sequence.feed({ ids: [10], positions: [3] });
  expect(sequence.confirm(10)).toBe(true);
  sequence.feed({ ids: [11], positions: [4] });
  expect(sequence.confirm(11)).toBe(false);
  expect([sequence.waiting, sequence.cache.length]).toEqual([1, 4]);
});

test.each([
  ["another token", { ids: [12], positions: [2] }],
  ["another place", { ids: [9], positions: [3] }],
  ["more than one row", { ids: [9, 10], positions: [2, 3] }],
  ["another source's row", { ids: [9], positions: [2], index: [0] }],
])("%s is not what was foreseen", async (_, input) => {
  const sequence = await foreseen();
  sequence.feed(input);
  expect(sequence.confirm(9)).toBe(false);
  expect([sequence.waiting, sequence.cache.length]).toEqual([input.ids.length, 2]);
});
