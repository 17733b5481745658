import { describe, expect, test } from "vitest";
import { env } from "../../src/base/env.ts";
import { OptionError, ShapeError } from "../../src/base/errors.ts";
import { GenerationConfig } from "../../src/generation/configuration_utils.ts";
import { type StoppingTokenizer, StopStringCriteria } from "../../src/generation/stop_strings.ts";
import { StoppingCriteria } from "../../src/generation/stopping_base.ts";
import {
  ConfidenceCriteria,
  EosTokenCriteria,
  get_stopping_criteria,
  MaxLengthCriteria,
  MaxTimeCriteria,
  StoppingCriteriaList,
  tokenRule,
  validate_stopping_criteria,
} from "../../src/generation/stopping_criteria.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { recorded } from "./recorded.ts";

interface Recorded {
  vocabularies: Record<string, { kind: string | null; tokens: string[] }>;
  cases: { vocabulary: string; stop_strings: string[]; rows: number[][]; stopped: boolean[] }[];
}
const { vocabularies, cases } = recorded<Recorded>("stop_strings.json");

/** The tokenizer of the recording: ids are even, and a token's text is itself. */
function tokenizerOf({ kind, tokens }: Recorded["vocabularies"][string]): StoppingTokenizer {
  const decoder =
    kind === null
      ? { type: "WordPiece" }
      : { type: "Sequence", decoders: [{ type: "Fuse" }, { type: kind }] };
  return {
    get_vocab: () => Object.fromEntries(tokens.map((token, i) => [token, i * 2])),
    encode: (text) => [tokens.indexOf(text) * 2],
    convert_tokens_to_string: (parts) => parts.map((token) => token.replaceAll("\u2581", " ")).join(""),
    backend_tokenizer: { toJSON: () => ({ decoder }) },
  };
}

describe("stop strings", () => {
  for (const { vocabulary, stop_strings, rows, stopped } of cases) {
    test(`${vocabulary}: ${JSON.stringify(stop_strings)}`, () => {
      const criterion = new StopStringCriteria(tokenizerOf(vocabularies[vocabulary]), stop_strings);
      expect(stopped).toContain(true);
      expect(stopped).toContain(false);
      expect(criterion(Tensor.fromNested(rows))).toEqual(stopped);
    });
  }

  test("a text shorter than the string, and none at all", () => {
    const criterion = new StopStringCriteria(tokenizerOf(vocabularies.characters), "stop");
    const id = (token: string): number => vocabularies.characters.tokens.indexOf(token) * 2;
    expect(criterion(Tensor.fromNested([[id("sto")], [id("stopstop")]]))).toEqual([false, true]);
    expect(criterion(new Tensor("int32", [1, 0], []))).toEqual([false]);
  });

  test("strings that cannot come about", () => {
    const tokenizer = tokenizerOf(vocabularies.characters);
    expect(() => new StopStringCriteria(tokenizer, "\u4f60")).toThrow(OptionError);
    expect(() => new StopStringCriteria(tokenizer, "")).toThrow(OptionError);
    expect(() => new StopStringCriteria(tokenizerOf(vocabularies.fallback), "\u4f60")).not.toThrow();
  });
});

