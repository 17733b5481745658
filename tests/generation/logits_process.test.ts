import { describe, expect, test } from "vitest";
import { env } from "../../src/base/env.ts";
import { OptionError, ShapeError } from "../../src/base/errors.ts";
import { GenerationConfig } from "../../src/generation/configuration_utils.ts";
import type { GenerationSettings } from "../../src/generation/generation_fields.ts";
import {
  type LogitsProcess,
  type LogitsProcessFunction,
  LogitsProcessor,
  LogitsProcessorList,
} from "../../src/generation/logits_process/base.ts";
import * as bias from "../../src/generation/logits_process/bias.ts";
import { get_logits_processor } from "../../src/generation/logits_process/builder.ts";
import * as filters from "../../src/generation/logits_process/filters.ts";
import * as length from "../../src/generation/logits_process/length.ts";
import * as numeric from "../../src/generation/logits_process/numeric.ts";
import { PrefixConstrainedLogitsProcessor } from "../../src/generation/logits_process/prefix.ts";
import * as repetition from "../../src/generation/logits_process/repetition.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { argumentOf, type RecordedNumber, recorded, scoresTensor, toNumber, worst } from "./recorded.ts";

interface Recorded {
  inputs: Record<string, { input_ids: number[][]; scores: RecordedNumber[][] }>;
  cases: {
    name: string;
    args: unknown[];
    kwargs: Record<string, unknown>;
    kind: string;
    removed: number[];
    changed: [number, RecordedNumber][];
  }[];
  prefix: {
    input_ids: number[][];
    scores: RecordedNumber[][];
    allowed: number[][];
    result: RecordedNumber[][];
  };
  orders: { settings: GenerationSettings; prefix: boolean; made: string[]; min_tokens_to_keep: number[] }[];
}
const { inputs, cases, prefix, orders } = recorded<Recorded>("processors.json");
env.logger = () => {};

type Class = new (...args: unknown[]) => LogitsProcess;
const CLASSES = { ...bias, ...filters, ...length, ...numeric, ...repetition } as unknown as Record<
  string,
  Class
>;

function make({ name, args, kwargs }: Recorded["cases"][number]): LogitsProcess {
  const options = Object.entries(kwargs).map(([key, value]) => [key, argumentOf(value)]);
  const given = options.length > 0 ? [Object.fromEntries(options)] : [];
  return new CLASSES[name](...args.map(argumentOf), ...given);
}

/** Of equal scores, torch's sort takes whichever its vector instructions come to first. */
const ANY_OF_EQUALS = ["TopPLogitsWarper", "TopHLogitsWarper", "MinPLogitsWarper", "TypicalLogitsWarper"];

/** The scores that were left as they were, row by row, largest first. */
function keptOf(out: Tensor, before: readonly (readonly RecordedNumber[])[]): number[][] {
  const rows = out.tolist() as number[][];
  return rows.map((row, r) =>
    row
      .filter((s, c) => s === toNumber(before[r][c]))
      .map((s) => s + 0)
      .sort((a, b) => b - a),
  );
}

function unflatten(values: readonly RecordedNumber[], width: number): RecordedNumber[][] {
  return Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width));
}

describe("each processor gives Transformers' scores", () => {
  for (const recordedCase of cases) {
    const { name, args, kwargs, kind, removed, changed } = recordedCase;
    test(`${name} ${JSON.stringify([args, kwargs]).slice(0, 60)} on ${kind}`, () => {
      const { input_ids, scores } = inputs[kind];
      const before = scoresTensor(scores);
      const given = scoresTensor(scores);
      const expected = scores.flat();
      for (const place of removed) expected[place] = "-inf";
      for (const [place, value] of changed) expected[place] = value;
      const out = make(recordedCase)(Tensor.fromNested(input_ids), given);
      expect(out.shape).toEqual(before.shape);
      expect(given.data).toEqual(before.data);
      if (kind === "ties" && ANY_OF_EQUALS.includes(name)) {
        expect(keptOf(out, scores)).toEqual(
          keptOf(scoresTensor(unflatten(expected, scores[0].length)), scores),
        );
        return;
      }
      const gone = expected.flatMap((value, i) => (value === "-inf" ? [i] : []));
      expect(
        Array.from(out.data as Float32Array).flatMap((v, i) => (v === Number.NEGATIVE_INFINITY ? [i] : [])),
      ).toEqual(gone);
      expect(worst(out.data as Float32Array, expected)).toBeLessThan(3e-7);
    });
  }

  test("PrefixConstrainedLogitsProcessor", () => {
    const rows: number[][] = [];
    const processor = new PrefixConstrainedLogitsProcessor((prompt, ids) => {
      rows.push(ids.tolist() as number[]);
      return prefix.allowed[prompt];
    }, 2);
    const out = processor(Tensor.fromNested(prefix.input_ids), scoresTensor(prefix.scores));
    expect(worst(out.data as Float32Array, prefix.result.flat())).toBe(0);
    expect(rows).toEqual(prefix.input_ids);
    const none = new PrefixConstrainedLogitsProcessor(() => [], 1);
    expect(() => none(Tensor.fromNested(prefix.input_ids), scoresTensor(prefix.scores))).toThrow(OptionError);
  });
});

