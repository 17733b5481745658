import { describe, expect, test } from "vitest";
import { env } from "../../src/base/env.ts";
import {
  acceptChosen,
  acceptDrawn,
  adaptDraftLength,
  cutAccepted,
  draftLength,
  promptLookup,
} from "../../src/generation/assisted.ts";
import { BeamSearch } from "../../src/generation/beam_search.ts";
import { GenerationConfig } from "../../src/generation/configuration_utils.ts";
import type { GenerationSettings } from "../../src/generation/generation_fields.ts";
import { get_logits_processor } from "../../src/generation/logits_process/builder.ts";
import { NoRepeatNGramLogitsProcessor } from "../../src/generation/logits_process/repetition.ts";
import { largest, logSoftmax } from "../../src/generation/probabilities.ts";
import { get_stopping_criteria } from "../../src/generation/stopping_criteria.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { recorded } from "./recorded.ts";

env.logger = () => {};

interface Beams {
  vocab: number;
  /** [V, V, V]: a thousand times the logits after the last two tokens. */
  thousandths: number[];
  cases: {
    prompts: number[][];
    settings: GenerationSettings;
    steps: number;
    sequences: number[][];
    sequences_scores: number[];
    beam_indices: number[][];
  }[];
}

/** In place of chance: the largest products of weight and a factor of the place, as in the recording. */
function drawn(weights: Float32Array, count: number): number[] {
  return [
    ...largest(
      weights.map((w, i) => w * Math.fround((((i * 37) % 101) + 1) / 101)),
      count,
    ),
  ];
}

describe("beam search finds what Transformers finds", () => {
  const { vocab: V, thousandths, cases } = recorded<Beams>("beams.json");
  const table = Float32Array.from(thousandths, (t) => t / 1000);

  /** The recorded language model. */
  function logitsOf(tokens: readonly number[]): Float32Array {
    const [before, last] = tokens.slice(-2);
    const at = (before * V + last) * V;
    return table.slice(at, at + V);
  }

  for (const { prompts, settings, steps, sequences, sequences_scores, beam_indices } of cases) {
    test(JSON.stringify([prompts.length, settings]), async () => {
      const P = prompts[0].length;
      const max_length = P + (settings.max_new_tokens ?? 0);
      const config = new GenerationConfig({ ...settings, max_length });
      const num_beams = config.num_beams ?? 1;
      const rows = prompts.flatMap((prompt) => Array.from({ length: num_beams }, () => prompt));
      const processors = get_logits_processor(config, {
        input_ids_seq_length: P,
        attention_mask: new Tensor("int32", [rows.length, P], new Int32Array(rows.length * P).fill(1)),
      });
      const criteria = get_stopping_criteria(config, {});
      const search = new BeamSearch(prompts, {
        num_beams,
        num_return_sequences: config.num_return_sequences ?? 1,
        max_length,
        length_penalty: config.length_penalty ?? 1,
        early_stopping: config.early_stopping ?? false,
        pad_token_id: config.pad_token_id ?? (settings.eos_token_id as number[] | null)?.[0] ?? null,
        eos_token_id: settings.eos_token_id as number[] | null,
        draw: config.do_sample ? drawn : undefined,
      });
      let count = 0;
      for (let done = false; !done; count++) {
        const before = search.tokens;
        const ids = Tensor.fromNested(before.map((row) => [...row]));
        const logProbs = before.flatMap((row) => [...logSoftmax(logitsOf(row))]);
        const scores = await processors(ids, new Tensor("float32", [before.length, V], logProbs));
        const list = before.map((_, i) => (scores.data as Float32Array).subarray(i * V, (i + 1) * V));
        const step = await search.advance(list, (candidates) =>
          criteria(Tensor.fromNested(candidates.map((row) => [...row]))),
        );
        const expected = search.tokens.map((row) => row[row.length - 1]);
        expect(step.tokens).toEqual(expected);
        expect(step.origins.map((origin) => before[origin])).toEqual(
          search.tokens.map((row) => row.slice(0, -1)),
        );
        done = step.done;
      }
      const result = search.result();
      expect(count).toBe(steps);
      expect(result.sequences).toEqual(sequences);
      expect(result.beam_indices).toEqual(beam_indices);
      for (const [i, score] of sequences_scores.entries()) {
        expect(Math.abs(result.sequences_scores[i] - score)).toBeLessThan(
          1e-5 * Math.max(1, Math.abs(score)),
        );
      }
    });
  }
});