describe("criteria", () => {
  const ids = Tensor.fromNested([
    [5, 6, 2],
    [2, 3, 4],
  ]);

  test("length", () => {
    expect(new MaxLengthCriteria(3)(ids)).toEqual([true, true]);
    expect(new MaxLengthCriteria(4)(ids)).toEqual([false, false]);
  });

  test("past what the model was made for there is a warning", () => {
    const said: string[] = [];
    env.logger = (message) => said.push(message);
    new MaxLengthCriteria(9, { max_position_embeddings: 2 })(ids);
    env.logger = () => {};
    expect(said.join()).toContain("2 tokens");
  });

  test("time", () => {
    const now = Date.now() / 1000;
    expect(new MaxTimeCriteria(5, { initial_timestamp: now - 6 })(ids)).toEqual([true, true]);
    expect(new MaxTimeCriteria(5, { initial_timestamp: now - 4 })(ids)).toEqual([false, false]);
    expect(new MaxTimeCriteria(5)(ids)).toEqual([false, false]);
  });

  test("the end of a text", () => {
    expect(new EosTokenCriteria([2, 9])(ids)).toEqual([true, false]);
    expect(new EosTokenCriteria(2)(ids, null, { new_token_length: 3 })).toEqual([true, true]);
    expect(new EosTokenCriteria(Tensor.fromNested([4]))(ids)).toEqual([false, true]);
  });

  test("confidence: softmax of [0, 0, ln 2] gives 1/2 to token 2", () => {
    const scores = new Tensor("float32", [1, 3], [0, 0, Math.log(2)]);
    const row = Tensor.fromNested([[0, 2]]);
    expect(new ConfidenceCriteria(0.51)(row, [scores])).toEqual([true]);
    expect(new ConfidenceCriteria(0.49)(row, scores)).toEqual([false]);
  });

  test("a rule for a row's latest token and its length, where that is all that they look at", () => {
    class Never extends EosTokenCriteria {
      override __call__(): boolean[] {
        return [false];
      }
    }
    const plain = new StoppingCriteriaList([new MaxLengthCriteria(5), new EosTokenCriteria([2, 9])]);
    for (const row of [
      [1, 3],
      [1, 9],
      [9, 1],
      [1, 1, 1, 1, 3],
      [2, 1, 1, 1, 2],
      [4, 4, 4, 4],
    ])
      expect([tokenRule(plain)?.(row[row.length - 1], row.length)]).toEqual(plain(Tensor.fromNested([row])));
    expect(tokenRule(new StoppingCriteriaList())?.(1, 1)).toBe(false);
    for (const other of [new Never(2), () => false, new MaxTimeCriteria(1), new ConfidenceCriteria(0.5)])
      expect(tokenRule(new StoppingCriteriaList([...plain, other]))).toBeUndefined();
  });

  test("a list: any of them, functions and promises too", async () => {
    const list = new StoppingCriteriaList([new EosTokenCriteria(2), () => [false, true]]);
    expect(list(ids, null)).toEqual([true, true]);
    list.push(() => false);
    expect(list.length).toBe(3);
    const late = new StoppingCriteriaList([async () => false, new EosTokenCriteria(4)]);
    expect(await late(ids)).toEqual([false, true]);
    expect(new StoppingCriteriaList()(ids)).toEqual([false, false]);
    const wrong = new StoppingCriteriaList([() => [true]]);
    expect(() => wrong(ids)).toThrow(ShapeError);
  });

  test("limits of length are told apart", () => {
    const list = new StoppingCriteriaList([new EosTokenCriteria(2)]);
    expect(list.max_length).toBe(null);
    const limited = validate_stopping_criteria(list, 7);
    expect([limited.max_length, limited.length, list.length]).toEqual([7, 2, 1]);
    expect(validate_stopping_criteria(limited, 8).max_length).toBe(7);
  });

  test("what a config makes, in Transformers' order, with the caller's among them", () => {
    class Own extends StoppingCriteria {
      override __call__(input_ids: Tensor): boolean[] {
        return input_ids.shape.map(() => false);
      }
    }
    const config = new GenerationConfig({
      max_length: 9,
      max_time: 3,
      stop_strings: "stop",
      eos_token_id: [2],
      is_assistant: true,
      assistant_confidence_threshold: 0.4,
    });
    const tokenizer = tokenizerOf(vocabularies.characters);
    const length = new MaxLengthCriteria(4);
    const made = get_stopping_criteria(config, { tokenizer, stopping_criteria: [new Own(), length] });
    const names = [...made].map((criterion) => Object.getPrototypeOf(criterion).constructor.name);
    expect(names).toEqual([
      "MaxLengthCriteria",
      "MaxTimeCriteria",
      "StopStringCriteria",
      "EosTokenCriteria",
      "ConfidenceCriteria",
      "Own",
    ]);
    expect(made[0]).toBe(length);
    expect(() => get_stopping_criteria(config, {})).toThrow(/tokenizer/);
  });
});
