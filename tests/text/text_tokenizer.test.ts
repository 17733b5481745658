import { describe, expect, it, vi } from "vitest";
import { CheckpointError, UnsupportedError } from "../../src/base/errors.ts";
import { DecodeStream } from "../../src/text/decode_stream.ts";
import { BPE } from "../../src/text/library.ts";
import { TextTokenizer } from "../../src/text/text_tokenizer.ts";
import { readJson, tokenizerNamed, tokenizerPath } from "./support.ts";

interface EncodedRecord {
  ids: number[];
  offsets: number[];
  words: (number | null)[];
  special: number[];
  types: number[];
  sequences: (number | null)[];
}

interface Fixture {
  encoded: (EncodedRecord & {
    text: string;
    without: number[];
    split: number[];
    decoded: string;
    skipped: string;
  })[];
  pairs: (EncodedRecord & { pair: [string, string] })[];
  pretokenized: (EncodedRecord & { words: string[] })[];
  decoded: { ids: number[]; kept: string; skipped: string }[];
  streams: { ids: number[]; skip: boolean; steps: (string | null | { error: string })[] }[];
  specials: Record<string, number>;
}

const DEFAULTS = { addSpecialTokens: true, splitSpecialTokens: false };
const NAMES = ["llava-demo", "metaspace", "metaspace_split", "byte_level", "byte_level_prefix"];

describe.each(NAMES)("%s", (name) => {
  const tokenizer = tokenizerNamed(name);
  const fixture = readJson<Fixture>(`tests/fixtures/text/${name}.json`);
  const recordOf = (first: string | string[], second: string | null = null): EncodedRecord => {
    const encoding = tokenizer.encode(first, second, DEFAULTS);
    return {
      ids: encoding.ids,
      offsets: encoding.offsets.flat(),
      words: encoding.word_ids,
      special: encoding.special_tokens_mask,
      types: encoding.type_ids,
      sequences: encoding.sequence_ids,
    };
  };

  it.each(fixture.encoded)("encodes $text", ({ text, without, split, decoded, skipped, ...expected }) => {
    expect(recordOf(text)).toEqual(expected);
    expect(tokenizer.encode(text, null, { ...DEFAULTS, addSpecialTokens: false }).ids).toEqual(without);
    expect(tokenizer.encode(text, null, { ...DEFAULTS, splitSpecialTokens: true }).ids).toEqual(split);
    expect(tokenizer.decode(expected.ids, false)).toBe(decoded);
    expect(tokenizer.decode(expected.ids, true)).toBe(skipped);
  });

  it.each(fixture.pairs)("encodes the pair $pair", ({ pair, ...expected }) => {
    expect(recordOf(pair[0], pair[1])).toEqual(expected);
  });

  it("encodes text that is cut into words", () => {
    const given = [
      ["a", "dog", " x"],
      ["<image>", "é"],
    ];
    fixture.pretokenized.forEach((expected, i) => {
      expect(recordOf(given[i])).toEqual(expected);
    });
  });

  it("decodes any ids, also half characters and ids without a token", () => {
    for (const { ids, kept, skipped } of fixture.decoded) {
      expect(tokenizer.decode(ids, false), String(ids)).toBe(kept);
      expect(tokenizer.decode(ids, true), String(ids)).toBe(skipped);
    }
  });

  it("streams text step for step as DecodeStream does", () => {
    for (const { ids, skip, steps } of fixture.streams) {
      const stream = new DecodeStream(tokenizer, { skip_special_tokens: skip });
      for (const [i, expected] of steps.entries()) {
        // Python gives up where the text before changes after the fact; what we show then is our own affair.
        if (expected !== null && typeof expected === "object") break;
        expect(stream.step(ids[i]), `${ids} step ${i}`).toBe(expected);
      }
    }
  });

  it("streams and flushes the whole text", () => {
    for (const { text, ids } of fixture.encoded) {
      const stream = new DecodeStream(tokenizer, { skip_special_tokens: false });
      const shown = ids.map((id) => stream.step(id) ?? "").join("");
      expect(shown + stream.flush(), text).toBe(tokenizer.decode(ids, false));
    }
  });
});

it("what is remembered of texts is forgotten again, and changes nothing", () => {
  const tokenizer = tokenizerNamed("llava-demo");
  const cut = vi.spyOn(BPE.prototype, "bpe");
  const forget = vi.spyOn(BPE.prototype, "clear_cache");
  const words = Array.from({ length: 2000 }, (_, i) => `${"a word of many ".repeat(8)}${i}`);
  const first = tokenizer.encode(words[0], null, DEFAULTS).ids;
  for (const word of words) tokenizer.encode(word, null, DEFAULTS);
  expect(tokenizer.encode(words[0], null, DEFAULTS).ids).toEqual(first);
  const characters = cut.mock.calls.reduce((sum, [word]) => sum + String(word).length, 0);
  expect(characters).toBeGreaterThan(200_000);
  expect(forget.mock.calls.length).toBe(Math.floor(characters / 2 ** 17));
  vi.restoreAllMocks();
});

describe("a damaged tokenizer.json", () => {
  const good = readJson<Record<string, unknown>>(tokenizerPath("metaspace"));
  const model = good.model as Record<string, unknown>;

  it.each([
    ["no object", [], CheckpointError, /the file/],
    ["no model", { ...good, model: null }, CheckpointError, /model/],
    ["a negative id", { ...good, model: { ...model, vocab: { a: -1 } } }, CheckpointError, /vocab\["a"\]/],
    ["a lone merge", { ...good, model: { ...model, merges: ["ab"] } }, CheckpointError, /merges\[0\]/],
    ["an unknown model", { ...good, model: { ...model, type: "Unigram" } }, UnsupportedError, /Unigram/],
    ["dropout", { ...good, model: { ...model, dropout: 0.1 } }, UnsupportedError, /dropout/],
    ["an unknown normaliser", { ...good, normalizer: { type: "Nmt" } }, UnsupportedError, /Nmt/],
    [
      "a flag that is no flag",
      { ...good, added_tokens: [{ id: 1, content: "x", special: 1 }] },
      CheckpointError,
      /special/,
    ],
    ["an added token without an id", { ...good, added_tokens: [{ content: "x" }] }, CheckpointError, /id/],
    [
      "a template with an unknown token",
      {
        ...good,
        post_processor: { type: "TemplateProcessing", single: [{ SpecialToken: { id: "<q>" } }], pair: [] },
      },
      CheckpointError,
      /<q>/,
    ],
  ])("is refused: %s", (_, file, kind, message) => {
    expect(() => new TextTokenizer(file)).toThrow(kind);
    expect(() => new TextTokenizer(file)).toThrow(message);
  });
});