describe("which processors a config makes", () => {
  const nameOf = (processor: LogitsProcessFunction): string =>
    Object.getPrototypeOf(processor).constructor.name;
  const model = async () => ({ logits: new Tensor("float32", [1, 1, 37], new Float32Array(37)) });
  const sources = {
    input_ids_seq_length: 4,
    encoder_input_ids: Tensor.fromNested([[1, 2, 3, 4]]),
    attention_mask: Tensor.fromNested([[0, 1, 1, 1]]),
    vocab_size: 37,
    model,
  };

  for (const { settings, prefix: constrained, made, min_tokens_to_keep } of orders) {
    test(JSON.stringify(settings).slice(0, 80), () => {
      const config = new GenerationConfig({ eos_token_id: 2, ...settings });
      const prefix_allowed_tokens_fn = constrained ? () => [1] : null;
      const list = get_logits_processor(config, { ...sources, prefix_allowed_tokens_fn });
      expect([...list].map(nameOf)).toEqual(made);
      const keeps = [...list].flatMap((p) => ("min_tokens_to_keep" in p ? [p.min_tokens_to_keep] : []));
      expect(keeps).toEqual(min_tokens_to_keep);
      const penalty = [...list].find(
        (p): p is repetition.RepetitionPenaltyLogitsProcessor & LogitsProcessFunction =>
          p instanceof repetition.RepetitionPenaltyLogitsProcessor,
      );
      if (penalty) expect(penalty.prompt_ignore_length).toEqual([1]);
    });
  }

  test("the caller's take the place of their class, others come last", () => {
    const config = new GenerationConfig({
      do_sample: true,
      top_k: 5,
      repetition_penalty: 2,
      suppress_tokens: [1],
    });
    const own = new repetition.RepetitionPenaltyLogitsProcessor(9);
    const plain: LogitsProcess = (_, scores) => scores;
    const list = get_logits_processor(config, { ...sources, logits_processor: [plain, own] });
    expect([...list].map(nameOf)).toEqual([
      "RepetitionPenaltyLogitsProcessor",
      "SuppressTokensLogitsProcessor",
      "Function",
      "TopKLogitsWarper",
    ]);
    expect(list[0]).toBe(own);
  });

  test("what cannot be made says what is missing", () => {
    const bare = { input_ids_seq_length: 1 };
    const decay = new GenerationConfig({ exponential_decay_length_penalty: [1, 2] });
    expect(() => get_logits_processor(decay, bare)).toThrow(/eos_token_id/);
    expect(() => get_logits_processor(new GenerationConfig({ guidance_scale: 2 }), bare)).toThrow(
      /guidance_scale/,
    );
  });
});

describe("a list of processors", () => {
  const ids = Tensor.fromNested([[1, 2]]);
  const scores = new Tensor("float32", [1, 3], [1, 2, 3]);
  const plus: LogitsProcess = (_, s) =>
    new Tensor(
      "float32",
      s.shape,
      Float32Array.from(s.data as Float32Array, (x) => x + 1),
    );

  test("is an array that can be called", async () => {
    const list = new LogitsProcessorList([plus]);
    list.append(new filters.TemperatureLogitsWarper(2));
    list.push(plus);
    expect([list.length, [...list].length, list[0] === plus]).toEqual([3, 3, true]);
    const alone: LogitsProcessFunction[] = [plus];
    expect(alone.concat(list).length).toBe(4);
    expect((list(ids, scores) as Tensor).tolist()).toEqual([[2, 2.5, 3]]);
    const waiting = new LogitsProcessorList([plus, async (i, s) => plus(i, s), plus]);
    const promise = waiting(ids, scores);
    expect(promise).toBeInstanceOf(Promise);
    expect((await promise).tolist()).toEqual([[4, 5, 6]]);
  });

  test("a class of the caller's is called like the others", () => {
    class Halve extends LogitsProcessor {
      override __call__(_: Tensor, s: Tensor): Tensor {
        return new Tensor(
          "float32",
          s.shape,
          Float32Array.from(s.data as Float32Array, (x) => x / 2),
        );
      }
    }
    const out: Tensor = new Halve()(ids, scores);
    expect(out.tolist()).toEqual([[0.5, 1, 1.5]]);
  });
});

