import { describe, expect, test } from "vitest";
import {
  ClassifierFreeGuidanceLogitsProcessor,
  UnbatchedClassifierFreeGuidanceLogitsProcessor,
} from "../../src/generation/logits_process/guidance.ts";
import { SynthIDTextWatermarkLogitsProcessor } from "../../src/generation/logits_process/synthid.ts";
import { WatermarkLogitsProcessor } from "../../src/generation/logits_process/watermark.ts";
import { TorchRandom } from "../../src/generation/torch_random.ts";
import { WatermarkingConfig, type WatermarkingOptions } from "../../src/generation/watermarking_config.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { argumentOf, type RecordedNumber, recorded, scoresTensor, toNumber, worst } from "./recorded.ts";

interface Guidance {
  input_ids: number[][];
  scores: RecordedNumber[][];
  both: RecordedNumber[][];
  result: RecordedNumber[][];
  runs: {
    kwargs: Record<string, unknown>;
    calls: { input_ids: number[][]; attention_mask: number[][]; use_cache: boolean; logits: number[][][] }[];
    steps: { input_ids: number[][]; result: RecordedNumber[][] }[];
  }[];
}

describe("guidance", () => {
  const { input_ids, scores, both, result, runs } = recorded<Guidance>("guidance.json");

  test("with both halves in one batch", () => {
    const processor = new ClassifierFreeGuidanceLogitsProcessor(1.7);
    const out = processor(Tensor.fromNested(input_ids), scoresTensor(both));
    expect(out.shape).toEqual([2, 37]);
    expect(worst(out.data as Float32Array, result.flat())).toBe(0);
    expect(() => processor(Tensor.fromNested(input_ids), scoresTensor(scores))).toThrow(/4 rows/);
    expect(() => new ClassifierFreeGuidanceLogitsProcessor(1)).toThrow(/guidance_scale/);
  });

  for (const { kwargs, calls, steps } of runs) {
    test(`with a second question to the model, ${JSON.stringify(Object.keys(kwargs))}`, async () => {
      const asked: unknown[] = [];
      const options = Object.fromEntries(
        Object.entries(kwargs).map(([key, value]) => [key, argumentOf(value)]),
      );
      const processor = new UnbatchedClassifierFreeGuidanceLogitsProcessor(
        1.5,
        async ({ input_ids: ids, attention_mask, use_cache, past_key_values }) => {
          asked.push({
            input_ids: ids.tolist(),
            attention_mask: attention_mask.tolist(),
            use_cache,
            past_key_values,
          });
          const { logits } = calls[asked.length - 1];
          const shape = [logits.length, logits[0].length, logits[0][0].length];
          return { logits: new Tensor("float32", shape, logits.flat(2)), past_key_values: "kept" };
        },
        options,
      );
      for (const [step, { input_ids: ids, result: expected }] of steps.entries()) {
        const raised = scores.map((row) => row.map((s) => Math.fround(toNumber(s) + step)));
        const out = await processor(Tensor.fromNested(ids), scoresTensor(raised));
        expect(worst(out.data as Float32Array, expected.flat())).toBeLessThan(1e-6);
      }
      const pasts = [null, "kept"];
      expect(asked).toEqual(
        calls.map(({ logits: _, ...call }, i) => ({ ...call, past_key_values: pasts[i] })),
      );
    });
  }
});

interface Watermarks {
  input_ids: number[][];
  scores: RecordedNumber[][];
  watermarks: { kwargs: WatermarkingOptions; marked: number[][] }[];
  synthid: {
    scores: RecordedNumber[][];
    steps: { input_ids: number[][]; result: RecordedNumber[][] }[];
    text: number[][];
    g_values: number[][][];
    mask: number[][];
    eos: number[][];
  };
}

describe("watermarks", () => {
  const { input_ids, scores, watermarks, synthid } = recorded<Watermarks>("watermarks.json");

  for (const { kwargs, marked } of watermarks) {
    test(JSON.stringify(kwargs), () => {
      const before = scoresTensor(scores);
      const processor = new WatermarkingConfig(kwargs).construct_processor(97);
      const out = processor(Tensor.fromNested(input_ids), before).tolist() as number[][];
      const plain = before.tolist() as number[][];
      expect(out.map((row, r) => row.flatMap((s, c) => (s === plain[r][c] ? [] : [c])))).toEqual(marked);
      const [row, column] = [
        marked.findIndex((list) => list.length > 0),
        marked.find((list) => list.length > 0)?.[0] ?? 0,
      ];
      expect(out[row][column] - plain[row][column]).toBeCloseTo(kwargs.bias ?? 2, 5);
    });
  }

  test("a text that is too short is left alone", () => {
    const processor = new WatermarkLogitsProcessor(97, "cpu", { context_width: 9 });
    const before = scoresTensor(scores);
    expect(processor(Tensor.fromNested(input_ids), before)).toBe(before);
  });

  test("SynthID", () => {
    const processor = new SynthIDTextWatermarkLogitsProcessor(3, [11, 654321, 400], 64, 5, 4, "cpu");
    for (const { input_ids: ids, result } of synthid.steps) {
      const out = processor(Tensor.fromNested(ids), scoresTensor(synthid.scores));
      expect(worst(out.data as Float32Array, result.flat())).toBeLessThan(2e-6);
    }
    const text = Tensor.fromNested(synthid.text);
    expect(processor.compute_g_values(text).tolist()).toEqual(synthid.g_values);
    expect(processor.compute_context_repetition_mask(text).tolist()).toEqual(synthid.mask);
    expect(processor.compute_eos_token_mask(text, 4).tolist()).toEqual(synthid.eos);
  });

  test("torch's generator: torch.randperm(10) with seed 7, then torch.randint(0, 2)", () => {
    const random = new TorchRandom(7);
    expect([...random.permutation(10)]).toEqual([5, 0, 3, 4, 1, 7, 9, 6, 8, 2]);
    expect(Array.from({ length: 12 }, () => random.random() % 2)).toEqual([
      1, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0,
    ]);
  });
});
