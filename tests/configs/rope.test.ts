import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { env } from "../../src/base/env.ts";
import { OptionError } from "../../src/base/errors.ts";
import { LlamaConfig } from "../../src/models/llama/configuration_llama.ts";
import { ropeFrequencies, rotaryOf } from "../../src/models/modeling_rope_utils.ts";

interface Recorded {
  ropes: {
    name: string;
    config: Record<string, unknown>;
    length: number;
    inv_freq: number[];
    attention_scaling: number;
  }[];
}
const { ropes }: Recorded = JSON.parse(
  readFileSync(new URL("../fixtures/configs/rope.json", import.meta.url), "utf8"),
);
env.logger = () => {};

describe("rotary frequencies as Transformers computes them", () => {
  for (const { name, config, length, inv_freq, attention_scaling } of ropes) {
    test(`${name}, length ${length}`, () => {
      const rotary = ropeFrequencies(new LlamaConfig(config), length);
      expect(rotary.inv_freq.length).toBe(inv_freq.length);
      for (const [j, f] of inv_freq.entries())
        expect(Math.abs(rotary.inv_freq[j] / f - 1)).toBeLessThan(5e-7);
      expect(rotary.attention_scaling).toBeCloseTo(attention_scaling, 12);
    });
  }

  test("the longest sequence of a step decides", () => {
    const long = ropes.find(({ name, length }) => name === "dynamic" && length === 300);
    const config = new LlamaConfig(long?.config);
    const ranges = [
      { rows: 1, past: 3 },
      { rows: 2, past: 298 },
    ];
    expect(rotaryOf(config, { ranges }).inv_freq[5]).toBeCloseTo(long?.inv_freq[5] ?? 0, 7);
  });

  test("an unknown type is named", () => {
    const config = new LlamaConfig({ rope_scaling: { rope_type: "spiral" } });
    expect(() => ropeFrequencies(config)).toThrow(OptionError);
    expect(() => ropeFrequencies(config)).toThrow(/rope_type.*spiral/);
  });
});