interface Assisted {
  lookups: {
    ids: number[];
    options: { num_output_tokens: number; max_matching_ngram_size: number; max_length: number };
    eos: number[] | null;
    no_repeat_ngram_size: number | null;
    candidates: number[];
  }[];
  speculations: {
    candidates: number[];
    draft_logits: number[][];
    logits: number[][];
    uniforms: number[];
    weight: number | null;
    tokens: number[];
    matches: number;
  }[];
}

describe("assisted decoding", () => {
  const { lookups, speculations } = recorded<Assisted>("assisted.json");

  test("prompt lookup proposes what Transformers proposes", async () => {
    for (const { ids, options, eos, no_repeat_ngram_size, candidates } of lookups) {
      const processor =
        no_repeat_ngram_size === null ? null : new NoRepeatNGramLogitsProcessor(no_repeat_ngram_size);
      const forbidden = (before: readonly number[], token: number): boolean => {
        const scores = processor?.(
          Tensor.fromNested([[...before]]),
          new Tensor("float32", [1, 6], new Float32Array(6)),
        );
        return scores?.data[token] === Number.NEGATIVE_INFINITY;
      };
      expect(await promptLookup(ids, { ...options, eos_token_id: eos, forbidden })).toEqual(candidates);
    }
    const rules = { num_output_tokens: 0, max_matching_ngram_size: 2, max_length: 9, eos_token_id: null };
    await expect(promptLookup([1, 1], rules)).rejects.toThrow(/prompt_lookup_num_tokens/);
  });

  test("drawn tokens are accepted as Transformers accepts them", () => {
    const lengths = new Set<number>();
    for (const { candidates, draft_logits, logits, uniforms, weight, tokens, matches } of speculations) {
      const rest = [...uniforms];
      const chance = {
        uniform: () => rest.shift() ?? 0,
        draw: (weights: Float32Array) => drawn(weights, 1)[0],
      };
      const f32 = (rows: number[][]): Float32Array[] => rows.map((row) => Float32Array.from(row));
      expect(acceptDrawn(candidates, f32(draft_logits), f32(logits), chance, weight)).toEqual(tokens);
      lengths.add(candidates.length - matches);
    }
    expect(lengths.size).toBeGreaterThan(2); // all accepted, some, none
  });

  test("chosen tokens are accepted up to the first difference, and one more", () => {
    expect(acceptChosen([4, 5, 6], [4, 5, 7, 8])).toEqual([4, 5, 7]);
    expect(acceptChosen([4, 5], [4, 5, 6])).toEqual([4, 5, 6]);
    expect(acceptChosen([4], [9, 1])).toEqual([9]);
    expect(acceptChosen([], [3])).toEqual([3]);
  });

  test("what was accepted ends at the end of the text or the room", () => {
    expect(cutAccepted([4, 2, 5], 9, [2])).toEqual([4, 2]);
    expect(cutAccepted([4, 2, 5], 1, [2])).toEqual([4]);
    expect(cutAccepted([4, 2, 5], 9, null)).toEqual([4, 2, 5]);
  });

  test("drafts grow and shrink", () => {
    expect([draftLength(20, 30, 25), draftLength(3, 30, 4), draftLength(3, 30, 30)]).toEqual([4, 3, 0]);
    expect(adaptDraftLength(5, "constant", true)).toBe(5);
    expect([adaptDraftLength(5, "heuristic", true), adaptDraftLength(1, "heuristic", false)]).toEqual([7, 1]);
  });
});