describe("arguments that cannot be", () => {
  const wrong: [string, () => unknown][] = [
    ["temperature", () => new filters.TemperatureLogitsWarper(0)],
    ["top_k", () => new filters.TopKLogitsWarper(0)],
    ["top_k", () => new filters.TopKLogitsWarper(1.5)],
    ["top_p", () => new filters.TopPLogitsWarper(1.1)],
    ["min_tokens_to_keep", () => new filters.TopPLogitsWarper(0.5, { min_tokens_to_keep: 0 })],
    ["top_h", () => new filters.TopHLogitsWarper(0)],
    ["min_p", () => new filters.MinPLogitsWarper(-0.1)],
    ["mass", () => new filters.TypicalLogitsWarper({ mass: 1 })],
    ["epsilon", () => new filters.EpsilonLogitsWarper(1)],
    ["penalty", () => new repetition.RepetitionPenaltyLogitsProcessor(0)],
    [
      "prompt_ignore_length",
      () => new repetition.RepetitionPenaltyLogitsProcessor(2, { prompt_ignore_length: -1 }),
    ],
    ["ngram_size", () => new repetition.NoRepeatNGramLogitsProcessor(0)],
    ["min_length", () => new length.MinLengthLogitsProcessor(-1, 2)],
    ["sequence_bias", () => new bias.SequenceBiasLogitsProcessor([])],
    ["sequence_bias", () => new bias.SequenceBiasLogitsProcessor([[[-1], 2]])],
    ["bad_words_ids", () => new bias.NoBadWordsLogitsProcessor([])],
    ["eos_token_id", () => new length.ForcedEOSTokenLogitsProcessor(5, [-1])],
    ["min_tokens_to_kep", () => new filters.TopKLogitsWarper(1, { min_tokens_to_kep: 2 } as object)],
  ];
  for (const [name, run] of wrong) test(name, () => expect(run).toThrow(name));
  test("ids beyond the vocabulary, rows that do not fit", () => {
    const processor = new bias.SequenceBiasLogitsProcessor(new Map([[[5], 1]]));
    const scores = new Tensor("float32", [1, 3], [1, 2, 3]);
    expect(() => processor(Tensor.fromNested([[1]]), scores)).toThrow(OptionError);
    expect(() => new filters.TopKLogitsWarper(1)(Tensor.fromNested([[1], [2]]), scores)).toThrow(ShapeError);
  });
});

test("over a large vocabulary, partial sorting keeps what sorting everything keeps", () => {
  const V = 151936;
  const scores = new Tensor(
    "float32",
    [1, V],
    Float32Array.from({ length: V }, (_, i) => 3 * Math.sin(i * i + i)),
  );
  const ids = Tensor.fromNested([[1]]);
  const values = scores.data as Float32Array;
  const sorted = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
  const weights = sorted.map((place) => Math.exp(values[place]));
  const total = weights.reduce((sum, w) => sum + w, 0);
  let nucleus = 0;
  for (let mass = 0; mass < 0.6 * total; nucleus++) mass += weights[nucleus];
  const kept = (out: Tensor): number =>
    (out.data as Float32Array).filter((s) => s > Number.NEGATIVE_INFINITY).length;
  expect(kept(new filters.TopPLogitsWarper(0.6)(ids, scores))).toBeGreaterThan(64);
  expect(Math.abs(kept(new filters.TopPLogitsWarper(0.6)(ids, scores)) - nucleus)).toBeLessThanOrEqual(1);
  const least = values[sorted[49]];
  const out = new filters.TopKLogitsWarper(50)(ids, scores).data as Float32Array;
  expect(Array.from(out)).toEqual(Array.from(values, (s) => (s < least ? Number.NEGATIVE_INFINITY : s)));
});
