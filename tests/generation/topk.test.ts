import { describe, expect, test } from "vitest";
import { topk } from "../../src/generation/topk.ts";
import { recorded } from "./recorded.ts";

interface Case {
  /** null: NaN */
  numbers: (number | "-Infinity" | null)[];
  k: number;
  places: number[];
}

describe("equal numbers come in torch's order", () => {
  for (const { numbers, k, places } of recorded<{ cases: Case[] }>("topk.json").cases) {
    test(`${k} of ${numbers.length}`, () => {
      const values = Float32Array.from(numbers, (n) => (n === null ? Number.NaN : Number(n)));
      expect([...topk(values, k)]).toEqual(places);
    });
  }
});
