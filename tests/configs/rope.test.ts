import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { env } from "../../src/base/env.ts";
import { OptionError } from "../../src/base/errors.ts";
import { ReferenceDevice } from "../../src/devices/reference/reference_device.ts";
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

  test("the longest sequence of a call decides, and no other call's", async () => {
    const recorded = (length: number) =>
      ropes.find((rope) => rope.name === "dynamic" && rope.length === length)?.inv_freq ?? [];
    const config = new LlamaConfig(ropes.find(({ name }) => name === "dynamic")?.config);
    const positions = [3, 298, 299, 7];
    const ranges = [
      { first: 0, rows: 1, past: 3, longest: 300 },
      { first: 1, rows: 2, past: 298, longest: 300 },
      { first: 3, rows: 1, past: 7, longest: 8 },
    ];
    const device = new ReferenceDevice();
    const [cos, sin] = await device.step(() => {
      const rotary = rotaryOf(device, config, { positions, ranges });
      return [rotary.cos, rotary.sin];
    });
    const long = recorded(300);
    const short = recorded(0);
    expect(long[5]).not.toBeCloseTo(short[5], 7);
    for (const [t, position] of positions.entries())
      for (const [j, f] of (t < 3 ? long : short).entries()) {
        expect(cos.data[t * long.length + j]).toBeCloseTo(Math.cos(Math.fround(position * f)), 4);
        expect(sin.data[t * long.length + j]).toBeCloseTo(Math.sin(Math.fround(position * f)), 4);
      }
  });

  test("of frequencies that never change: the same for a position however often, and in whatever order", async () => {
    const yarn = ropes.find(({ attention_scaling, name }) => name !== "longrope" && attention_scaling !== 1);
    if (!yarn) throw new Error("no scaled frequencies were recorded");
    const { inv_freq, attention_scaling } = yarn;
    const config = new LlamaConfig(yarn.config);
    const device = new ReferenceDevice();
    for (const positions of [
      [3, 0, 299],
      [7, 299, 299, 3],
    ]) {
      const ranges = [{ first: 0, rows: positions.length, past: 0, longest: 300 }];
      const [cos, sin] = await device.step(() => {
        const rotary = rotaryOf(device, config, { positions, ranges });
        return [rotary.cos, rotary.sin];
      });
      for (const [t, position] of positions.entries())
        for (const [j, f] of inv_freq.entries()) {
          const [at, angle] = [t * inv_freq.length + j, Math.fround(position * f)];
          expect(cos.data[at]).toBeCloseTo(Math.cos(angle) * attention_scaling, 4);
          expect(sin.data[at]).toBeCloseTo(Math.sin(angle) * attention_scaling, 4);
        }
    }
  });

  test("an unknown type is named", () => {
    const config = new LlamaConfig({ rope_scaling: { rope_type: "spiral" } });
    expect(() => ropeFrequencies(config)).toThrow(OptionError);
    expect(() => ropeFrequencies(config)).toThrow(/rope_type.*spiral/);
  });
});
