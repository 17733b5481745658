import { expect, test } from "vitest";
import { Rows } from "../../src/nn/rows.ts";
import { Lab } from "./cache_lab.ts";

/** A step of one row each of two sequences that hold so many tokens. */
async function step(
  ...lengths: [number, number]
): Promise<{ pages: number[]; table: number[]; held: number[][] }> {
  const lab = new Lab();
  const caches = lengths.map(() => lab.cache());
  for (const [i, cache] of caches.entries()) {
    await cache.prepare(lengths[i] + 1);
    cache.append(lengths[i]);
  }
  const segments = caches.map((cache, i) => ({ cache, positions: [lengths[i]] }));
  const [pages, table] = await lab.device.step(() => {
    const rows = new Rows(lab.device, lab.pool, segments);
    return [rows.pages, rows.table];
  });
  return {
    pages: Array.from(pages.data, Number),
    table: Array.from(table.data, Number),
    held: caches.map(({ heldPages }) => [...heldPages]),
  };
}

test("the table says where each sequence's pages are", async () => {
  const { pages, table, held } = await step(70, 200);
  expect(held.map(({ length }) => length)).toEqual([2, 4]);
  expect(table).toEqual([0, 1, 70, 0, 1, 1, 200, 2]);
  expect(pages.slice(0, 6)).toEqual(held.flat());
});

test("a page more does not make another kind of step, but many do", async () => {
  const sizes = await Promise.all([step(3, 5), step(63, 64), step(700, 64), step(1000, 64)]);
  expect(sizes.map(({ pages }) => pages.length)).toEqual([16, 16, 16, 32]);
});
