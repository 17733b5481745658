import { describe, expect, it } from "vitest";
import { LargePages } from "../../src/devices/native/large_pages.ts";

const PAGE = 4096;
const LARGE = 2 ** 21;
const STRETCH = 2 ** 26;

/** A system that counts which of its pages are mapped, and refuses what a real one would. */
class Pages {
  readonly mapped = new Set<number>();
  readonly advised: [address: number, bytes: number][] = [];
  maps = 0;
  #next = 7 * PAGE;

  map = (bytes: number): number => {
    this.maps++;
    const address = this.#next;
    // No two maps are neighbours, and none begins with a large page.
    this.#next += Math.ceil(bytes / PAGE) * PAGE + 13 * PAGE;
    for (let at = 0; at < bytes; at += PAGE) this.mapped.add((address + at) / PAGE);
    return address;
  };

  unmap = (address: number, bytes: number): void => {
    for (let at = 0; at < bytes; at += PAGE)
      if (!this.mapped.delete((address + at) / PAGE))
        throw new Error(`${address + at} is no page that is mapped`);
  };

  advise = (address: number, bytes: number): void => void this.advised.push([address, bytes]);
}

describe("LargePages", () => {
  it("cuts pieces that lie one behind the other from one stretch", () => {
    const pages = new Pages();
    const large = new LargePages(pages);
    const sizes = [3 * PAGE, LARGE + PAGE, 64 * PAGE];
    const pieces = sizes.map((bytes) => large.take(bytes));
    expect(pieces[0] % LARGE).toBe(0);
    expect(pieces[1]).toBe(pieces[0] + sizes[0]);
    expect(pieces[2]).toBe(pieces[1] + sizes[1]);
    expect(pages.maps).toBe(1);
    expect(pages.advised).toEqual([[pieces[0], STRETCH]]);
    expect(pages.mapped.size).toBe(STRETCH / PAGE);
  });

  it("holds nothing but the pieces and the rest of the latest stretch", () => {
    const pages = new Pages();
    const large = new LargePages(pages);
    const bytes = STRETCH / 3 - ((STRETCH / 3) % PAGE);
    const pieces = Array.from({ length: 8 }, () => large.take(bytes));
    expect(pages.maps).toBe(3);
    expect(pages.mapped.size).toBe((8 * bytes + (STRETCH - 2 * bytes)) / PAGE);
    for (const piece of pieces.slice(0, 7)) large.give(piece, bytes);
    expect(pages.mapped.size).toBe((STRETCH - bytes) / PAGE);
  });

  it("holds nothing when all pieces were given back, in any order", () => {
    const pages = new Pages();
    const large = new LargePages(pages);
    for (let round = 0; round < 3; round++) {
      const sizes = [LARGE, STRETCH / 4, 3 * PAGE, STRETCH, STRETCH / 2 - PAGE, STRETCH / 2];
      const pieces = sizes.map((bytes) => ({ bytes, address: large.take(bytes) }));
      for (const i of [4, 0, 5, 2, 3, 1]) large.give(pieces[i].address, pieces[i].bytes);
      expect(pages.mapped.size).toBe(0);
    }
  });

  it("gives a large piece a stretch of its own, of its size", () => {
    const pages = new Pages();
    const large = new LargePages(pages);
    const small = large.take(5 * PAGE);
    const own = large.take(STRETCH + 3 * PAGE);
    expect(own % LARGE).toBe(0);
    expect(pages.advised[1]).toEqual([own, STRETCH + 3 * PAGE]);
    expect(large.take(PAGE)).toBe(small + 5 * PAGE);
    large.give(own, STRETCH + 3 * PAGE);
    expect(pages.mapped.size).toBe(STRETCH / PAGE);
  });
});
